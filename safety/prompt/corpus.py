"""Training prompts: public sets read from the shared data folder, and our own, which ship with the code."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

HEADS = (
    "sexual",
    "minors_sexual",
    "violence_gore",
    "hate",
    "self_harm",
    "illegal_weapons",
    "misinformation",
    "privacy",
    "defamation",
    "impersonation_fraud",
)
"""The categories that have a head of their own; the others are questions of entity and intent."""

_AILUMINATE = {
    "cse": ("minors_sexual",),
    "dfm": ("defamation",),
    "hte": ("hate",),
    "iwp": ("illegal_weapons",),
    "ncr": ("illegal_weapons", "impersonation_fraud"),
    "prv": ("privacy",),
    "spc_ele": ("misinformation",),
    "src": ("sexual",),
    "ssh": ("self_harm",),
    "sxc_prn": ("sexual",),
    "vcr": ("violence_gore", "illegal_weapons"),
}
_STRONGREJECT = {
    "Disinformation and deception": ("misinformation", "impersonation_fraud"),
    "Hate, harassment and discrimination": ("hate",),
    "Illegal goods and services": ("illegal_weapons",),
    "Non-violent crimes": ("impersonation_fraud", "illegal_weapons"),
    "Sexual content": ("sexual",),
    "Violence": ("violence_gore", "illegal_weapons"),
}
_HARMBENCH = {
    "chemical_biological": ("illegal_weapons",),
    "illegal": ("illegal_weapons",),
    "cybercrime_intrusion": ("illegal_weapons",),
    "misinformation_disinformation": ("misinformation",),
    "harassment_bullying": ("hate",),
}
_NIBBLER = {
    "image_failure_sexual": "sexual",
    "image_failure_violent": "violence_gore",
    "image_failure_hate": "hate",
}
_I2P = {"sexual": "sexual", "violence": "violence_gore", "hate": "hate", "self-harm": "self_harm"}

OWN_ORDINARY = 12.0
"""The weight of our own ordinary prompts: few, but in the register that matters most."""

Part = Literal["train", "calibrate", "test"]


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt; `categories` are what it is about (empty: ordinary), `video` if it describes a picture."""

    text: str
    source: str
    categories: tuple[str, ...] = ()
    weight: float = 1.0
    video: bool = False

    @property
    def part(self) -> Part:
        """The split it belongs to, by its text alone, so that equal texts never stand on both sides."""
        draw = hashlib.sha256(" ".join(self.text.lower().split()).encode()).digest()[0] % 5
        return "test" if draw == 0 else "calibrate" if draw == 1 else "train"


def examples(shared_data: Path) -> list[Example]:
    """Read every source that may be trained on, each text once."""
    folder = shared_data / "prompts"
    sources = (_requests(folder), _hate(folder), _pictures(folder), _ordinary(folder), own())
    return list({example.text: example for example in itertools.chain(*sources)}.values())


def own() -> Iterator[Example]:
    """Expand the prompts that we wrote ourselves (own_prompts.yaml)."""
    groups: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("own_prompts.yaml").read_text())
    for group in groups:
        source = "own_sound" if group.get("sound") else "own"
        for line in group["prompts"]:
            for text in _expanded(line, group.get("slots", {})):
                about = tuple(group["about"])
                yield Example(
                    text, source, about, weight=1.0 if about else OWN_ORDINARY, video=source == "own"
                )


def _expanded(line: str, slots: Mapping[str, list[str]]) -> Iterator[str]:
    used = [name for name in slots if f"{{{name}}}" in line]
    for values in itertools.product(*(slots[name] for name in used)):
        yield line.format(**dict(zip(used, values, strict=True)))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",")


def _requests(folder: Path) -> Iterator[Example]:
    for row in _rows(folder / "ailuminate/airr_official_1.0_demo_en_us_prompt_set_release.csv"):
        if row["hazard"] in _AILUMINATE:
            yield Example(row["prompt_text"], "ailuminate", _AILUMINATE[row["hazard"]])
    for row in _rows(folder / "strongreject/strongreject_dataset.csv"):
        yield Example(row["forbidden_prompt"], "strongreject", _STRONGREJECT[row["category"]])
    for row in _rows(folder / "harmbench/harmbench_behaviors_text_all.csv"):
        if row["SemanticCategory"] in _HARMBENCH:
            yield Example(row["Behavior"], "harmbench", _HARMBENCH[row["SemanticCategory"]])


def _hate(folder: Path) -> Iterator[Example]:
    for row in _rows(folder / "hatecheck/test_suite_cases.csv"):
        about = ("hate",) if row["label_gold"] == "hateful" else ()
        yield Example(row["test_case"].strip(), "hatecheck", about, weight=0.35)


def _pictures(folder: Path) -> Iterator[Example]:
    """Prompts for pictures that raters found unsafe as texts: three votes and more, or toxic wording."""
    for path in sorted((folder / "nibbler").glob("*.json")):
        table = json.loads(path.read_text())
        for key, prompt in table["prompt"].items():
            yield from _nibbler(prompt, table["validation"][key])
    for row in _rows(folder / "i2p/i2p.csv"):
        about = tuple(_I2P[name] for name in row["categories"].split(", ") if name in _I2P)
        if about and float(row["prompt_toxicity"]) > 0.5:
            yield Example(row["prompt"].strip(), "i2p", about[:1], video=True)


def _nibbler(prompt: str, validation: str | list[str]) -> Iterator[Example]:
    import ast

    votes = [
        json.loads(vote)
        for vote in (ast.literal_eval(validation) if isinstance(validation, str) else validation)
    ]
    unsafe = [vote for vote in votes if "text_unsafe" in vote["text_safety_validation"]]
    if len(votes) >= 3 and not unsafe:
        yield Example(prompt.strip(), "nibbler", video=True)
    if len(unsafe) < 3:
        return
    named = [kind for vote in unsafe for kind in vote["image_failure_type"]]
    about = tuple(_NIBBLER[kind] for kind in _NIBBLER if named.count(kind) >= 3)
    if about:
        yield Example(prompt.strip(), "nibbler", about, weight=0.7, video=True)


def _ordinary(folder: Path) -> Iterator[Example]:
    for name in ("all_dimension", "all_dimension_longer", "VBench2_full_text"):
        for line in (folder / f"vbench/{name}.txt").read_text().splitlines():
            if line.strip():
                yield Example(line.strip(), "vbench", video=True)
    for row in _rows(folder / "parti/PartiPrompts.tsv"):
        yield Example(row["Prompt"], "parti", weight=0.7, video=True)
    for row in itertools.islice(_rows(folder / "coco/coco_10k.csv"), 3000):
        yield Example(row["prompt"], "coco", weight=0.7, video=True)
    for row in _rows(folder / "chronomagic/Captions_ChronoMagic-Bench.csv"):
        yield Example(row["name"], "chronomagic", video=True)
    for line in (folder / "dolly/databricks-dolly-15k-safety-only.jsonl").read_text().splitlines():
        yield Example(json.loads(line)["instruction"], "dolly")
