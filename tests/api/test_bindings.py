"""The Soft Binding Resolution API, with what the reference conformance harness expects of it."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.app import MAX_JSON_BYTES
from core.errors import BadMedia, TimedOut
from core.state import State
from core.store import Store
from core.tables import Job, Manifest
from pipeline import credentials
from pipeline.finder import Finder
from pipeline.matching import FINGERPRINTS, WATERMARKS, Matcher
from provenance.fingerprint import audio, video
from provenance.fingerprint.audio import AudioPrint
from provenance.fingerprint.video import VideoPrint
from provenance.manifest import AUDIO_ALG, VIDEO_ALG, binding_value
from provenance.marks import MarkReading
from provenance.readings import Perception
from tests.api.world import World

SEMVER = re.compile(r"\d+\.\d+\.\d+")
NOBODY = binding_value(0x42)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


ACTIVE = box(b"jumb", box(b"jumd", b"active"))
STORE = box(b"jumb", box(b"jumd", b"store") + box(b"jumb", box(b"jumd", b"parent")) + ACTIVE)


def picture(seed: int) -> VideoPrint:
    words = np.random.default_rng(seed).integers(0, 2**64, (1, 12, 4), dtype=np.uint64)
    return VideoPrint(np.arange(12, dtype=np.float32) / 2, words, np.full(12, 90, np.uint8))


def sound(seed: int) -> AudioPrint:
    return AudioPrint(np.random.default_rng(seed).integers(0, 2**32, 60, dtype=np.uint32))


def put(world: World, seed: int, state: State = State.RELEASED) -> Job:
    """A clip with every credential it can have."""
    job = world.place(state, got={"marks": {"video": True, "audio": True}})
    with world.tools.store.session() as session:
        credentials.bind(session, job, f"urn:c2pa:{seed}", STORE, at_ms=seed)
        prints = {video.ALG: video.encode(picture(seed)), audio.ALG: audio.encode(sound(seed))}
        credentials.keep_prints(session, job.id, prints)
        session.commit()
    return job


def value_of(job: Job) -> str:
    return binding_value(int(job.payload, 16))


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def by_binding(world: World, alg: str, value: str, **more: Any) -> Any:
    return world.client.get("/v1/matches/byBinding", params={"alg": alg, "value": value} | more)


@pytest.mark.parametrize("alg", WATERMARKS)
def test_a_mark_leads_to_its_manifest_by_get_and_by_post(world: World, alg: str) -> None:
    job = put(world, 7)
    put(world, 8)
    told = {"matches": [{"manifestId": "urn:c2pa:7"}]}
    assert by_binding(world, alg, value_of(job)).json() == told
    posted = world.client.post("/v1/matches/byBinding", json={"alg": alg, "value": value_of(job)})
    assert (posted.status_code, posted.json()) == (200, told)
    assert by_binding(world, alg, NOBODY).json() == {"matches": []}


@pytest.mark.parametrize("alg", FINGERPRINTS)
def test_a_fingerprint_leads_to_what_looks_or_sounds_alike(world: World, alg: str) -> None:
    for seed in (1, 2, 3):
        put(world, seed)
    of: dict[str, Callable[[int], bytes]] = {
        video.ALG: lambda seed: video.encode(picture(seed)),
        audio.ALG: lambda seed: audio.encode(sound(seed)),
    }
    found = world.client.post("/v1/matches/byBinding", json={"alg": alg, "value": encoded(of[alg](2))})
    assert found.json() == {"matches": [{"manifestId": "urn:c2pa:2", "similarityScore": 100}]}
    assert by_binding(world, alg, encoded(of[alg](9))).json() == {"matches": []}


def test_only_what_was_released_can_be_found(world: World) -> None:
    for seed, state in enumerate(State):
        job, label = put(world, seed, state), f"urn:c2pa:{seed}"
        marked = by_binding(world, VIDEO_ALG, value_of(job)).json()["matches"]
        alike = by_binding(world, audio.ALG, encoded(audio.encode(sound(seed)))).json()["matches"]
        manifest = world.client.get(f"/v1/manifests/{label}")
        if state in credentials.PUBLIC:
            assert [one["manifestId"] for one in (*marked, *alike)] == [label] * 2
            gone = state is State.WITHDRAWN
            assert [one.get("withdrawn", False) for one in (*marked, *alike)] == [gone] * 2
            assert (manifest.status_code, manifest.content) == (200, STORE)
            assert manifest.headers.get("Greenlight-Withdrawn") == ("true" if gone else None)
        else:
            assert (marked, alike, manifest.status_code) == ([], [], 404), state


def test_without_the_guard_an_unreleased_clip_would_be_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    job = put(world, 7, State.SIGNED)
    monkeypatch.setattr(credentials, "PUBLIC", frozenset(State))
    assert by_binding(world, VIDEO_ALG, value_of(job)).json()["matches"] == [{"manifestId": "urn:c2pa:7"}]


def test_a_manifest_comes_whole_or_its_active_one_alone(world: World) -> None:
    job = put(world, 7)
    with world.tools.store.session() as session:
        session.add(Manifest(label="urn:c2pa:late", job=job.id, store=b"junk", at_ms=99))
        session.commit()
    whole = world.client.get("/v1/manifests/urn:c2pa:7")
    assert (whole.headers["Content-Type"], whole.content) == ("application/c2pa", STORE)
    alone = world.client.get("/v1/manifests/urn:c2pa:7", params={"returnActiveManifest": "true"})
    assert alone.content == box(b"jumb", box(b"jumd", b"store") + ACTIVE)
    assert by_binding(world, VIDEO_ALG, value_of(job)).json() == {
        "matches": [{"manifestId": "urn:c2pa:late"}]
    }


MISUNDERSTOOD: list[tuple[dict[str, Any], str]] = [
    ({"alg": VIDEO_ALG}, "value"),
    ({"value": NOBODY}, "alg"),
    ({"alg": "com.example.mark.1", "value": NOBODY}, "not supported"),
    ({"alg": VIDEO_ALG, "value": "not base64!"}, "base64"),
    ({"alg": VIDEO_ALG, "value": "ä"}, "base64"),
    ({"alg": VIDEO_ALG, "value": ""}, "8 bytes"),
    ({"alg": AUDIO_ALG, "value": encoded(b"short")}, "8 bytes"),
    ({"alg": video.ALG, "value": NOBODY}, "fingerprint"),
    ({"alg": audio.ALG, "value": encoded(b"GLA1\xff\xff")}, "fingerprint"),
    ({"alg": VIDEO_ALG, "value": NOBODY, "maxResults": 0}, "maxResults"),
    ({"alg": VIDEO_ALG, "value": NOBODY, "maxResults": "many"}, "maxResults"),
]


def test_a_query_that_cannot_be_understood_is_a_400_that_says_why(world: World) -> None:
    for query, why in MISUNDERSTOOD:
        asked = dict(query)
        answers = [world.client.get("/v1/matches/byBinding", params=asked)]
        limit = {"maxResults": asked.pop("maxResults")} if "maxResults" in asked else {}
        answers.append(world.client.post("/v1/matches/byBinding", json=asked, params=limit))
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (400, "bad_query"), query
            assert why in answer.json()["detail"]


def test_limits_of_a_query(world: World) -> None:
    job = put(world, 7)
    huge = by_binding(world, VIDEO_ALG, value_of(job), maxResults=10**30)
    assert len(huge.json()["matches"]) == 1
    assert by_binding(world, VIDEO_ALG, "A" * 9000).status_code == 414
    long = {"alg": VIDEO_ALG, "value": "A" * MAX_JSON_BYTES}
    assert world.client.post("/v1/matches/byBinding", json=long).status_code == 413
    assert world.client.post("/v1/matches/byBinding", content=b"{").status_code == 400


def test_an_unknown_manifest_is_not_found_and_what_is_no_id_is_told(world: World) -> None:
    for label in ("urn:c2pa:conformance-does-not-exist", "x", "..%2f..%2fetc", "%25"):
        assert world.client.get(f"/v1/manifests/{label}").status_code == 404
    for label in ("%00", "urn%0a", "x" * 600):
        assert world.client.get(f"/v1/manifests/{label}").status_code == 400


def seeing(world: World, **seen: Any) -> list[bytes]:
    """Let every file be seen as this; gives the list of what was looked at."""
    looked: list[bytes] = []

    def perceive(path: Path) -> Perception:
        looked.append(path.read_bytes())
        return Perception(**({"media": True, "trouble": None, "seconds": 1.0} | seen))

    store = world.tools.store
    matcher = Matcher(store, Finder(store), perceive)
    world.client.app.state.tools = replace(world.tools, matcher=matcher)
    return looked


def mark(track: Any, payload: int) -> MarkReading:
    return MarkReading(track=track, found=True, payload=payload, p_false=1e-12)


def by_content(
    world: World, content: bytes = b"\0\0\0\x18ftypmp42", mime: str = "video/mp4", **more: Any
) -> Any:
    return world.client.post(
        "/v1/matches/byContent", content=content, headers={"Content-Type": mime}, params=more
    )


def test_a_file_leads_to_the_manifest_by_any_of_its_layers(world: World) -> None:
    job, other = put(world, 1), put(world, 2)
    layers: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        ({"video": mark("video", int(job.payload, 16))}, [{"manifestId": "urn:c2pa:1"}]),
        ({"audio": mark("audio", int(job.payload, 16))}, [{"manifestId": "urn:c2pa:1"}]),
        (
            {"video_print": video.encode(picture(1)).hex()},
            [{"manifestId": "urn:c2pa:1", "similarityScore": 100}],
        ),
        (
            {"audio_print": audio.encode(sound(1)).hex(), "video": mark("video", int(other.payload, 16))},
            [{"manifestId": "urn:c2pa:2"}, {"manifestId": "urn:c2pa:1", "similarityScore": 100}],
        ),
        ({}, []),
    ]
    before = world.contents()
    for seen, told in layers:
        looked = seeing(world, **seen)
        answer = by_content(world, b"a stranger's file" * 100_000)
        assert (answer.status_code, answer.json()) == (200, {"matches": told})
        assert looked == [b"a stranger's file" * 100_000], "the control: it was looked at whole"
    assert world.contents() == before, "nothing uploaded is kept"


def test_only_the_algorithm_that_was_asked_for_counts_and_a_hint_comes_last(world: World) -> None:
    one, two = put(world, 1), put(world, 2)
    seeing(world, video=mark("video", int(one.payload, 16)), audio_print=audio.encode(sound(2)).hex())
    hint = {"hintAlg": AUDIO_ALG, "hintValue": value_of(two)}

    def labels(**more: Any) -> list[str]:
        return [found["manifestId"] for found in by_content(world, **more).json()["matches"]]

    assert labels() == ["urn:c2pa:1", "urn:c2pa:2"]
    assert labels(maxResults=1) == ["urn:c2pa:1"]
    assert labels(alg=VIDEO_ALG) == labels(alg=VIDEO_ALG, **hint) == ["urn:c2pa:1"]
    assert labels(alg=audio.ALG) == ["urn:c2pa:2"]
    assert (labels(alg=AUDIO_ALG), labels(alg=AUDIO_ALG, **hint)) == ([], ["urn:c2pa:2"])
    for bad in (
        {"alg": "x"},
        {"hintAlg": "x", "hintValue": NOBODY},
        {"hintAlg": VIDEO_ALG, "hintValue": "!"},
    ):
        assert by_content(world, **bad).status_code == 400


def test_a_body_that_cannot_be_looked_at_is_told(world: World) -> None:
    seeing(world)
    assert by_content(world, b"").status_code == 400
    assert by_content(world, b"x", "text/plain").status_code == 415
    assert by_content(world, b"x", "").status_code == 415
    for mime in ("video/quicktime", "audio/mpeg; x=1", "IMAGE/PNG", "application/octet-stream"):
        assert by_content(world, b"x", mime).status_code == 200
    limit = world.tools.settings.max_upload_mib << 20
    headers = {"Content-Type": "video/mp4", "Content-Length": str(limit + 1)}
    assert world.client.post("/v1/matches/byContent", content=b"x", headers=headers).status_code == 413

    def endless() -> Any:
        yield from (b"\0" * (1 << 24) for _ in range(limit // (1 << 24) + 2))

    assert (
        world.client.post(
            "/v1/matches/byContent", content=endless(), headers={"Content-Type": "video/mp4"}
        ).status_code
        == 413
    )
    seeing(world, media=False, trouble="Not media.")
    assert by_content(world).status_code == 415
    seeing(world, media=True, trouble="Broken media.")
    assert (by_content(world).status_code, by_content(world).json()["detail"]) == (400, "Broken media.")


@pytest.mark.parametrize(("error", "status"), [(BadMedia(), 400), (TimedOut(), 503)])
def test_a_reader_that_dies_or_hangs_is_told(world: World, error: Exception, status: int) -> None:
    def perceive(_path: Path) -> Perception:
        raise error

    matcher = replace(world.tools.matcher, perceive=perceive)
    world.client.app.state.tools = replace(world.tools, matcher=matcher)
    assert by_content(world).status_code == status


def test_a_child_that_was_taken_over_is_believed_nothing(world: World) -> None:
    for lie in ("ff", "474c5631ffffff", "zz"):
        seeing(world, video_print=lie)
        assert by_content(world).status_code == 400


def test_files_are_only_fetched_where_that_is_switched_on(world: World) -> None:
    query = {"referenceUrl": "https://example.org/x.mp4", "assetLength": 10}
    assert world.client.post("/v1/matches/byReference", json=query).status_code == 404
    assert (
        "queryByReference"
        not in world.client.get("/v1/services/capabilities").json()["supportedCapabilities"]
    )
    on = world.tools.settings.model_copy(update={"fetch_references": True})
    world.client.app.state.tools = replace(world.tools, settings=on)
    assert "queryByReference" in world.client.get("/v1/services/capabilities").json()["supportedCapabilities"]
    for url in ("http://example.org/", "https://127.0.0.1/", "https://[::1]/", "file:///etc/passwd", "x"):
        answer = world.client.post("/v1/matches/byReference", json=query | {"referenceUrl": url})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_query"), url
    too_large = world.client.post("/v1/matches/byReference", json=query | {"assetLength": 1 << 40})
    assert too_large.status_code == 413
    assert world.client.post("/v1/matches/byReference", json={}).status_code == 400


def test_the_service_describes_itself(world: World) -> None:
    algorithms = world.client.get("/v1/services/supportedAlgorithms").json()
    assert [one["alg"] for one in algorithms["watermarks"]] == [VIDEO_ALG, AUDIO_ALG]
    assert [one["alg"] for one in algorithms["fingerprints"]] == [video.ALG, audio.ALG]
    here = world.client.get("/v1/services/capabilities").json()
    found = world.client.get("/.well-known/c2pa-soft-binding-resolution").json()
    assert found["c2paSpecificationVersion"] == here["c2paSpecificationVersion"]
    assert SEMVER.fullmatch(here["c2paSpecificationVersion"])
    assert here["supportedCapabilities"] == ["queryByContent"]
    assert found["apiEndpoint"] == "http://testserver/v1"
    for name in ("capabilitiesEndpoint", "statusEndpoint"):
        assert world.client.get(found[name]).status_code == 200
    assert world.client.get("/v1/services/status").json() == {"status": "ok"}


def test_without_a_database_the_service_is_down(world: World) -> None:
    lost = Store(f"sqlite:///{world.folder}/lost.db")
    (world.folder / "lost.db").mkdir()
    world.client.app.state.tools = replace(world.tools, store=lost)
    assert world.client.get("/v1/services/status").json() == {"status": "down"}
    lost.close()
