from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.decision import CATEGORIES
from core.errors import ModelMissing
from safety.prompt import adapter, blend, calibrate, classifier, corpus, finetune, namelists, templates
from safety.prompt.classifier import REGISTERS, Scale
from safety.prompt.corpus import Example
from safety.prompt.windows import windows


def test_scores_mean_what_they_say_on_ordinary_prompts() -> None:
    draw = np.random.default_rng(5)
    ordinary = 3 * draw.normal(size=(50_000, 18))
    scores = Scale({"video": classifier.calibrated(ordinary)}).scores(ordinary, "video")
    harms = [CATEGORIES.index(name) for name in classifier.HARMS]
    highest = scores[:, harms].max(axis=1)
    for score, rate in ((0.5, 0.05), (0.8, 0.01), (0.95, 0.001)):
        np.testing.assert_allclose((highest >= score - 1e-9).mean(), rate, rtol=0.1)
    names = scores[:, [CATEGORIES.index(name) for name in classifier.OF_NAMES]]
    for score, rate in ((0.5, 0.02), (0.8, 0.002), (0.95, 0.0005)):
        np.testing.assert_allclose((names >= score).mean(), rate, rtol=0.3)


def test_a_small_step_above_ordinary_prompts_is_no_certainty() -> None:
    ordinary = np.full((500, 18), -8.0)
    scale = Scale({"audio": classifier.calibrated(ordinary)})
    assert scale.scores(ordinary + 0.1, "audio").max() < 0.6


def test_scores_rise_with_the_evidence() -> None:
    ordinary = np.random.default_rng(5).normal(size=(2000, 18))
    rising = np.linspace(-9, 9, 400)[:, None] * np.ones(18)
    scores = Scale({"edit": classifier.calibrated(ordinary)}).scores(rising, "edit")
    assert (np.diff(scores, axis=0) >= 0).all()
    assert scores[0].max() < 0.1
    assert scores[-1].min() > 0.95


def test_any_harm_speaks_for_harms_and_windows_cost() -> None:
    whole, part = np.full(19, -3.0, np.float32), np.full(19, -3.0, np.float32)
    whole[-1], part[CATEGORIES.index("hate")] = 1.0, 6.0
    alone, both = classifier.evidence(whole[None]), classifier.evidence(np.stack([whole, part]))
    assert alone[CATEGORIES.index("hate")] == pytest.approx(-2.0)
    assert alone[CATEGORIES.index("public_figure")] == pytest.approx(-3.0)
    assert both[CATEGORIES.index("hate")] == pytest.approx(3.0 - 2 * np.log(2))
    assert both[CATEGORIES.index("sexual")] == pytest.approx(-2.0)


def test_the_calibration_that_ships_covers_every_kind_and_category() -> None:
    scale = Scale.load()
    assert set(scale.of) == set(REGISTERS)
    assert all(knots.shape == (len(CATEGORIES), 3) for knots in scale.of.values())
    assert all((np.diff(knots, axis=1) > 0).all() for knots in scale.of.values())
    for thresholds in classifier.thresholds().values():
        assert 0 < thresholds["one_in_20"] <= thresholds["one_in_100"] < 1


def test_calibration_fits_every_category() -> None:
    told = calibrate.fitted(np.random.default_rng(5).normal(size=(400, 18)))
    assert {*CATEGORIES, "prompts"} == set(told)
    assert calibrate.highest([0.1] * 98 + [0.6, 0.9]) == {"one_in_100": 0.603, "one_in_20": 0.1}


def test_harms_below_the_hardest_ordinary_prompts_cost_and_easy_ones_do_not() -> None:
    ordinary = torch.cat([torch.full((95,), -30.0), torch.full((5,), 0.0)])
    low, high = (finetune._apart((torch.full((10,), value), ordinary), ()).item() for value in (-30.0, 30.0))
    assert low > 0.99
    assert high < 0.01
    earlier = (torch.full((10,), 30.0), ordinary)
    assert finetune._apart((torch.full((10,), -30.0), ordinary), [earlier]).item() == pytest.approx(
        1.0, abs=0.02
    )
    assert finetune._apart((torch.empty(0), ordinary), ()).item() == 0


def test_only_ordinary_texts_are_shown_by_the_sentence() -> None:
    text = "A man walks home in the rain. His dog waits at the door."
    rng = random.Random(5)
    shown = {finetune._shown(Example(text, "own"), rng) for _ in range(100)}
    assert shown == set(windows(text))
    assert {finetune._shown(Example(text, "own", ("hate",)), rng) for _ in range(100)} == {text}


def test_prompts_that_calibrate_are_not_trained_on() -> None:
    lines = list(templates.calibration())
    assert {line.register for line in lines} == set(REGISTERS)
    assert all(not line.about for line in lines)
    trained = {line.template for line in templates.written(0)}
    assert not [line.template for line in lines if line.register == "video" and line.template in trained]


def test_a_blend_is_the_mean_of_two_rounds() -> None:
    draw = np.random.default_rng(5)
    shapes = {"x.up": (24, 4), "x.down": (4, 24), "x.bias": (24,), "head.weight": (3, 24)}
    one, other = ({name: draw.normal(size=shape) for name, shape in shapes.items()} for _ in range(2))
    mean = blend.blended(one, other)
    product = (one["x.up"] @ one["x.down"] + other["x.up"] @ other["x.down"]) / 2
    np.testing.assert_allclose(mean["x.up"] @ mean["x.down"], product, atol=1e-5)
    np.testing.assert_allclose(mean["x.bias"], (one["x.bias"] + other["x.bias"]) / 2, atol=1e-6)
    np.testing.assert_allclose(
        mean["head.weight"], (one["head.weight"] + other["head.weight"]) / 2, atol=1e-6
    )
    assert mean["x.down"].shape == (adapter.RANK, 24)


def test_an_adapter_is_written_and_read() -> None:
    content = adapter.shipped().read_bytes()
    assert len(content) <= 2_000_000
    tuned = adapter.load(content)
    assert tuned["head.weight"].shape == (classifier.OUTPUTS, adapter.WIDTH)
    again = adapter.load(adapter.to_bytes(tuned))
    assert all(np.array_equal(again[name], tuned[name]) for name in tuned)
    for broken in (b"", b"PK\x03\x04 broken", content[:200]):
        with pytest.raises(ModelMissing):
            adapter.load(broken)


def test_merging_gives_the_same_bits_in_any_order() -> None:
    draw = np.random.default_rng(5)
    up, down = (
        draw.normal(size=shape).astype(np.float16) for shape in ((24, adapter.RANK), (adapter.RANK, 24))
    )
    base = {"x.weight": draw.normal(size=(24, 24)).astype(np.float32)}
    merged = adapter.merged(base, {"x.up": up, "x.down": down})["x.weight"]
    order = draw.permutation(adapter.RANK)
    shuffled = adapter.merged(base, {"x.up": up[:, order], "x.down": down[order]})["x.weight"]
    np.testing.assert_array_equal(merged, shuffled)
    assert np.abs(merged - base["x.weight"]).max() > 0.1


@given(st.text(max_size=40))
def test_a_text_stays_in_its_part_however_it_is_spaced(text: str) -> None:
    assert Example(text, "own").part == Example(f"  {text} ", "other").part


def test_our_own_prompts_fill_every_slot_and_name_every_category() -> None:
    own = list(corpus.own())
    assert len(own) > 4000
    assert not [example for example in own if "{" in example.text]
    assert {category for example in own for category in example.categories} == set(CATEGORIES)
    assert list(corpus.own()) == own


def test_the_fillings_of_one_template_stay_together() -> None:
    parts: dict[str, set[str]] = {}
    for example in corpus.own():
        parts.setdefault(example.key, set()).add(example.part)
    assert all(len(some) == 1 for some in parts.values())
    assert {part for some in parts.values() for part in some} == {"train", "calibrate", "test"}


def test_names_are_shared_out_like_texts() -> None:
    assert len(namelists.names("public_figure")) > 250
    assert len(namelists.names("franchise")) > 250
    trained = " ".join(
        line.text for line in templates.written(0) if templates.part_of(line.template) == "train"
    )
    held = [name for name in namelists.names("franchise") if templates.part_of(name) == "test"]
    assert len([name for name in held if f" {name} " in trained]) <= 0.2 * len(held)


def test_every_public_source_is_read(shared_data: Path) -> None:
    if not (shared_data / "prompts").is_dir():
        pytest.skip("the shared prompts are not here")
    examples = corpus.examples(shared_data)
    texts = [example.text for example in examples]
    assert len(texts) == len(set(texts)) > 12_000
    assert all(isinstance(example.categories, tuple) for example in examples)
    check = (shared_data / "prompts/check/moviegen_video_half.txt").read_text().splitlines()
    assert not set(check) & set(texts)
