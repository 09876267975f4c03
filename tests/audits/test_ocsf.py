"""Every tag becomes an event that the framework's own schema accepts."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from audits.exports import json_lines
from audits.ocsf import VERSION, ocsf_lines, to_ocsf
from audits.queries import Entry
from core.events import Tag, canonical

NAMES = {6003: "api_activity", 3004: "entity_management", 3002: "authentication"}
FACTS = {"consent": "consent_1", "grant": "grant_1", "key": "ab" * 32, "role": "admin"}


def entry(tag: str, **changes: Any) -> Entry:
    columns: dict[str, Any] = {
        "actor": "reviewer:ann",
        "partner": "p",
        "job": "clip_1",
        "identity": "person_1",
    }
    columns = columns | {"rule": None} | changes
    said = {name: value for name, value in columns.items() if value is not None}
    leaf = canonical({"v": 2, "at_ms": 1_795_392_000_000, "tag": tag, "facts": FACTS} | said)
    return Entry(index=7, at_ms=1_795_392_000_000, tag=tag, leaf=leaf, **columns)


@cache
def validator(kind: int) -> Draft202012Validator:
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=VERSION))
    return Draft202012Validator(schema.get_class_schema(class_name=NAMES[kind], profiles=[]))


def problems(event: dict[str, Any]) -> list[str]:
    return [error.message for error in validator(event["class_uid"]).iter_errors(event)]


@pytest.mark.parametrize("tag", Tag)
@pytest.mark.parametrize("bare", [False, True])
def test_every_tag_is_valid(tag: Tag, bare: bool) -> None:
    nothing = {"actor": "system", "partner": None, "job": None, "identity": None}
    event = to_ocsf(entry(tag, **(nothing if bare else {})), "0.1.0")
    assert problems(event) == []
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]


@pytest.mark.parametrize(
    "lost", ["class_uid", "time", "metadata", "actor", "api", "severity_id", "src_endpoint"]
)
def test_the_schema_would_notice(lost: str) -> None:
    """The control of the test above."""
    event = to_ocsf(entry("clip:held"), "0.1.0")
    kept = {name: value for name, value in event.items() if name != lost}
    assert [error.message for error in validator(6003).iter_errors(kept)] != []
    assert problems(event | {"activity_id": 77}) != []


def test_nothing_of_the_leaf_is_lost() -> None:
    one = entry("consent:revoked")
    event = json.loads(next(ocsf_lines([one], "0.1.0")))
    assert event["raw_data"].encode() == one.leaf
    assert f'{{"index":{event["metadata"]["sequence"]},"leaf":{event["raw_data"]}}}\n' == next(
        json_lines([one])
    )
    assert (event["entity"], event["metadata"]["tenant_uid"], event["time"]) == (
        {"type": "consent", "uid": "consent_1"},
        "p",
        one.at_ms,
    )
