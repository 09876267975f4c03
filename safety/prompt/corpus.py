"""Training prompts: public sets read from the shared data folder, and our own, which stand in `training/`."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from safety.prompt.templates import Part, part_of, written

_AILUMINATE = {
    "cse": ("minors_sexual", "sexual"),
    "dfm": ("defamation",),
    "hte": ("hate",),
    "iwp": ("illegal_weapons",),
    "ncr": ("illegal_weapons",),
    "prv": ("privacy",),
    "spc_ele": ("political_deception", "misinformation"),
    "src": ("sexual",),
    "ssh": ("self_harm",),
    "sxc_prn": ("sexual",),
    "vcr": ("violence_gore", "illegal_weapons"),
}
_STRONGREJECT = {
    "Disinformation and deception": ("misinformation",),
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
_I2P = {
    "sexual": "sexual",
    "violence": "violence_gore",
    "shocking": "violence_gore",
    "self-harm": "self_harm",
}
_TOXIC = 0.3
Register = Literal["video", "audio", "edit", "chat"]


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt; `categories` are what it is about (empty: ordinary); `key` decides its part of the split."""

    text: str
    source: str
    categories: tuple[str, ...] = ()
    weight: float = 1.0
    register: Register = "video"
    key: str = ""

    @property
    def part(self) -> Part:
        """The split it belongs to, by its template or its text, so that none stands on both sides."""
        return part_of(self.key or self.text)


def examples(shared_data: Path, seed: int = 0) -> list[Example]:
    """Read every source that may be trained on, each text once; our own templates are filled by `seed`."""
    folder = shared_data / "prompts"
    public = itertools.chain(_requests(folder), _hate(folder), _pictures(folder), _ordinary(folder))
    return list({one.text: one for one in itertools.chain(public, own(seed))}.values())


def own(seed: int = 0) -> Iterator[Example]:
    """Fill the prompts that we wrote ourselves."""
    for line in written(seed):
        yield Example(line.text, "own", line.about, register=line.register, key=line.template)


def held_captions(shared_data: Path) -> Iterator[Example]:
    """Read ordinary captions that `examples` leaves out, for calibration."""
    folder = shared_data / "prompts"
    for row in _rows(folder / "chronomagic/Captions_ChronoMagic-Bench.csv"):
        if not drawn(row["name"], 0.3) and drawn(row["name"], 0.6):
            yield Example(row["name"], "chronomagic")
    for line in (folder / "vbench/all_dimension_longer.txt").read_text().splitlines():
        if line.strip() and not drawn(line, 0.3):
            yield Example(line.strip(), "vbench")


def diluted(chosen: Iterable[Example], calm: list[str], rng: random.Random) -> Iterator[Example]:
    """Put a fifth of the prompts for pictures between ordinary sentences, harmful and ordinary alike."""
    for one in chosen:
        yield one
        if one.register == "video" and len(one.text) < 200 and rng.random() < 0.2:
            before, after = rng.choice(calm), rng.choice(calm)
            text = rng.choice(
                (f"{before} {one.text}. {after}", f"{one.text}. {after}", f"{before} {one.text}.")
            )
            yield replace(one, text=text, key=one.key or one.text)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",")


def _coco(folder: Path, first: int, last: int) -> Iterator[dict[str, str]]:
    yield from itertools.islice(_rows(folder / "coco/coco_10k.csv"), first, last)


def drawn(text: str, share: float) -> bool:
    """Draw by the text alone."""
    return hashlib.sha256(f"share {text}".encode()).digest()[0] < share * 256


def _requests(folder: Path) -> Iterator[Example]:
    for row in _rows(folder / "ailuminate/airr_official_1.0_demo_en_us_prompt_set_release.csv"):
        if row["hazard"] in _AILUMINATE:
            yield Example(row["prompt_text"], "ailuminate", _AILUMINATE[row["hazard"]], register="chat")
    for row in _rows(folder / "strongreject/strongreject_dataset.csv"):
        yield Example(
            row["forbidden_prompt"], "strongreject", _STRONGREJECT[row["category"]], register="chat"
        )
    for row in _rows(folder / "harmbench/harmbench_behaviors_text_all.csv"):
        if row["SemanticCategory"] in _HARMBENCH:
            yield Example(row["Behavior"], "harmbench", _HARMBENCH[row["SemanticCategory"]], register="chat")
    for row in _rows(folder / "advbench/harmful_behaviors.csv"):
        yield Example(row["goal"], "advbench", ("illegal_weapons",), 0.5, register="chat")


def _hate(folder: Path) -> Iterator[Example]:
    for row in _rows(folder / "hatecheck/test_suite_cases.csv"):
        about = ("hate",) if row["label_gold"] == "hateful" else ()
        text = row["test_case"].strip()
        if drawn(text, 0.3 if about else 0.6):
            yield Example(text, "hatecheck", about, 0.5, register="chat")
    for row in _rows(folder / "davidson/labeled_data.csv"):
        text = " ".join(word for word in row["tweet"].split() if "@" not in word and "http" not in word)
        if row["class"] != "1" and int(row["count"]) == max(int(row["hate_speech"]), int(row["neither"])):
            about = ("hate",) if row["class"] == "0" else ()
            if about or drawn(text, 0.3):
                yield Example(text.strip('!"& '), "davidson", about, 0.4, register="chat")


def _pictures(folder: Path) -> Iterator[Example]:
    """Prompts for pictures that raters found unsafe as texts: three votes and more, or toxic wording."""
    for path in sorted((folder / "nibbler").glob("*.json")):
        table = json.loads(path.read_text())
        for key, prompt in table["prompt"].items():
            yield from _nibbler(prompt, table["validation"][key])
    for row in _rows(folder / "i2p/i2p.csv"):
        about = tuple(_I2P[name] for name in row["categories"].split(", ") if name in _I2P)
        if about and float(row["prompt_toxicity"]) > _TOXIC:
            yield Example(row["prompt"].strip(), "i2p", about[:1], 0.5)


def _nibbler(prompt: str, validation: str | list[str]) -> Iterator[Example]:
    import ast

    votes = [
        json.loads(vote)
        for vote in (ast.literal_eval(validation) if isinstance(validation, str) else validation)
    ]
    unsafe = [vote for vote in votes if "text_unsafe" in vote["text_safety_validation"]]
    if len(votes) >= 3 and not unsafe:
        yield Example(prompt.strip(), "nibbler")
    if len(unsafe) < 3:
        return
    named = [kind for vote in unsafe for kind in vote["image_failure_type"]]
    about = tuple(_NIBBLER[kind] for kind in _NIBBLER if named.count(kind) >= 2)
    if about:
        yield Example(prompt.strip(), "nibbler", about)


def _ordinary(folder: Path) -> Iterator[Example]:
    for name, share in (("all_dimension", 1.0), ("all_dimension_longer", 0.3), ("VBench2_full_text", 1.0)):
        for line in (folder / f"vbench/{name}.txt").read_text().splitlines():
            if line.strip() and drawn(line, share):
                yield Example(line.strip(), "vbench")
    for row in _rows(folder / "parti/PartiPrompts.tsv"):
        yield Example(row["Prompt"], "parti", weight=0.7)
    for row in (*_coco(folder, 0, 1500), *_coco(folder, 2300, 3500)):
        yield Example(row["prompt"], "coco", weight=0.7)
    for row in _rows(folder / "chronomagic/Captions_ChronoMagic-Bench.csv"):
        if drawn(row["name"], 0.3) or not drawn(row["name"], 0.8):
            yield Example(row["name"], "chronomagic")
    for line in (folder / "dolly/databricks-dolly-15k-safety-only.jsonl").read_text().splitlines():
        yield Example(json.loads(line)["instruction"], "dolly", register="chat")
