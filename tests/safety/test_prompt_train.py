from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decision import CATEGORIES
from core.errors import ModelMissing
from safety.prompt import corpus, heads, train
from safety.prompt.corpus import Example


def test_a_head_learns_what_separates_its_examples() -> None:
    draw = np.random.default_rng(5)
    vectors = draw.normal(size=(400, 8)).astype(np.float32)
    targets = (vectors[:, 2] > 0).astype(np.float64)
    weight, bias = train.fitted(vectors, targets, np.ones(400))
    right = ((vectors @ weight + bias) > 0) == (targets > 0)
    assert right.mean() > 0.97
    assert int(np.abs(weight).argmax()) == 2


def test_scores_mean_what_they_say_on_ordinary_prompts() -> None:
    draw = np.random.default_rng(5)
    ordinary = draw.normal(size=(50_000, 2)).astype(np.float32)
    scale = heads.calibrated_scale(ordinary)
    scores = 1 / (1 + np.exp(-scale[:, 0] * (ordinary - scale[:, 1])))
    np.testing.assert_allclose((scores >= 0.5).mean(axis=0), 0.05, atol=0.004)
    np.testing.assert_allclose((scores >= 0.8).mean(axis=0), 0.001, atol=0.0006)


def test_the_highest_window_counts_in_the_register_asked_for() -> None:
    scale = np.array([[[1, 0]], [[1, 5]]], np.float32)
    one = heads.Heads(("hate",), np.eye(2, 1, dtype=np.float32), np.zeros(1, np.float32), scale)
    vectors = np.array([[-4, 0], [3, 0]], np.float32)
    assert one.scores(vectors, "video")["hate"] == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-4)
    assert one.scores(vectors, "audio")["hate"] == pytest.approx(1 / (1 + np.exp(2)), abs=1e-4)


def test_heads_are_written_and_read(tmp_path: Path) -> None:
    shipped, model = heads.load(heads.shipped())
    assert shipped.names == corpus.HEADS
    assert set(shipped.names) < set(CATEGORIES)
    path = tmp_path / "heads.npz"
    path.write_bytes(heads.to_bytes(shipped))
    again, _ = heads.load(path)
    np.testing.assert_array_equal(again.weight, shipped.weight)
    np.testing.assert_array_equal(again.scale, shipped.scale)
    assert model.name == "heads.npz"
    for content in (b"", b"PK\x03\x04 broken", heads.to_bytes(shipped)[:200]):
        path.write_bytes(content)
        with pytest.raises(ModelMissing):
            heads.load(path)
    with pytest.raises(ModelMissing):
        heads.load(tmp_path / "absent.npz")


@given(st.text(max_size=40))
def test_a_text_stays_in_its_part_however_it_is_spaced(text: str) -> None:
    assert Example(text, "own").part == Example(f"  {text} ", "other").part


def test_our_own_prompts_fill_every_slot() -> None:
    own = list(corpus.own())
    assert len(own) > 1000
    assert not [example for example in own if "{" in example.text]
    assert {category for example in own for category in example.categories} < set(corpus.HEADS)


def test_every_public_source_is_read(shared_data: Path) -> None:
    if not (shared_data / "prompts").is_dir():
        pytest.skip("the shared prompts are not here")
    examples = corpus.examples(shared_data)
    texts = [example.text for example in examples]
    assert len(texts) == len(set(texts)) > 15_000
    named = {category for example in examples for category in example.categories}
    assert named == set(corpus.HEADS)
    check = (shared_data / "prompts/check/moviegen_video_half.txt").read_text().splitlines()
    assert not set(check) & set(texts)
