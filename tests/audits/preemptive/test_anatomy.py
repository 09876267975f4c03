from __future__ import annotations

import random
from pathlib import Path

import pytest

from audits.preemptive.anatomy import dissect
from audits.preemptive.mutate import Lure, mutated
from audits.preemptive.specimens import FORMATS, Specimen, tiny


@pytest.fixture(scope="module")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Specimen]:
    found, _ = tiny(tmp_path_factory.mktemp("specimens"), 1)
    return dict(zip(FORMATS, found, strict=True))


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_byte_has_a_name(specimens: dict[str, Specimen], suffix: str) -> None:
    data = specimens[suffix].path.read_bytes()
    parts = dissect(data)
    assert [part.start for part in parts] == [0, *(part.end for part in parts[:-1])]
    assert parts[-1].end == len(data)
    names = {part.name for part in parts}
    assert {
        "manifest actions.v2",
        "manifest claim.v2",
        "manifest signature",
        "manifest signature padding",
    } <= names


@pytest.mark.parametrize(
    ("suffix", "names"),
    [
        (
            "mp4",
            {
                "ftyp",
                "uuid header",
                "moov/trak/tkhd",
                "moov/udta/meta/ilst header",
                "moov/trak/mdia/minf/stbl/stco",
                "mdat",
            },
        ),
        ("wav", {"RIFF header", "fmt", "data", "C2PA header"}),
        ("mp3", {"ID3 header", "GEOB header", "MPEG frames"}),
        ("flac", {"ID3 header", "fLaC", "block 0", "FLAC frames"}),
        ("png", {"PNG signature", "IHDR", "IDAT", "caBX check", "IEND header"}),
        ("jpg", {"SOI", "segment EB header", "scan", "EOI"}),
    ],
)
def test_the_parts_of_a_format_are_found(
    specimens: dict[str, Specimen], suffix: str, names: set[str]
) -> None:
    assert names <= {part.name for part in dissect(specimens[suffix].path.read_bytes())}


def test_a_mutation_is_reproducible_and_changes_something(specimens: dict[str, Specimen]) -> None:
    data = specimens["mp4"].path.read_bytes()
    parts, lure = dissect(data), Lure(str(Path("/nowhere")), "http://127.0.0.1:1")
    made = [mutated(random.Random(seed), data, parts, [data], lure) for seed in range(200)]
    again = [mutated(random.Random(seed), data, parts, [data], lure) for seed in range(200)]
    assert made == again
    assert sum(one != data for one in made) > 180
    assert len(set(made)) > 170
