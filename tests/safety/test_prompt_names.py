from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ModelMissing
from safety.prompt import gazetteer, namelists, packs, views
from safety.prompt.gazetteer import Protected, ProtectedName
from safety.prompt.namelists import Spelling
from safety.prompt.packbuild import build, listed
from safety.prompt.packs import Pack, Shelf

KEY = bytes(range(32))
WORDS = frozenset(
    [
        "a",
        "in",
        "the",
        "of",
        "spring",
        "walks",
        "smiles",
        "says",
        "goodnight",
        "soup",
        "eats",
        "lake",
        "dawn",
        "senator",
        "speech",
        "by",
        "marble",
    ]
)
SPELLINGS = [
    Spelling("Ilmari Kantelan", "public_figure", "ilmari", "head_of_state", "fi"),
    Spelling("I. K. Kantelan", "public_figure", "ilmari", "head_of_state", "fi"),
    Spelling("習近平", "public_figure", "xi", "head_of_state", "cn"),
    Spelling("Путин", "public_figure", "putin", "head_of_state", "ru"),
    Spelling("Drake", "public_figure", "drake", "performer", "us", ordinary=True),
    Spelling("Zorblax", "franchise", "zorblax"),
    Spelling("James Miller", "public_figure", "miller", "state_legislator", "us"),
    Spelling("S Anderholm", "public_figure", "anderholm", "performer", "us", ordinary=True),
    Spelling("Marble", "franchise", "marble-film", ordinary=True, title=True),
    Spelling("Alone at Dawn", "franchise", "alone-film", ordinary=True),
    Spelling("Purplex", "franchise", "purplex", ordinary=True),
]
PROTECTED = (ProtectedName("p1", ("Paris",)), ProtectedName("m1", ("Maren Holt", "Holtie")))


def is_word(word: str) -> bool:
    return word in WORDS or word == "paris"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("packs") / "one"
    build(folder, "one", "1", SPELLINGS, KEY)
    return folder, (folder / "key.txt").read_text().strip()


@pytest.fixture(scope="module")
def found(built: tuple[Path, str]) -> Callable[[str], list[tuple[str, str, str]]]:
    names = [Pack.load(built[0], (built[1],)), Protected(PROTECTED, is_word)]

    def search(text: str) -> list[tuple[str, str, str]]:
        met = gazetteer.entities(views.read(text), text, names, is_word)
        return [(one["text"], one["id"], one["match"]) for one in met]

    return search


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ilmari Kantelan eats soup", [("Ilmari Kantelan", "ilmari-kantelan", "exact")]),
        ("ILMARI KANTELAN'S SOUP", [("ILMARI KANTELAN", "ilmari-kantelan", "exact")]),
        ("I.K. Kantelan says goodnight", [("I.K. Kantelan", "ilmari-kantelan", "exact")]),
        ("IlmariKantelan eats soup", [("IlmariKantelan", "ilmari-kantelan", "exact")]),
        ("Ilm ari Kan telan eats soup", [("Ilm ari Kan telan", "ilmari-kantelan", "exact")]),
        ("Ilmari Kantellan eats soup", [("Ilmari Kantellan", "ilmari-kantelan", "fuzzy")]),
        ("Imlari Kantelan eats soup", [("Imlari Kantelan", "ilmari-kantelan", "fuzzy")]),
        ("习近平 習近平在街上走", [("習近平", "習近平", "exact")]),
        ("Путин walks", [("Путин", "путин", "exact")]),
        ("Zorblux walks", [("Zorblux", "zorblax", "fuzzy")]),
        ("a zorblax eats soup", [("zorblax", "zorblax", "exact")]),
        ("Maren Holt walks", [("Maren Holt", "m1", "exact")]),
        ("Marne Holt walks", [("Marne Holt", "m1", "fuzzy")]),
        ("marenholt walks", [("marenholt", "m1", "exact")]),
        ("HOLTIE smiles", [("HOLTIE", "m1", "exact")]),
        ("Paris smiles", [("Paris", "p1", "exact")]),
        ("Drake says goodnight", [("Drake", "drake", "exact")]),
        ("DRAKE SAYS GOODNIGHT", [("DRAKE", "drake", "exact")]),
        ("a senator, James Miller, says goodnight", [("James Miller", "james-miller", "exact")]),
        ("Tork from Marble walks", [("Marble", "marble", "exact")]),
        ("Tork the otter from Marble walks", [("Marble", "marble", "exact")]),
        ("a scene from Marble", [("Marble", "marble", "exact")]),
        ("Marble (2013) in the lake", [("Marble", "marble", "exact")]),
        ('the film called "Marble"', [("Marble", "marble", "exact")]),
        ("a marble soup by Tork from Alone at Dawn", [("Alone at Dawn", "alone-at-dawn", "exact")]),
        ("dressed as alone at dawn", [("alone at dawn", "alone-at-dawn", "exact")]),
    ],
)
def test_a_name_is_found_however_it_is_written(
    found: Callable[[str], list[tuple[str, str, str]]], text: str, expected: Sequence[tuple[str, str, str]]
) -> None:
    assert found(text) == list(expected)


@pytest.mark.parametrize(
    "text",
    [
        "Paris in spring",
        "A walk through Paris at dawn",
        "the streets of Paris",
        "a drake walks in the lake",
        "IN THE LAKE DRAKE AND SOUP",
        "James Miller eats soup",
        "Maren walks",
        "The holt of an otter",
        "Marena Holtz walks",
        "Ilmari Santelan",
        "Kantelan",
        "Tork from Berlin walks",
        "Tork from Marble Hill walks",
        "a marble lake",
        "Marble soup in the lake",
        "The soup of Marble",
        "Tork walks alone at dawn",
        "an Alone at Dawn soup",
        "ALONE AT DAWN IN THE LAKE",
        "Tork smiles, with purplez",
        "Tork Sanderholm walks",
    ],
)
def test_what_is_no_name_is_not_found(found: Callable[[str], list[tuple[str, str, str]]], text: str) -> None:
    assert found(text) == []


@given(st.text(max_size=80))
def test_spans_are_inside_the_text(text: str) -> None:
    names = [Protected((ProtectedName("x", ("ab", "Abc Def")),), is_word)]
    for one in gazetteer.entities(views.read(text), text, names, is_word):
        assert 0 <= one["start"] < one["end"] <= len(text)
        assert one["text"] == text[one["start"] : one["end"]]


def test_a_pack_says_who_that_is(built: tuple[Path, str]) -> None:
    pack = Pack.load(built[0], (built[1],))
    known = pack.known("ilmari kantelan")
    assert (known.kind, known.office, known.jurisdiction) == ("public_figure", "head_of_state", "fi")
    assert pack.model.name == "names one 1"
    assert len(pack.model.sha256) == 64


def altered(folder: Path, file: str) -> None:
    content = bytearray((folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / file).write_bytes(content)


@pytest.mark.parametrize("file", [*packs.FILES, "pack.json", "pack.sig"])
def test_an_altered_pack_is_not_opened(built: tuple[Path, str], tmp_path: Path, file: str) -> None:
    folder = tmp_path / "pack"
    shutil.copytree(built[0], folder)
    Pack.load(folder, (built[1],))
    altered(folder, file)
    with pytest.raises(ModelMissing):
        Pack.load(folder, (built[1],))


def test_a_pack_of_a_stranger_or_without_a_file_is_not_opened(
    built: tuple[Path, str], tmp_path: Path
) -> None:
    with pytest.raises(ModelMissing, match="not trusted"):
        Pack.load(built[0], ("00" * 32,))
    with pytest.raises(ModelMissing, match="cannot be read"):
        Pack.load(tmp_path, (built[1],))


def test_packs_are_taken_up_while_the_gate_runs(built: tuple[Path, str], tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, (built[1],))
    assert [pack.name for pack in shelf.packs()] == ["known"]
    build(tmp_path / "two", "two", "1", SPELLINGS[:1], KEY)
    first = shelf.packs()
    assert [pack.version for pack in first[1:]] == ["1"]
    assert shelf.packs()[1] is first[1]
    build(tmp_path / "two", "two", "2", SPELLINGS, KEY)
    assert [pack.version for pack in shelf.packs()[1:]] == ["2"]
    build(tmp_path / "two", "two", "3", SPELLINGS, bytes(32))
    with pytest.raises(ModelMissing, match="not trusted"):
        shelf.packs()
    build(tmp_path / "two", "two", "4", SPELLINGS, KEY)
    assert [pack.version for pack in shelf.packs()[1:]] == ["4"]


def test_the_same_names_make_the_same_pack(built: tuple[Path, str], tmp_path: Path) -> None:
    build(tmp_path, "one", "1", SPELLINGS, KEY)
    assert (tmp_path / "pack.json").read_bytes() == (built[0] / "pack.json").read_bytes()


def test_an_operators_list_is_read(tmp_path: Path) -> None:
    path = tmp_path / "list.tsv"
    rows = ["# ours", "public_figure\tAda Berg\tA. Berg = Berg?\tmayor\tno", "franchise\tMarble??", ""]
    path.write_text("\n".join(rows), encoding="utf-8")
    first, second, third, work = listed(path)
    assert (work.text, work.ordinary, work.title) == ("Marble", True, True)
    assert (first.text, first.office, first.jurisdiction) == ("Ada Berg", "mayor", "no")
    assert second.id == first.id == third.id
    assert third.ordinary
    assert third.text == "Berg"


def test_the_pack_that_ships_knows_our_lists() -> None:
    (pack,) = Shelf().packs()
    unknown = [
        one.text for one in namelists.written() if " ".join(gazetteer.tokens(one.text)) not in pack.names
    ]
    assert unknown == []
    assert {one.kind for one in namelists.written()} == {
        "public_figure",
        "living_artist",
        "franchise",
        "brand",
    }
    assert sum(path.stat().st_size for path in packs.shipped().iterdir()) < 4_000_000


@pytest.fixture(scope="module")
def shipped() -> Callable[[str], list[str]]:
    packs_in_use = Shelf().packs()

    def search(text: str) -> list[str]:
        met = gazetteer.entities(views.read(text), text, packs_in_use, lambda word: word != "pikachoo")
        return [f"{one['kind']} {one['text']}" for one in met]

    return search


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Olaf from Frozen dances", "franchise Frozen"),
        ("the Pixar film Up, with puppets", "franchise Up"),
        ("kids dressed as the cast of Home Alone", "franchise Home Alone"),
        ("Flynn Lorry from Outer Wilds waves", "franchise Outer Wilds"),
        ("a Pokémon like Bulbasaur in the grass", "franchise Bulbasaur"),
        ("皮卡丘在街上跑", "franchise 皮卡丘"),
        ("Человек-паук на крыше", "franchise Человек-паук"),
        ("هاري بوتر يطير", "franchise هاري بوتر"),
        ("ドラえもんが空を飛ぶ", "franchise ドラえもん"),
        ("Дональд Трамп поёт", "public_figure Дональд Трамп"),
        ("नरेंद्र मोदी भाषण देते हैं", "public_figure नरेंद्र मोदी"),
        ("梅西踢球", "public_figure 梅西"),
        ("Ronald McDonald juggles", "franchise Ronald McDonald"),
        ("Nicola Coughlan laughs", "public_figure Nicola Coughlan"),
    ],
)
def test_the_pack_that_ships_finds(shipped: Callable[[str], list[str]], text: str, expected: str) -> None:
    assert expected in shipped(text)


@pytest.mark.parametrize(
    "text",
    [
        "a frozen lake, cars and a brave dog up on the hill",
        "Anna from Berlin waves, Maria from accounting laughs",
        "a boy from Paris eats soup",
        "kids left home alone at dawn",
        "two cups of black coffee in heavy rain",
        "a couple sharing an umbrella",
        "a hot air balloon over the Kremlin",
        "purples and panoramic hills, with poppies and a flamingo",
        "a mother reads the little prince a story, with great expectations",
        "Cars race through the desert. Wish them luck.",
        "A soul singer on a cold mountain at sunset",
    ],
)
def test_the_pack_that_ships_leaves_ordinary_words_alone(
    shipped: Callable[[str], list[str]], text: str
) -> None:
    assert shipped(text) == []
