from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from core import models
from core.errors import ModelMissing
from safety.prompt import convert
from safety.prompt.classifier import Classifier
from safety.prompt.convert import CLASSIFIER, build, quantised


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Stand in for the quantiser, and list what it was given."""
    given: list[bytes] = []

    def stand_in(content: bytes) -> bytes:
        given.append(content)
        return b"made anew"

    monkeypatch.setattr(convert, "classifier_onnx", lambda _: b"graph")
    monkeypatch.setattr(convert, "quantised", stand_in)
    return given


def copied(prompt_models: Path, folder: Path) -> Path:
    for file in prompt_models.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_what_is_made_is_not_made_again(prompt_models: Path, conversions: list[bytes]) -> None:
    (model,) = build(prompt_models)
    assert conversions == []
    assert models.converted(prompt_models, CLASSIFIER, convert.made_from())[1] == model


@pytest.mark.parametrize("change", ["file", "note", "source", "recipe"])
def test_what_is_damaged_or_made_otherwise_is_made_again(
    prompt_models: Path,
    conversions: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    folder = copied(prompt_models, tmp_path)
    note = folder / f"{CLASSIFIER}.json"
    if change == "file":
        (folder / CLASSIFIER).write_bytes(b"damaged")
    elif change == "note":
        note.write_text("{")
    elif change == "source":
        note.write_text(json.dumps(json.loads(note.read_text()) | {"made_from": "minilm 00"}))
    else:
        monkeypatch.setattr(convert, "RECIPE", convert.RECIPE + 1)
    (model,) = build(folder)
    assert conversions == [b"graph"]
    assert models.converted(folder, CLASSIFIER, convert.made_from())[1] == model
    assert build(folder) == (model,)
    assert len(conversions) == 1


def test_the_quantiser_advises_nobody_and_leaves_logging_as_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "one",
        [value("x", TensorProto.FLOAT, [1, 4])],
        [value("y", TensorProto.FLOAT, [1, 4])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    root = logging.getLogger()
    before = (root.level, list(root.handlers), list(root.filters))
    assert quantised(model.SerializeToString())
    assert caplog.records == []
    assert (root.level, list(root.handlers), list(root.filters)) == before
    with convert._without_advice():
        logging.warning("Something else")  # noqa: LOG015  the quantiser speaks on the root logger too
    assert [record.message for record in caplog.records] == ["Something else"]


def test_a_model_from_another_adapter_is_not_used_with_our_thresholds(
    prompt_models: Path, tmp_path: Path
) -> None:
    folder = copied(prompt_models, tmp_path)
    Classifier.load(folder)
    note = folder / f"{CLASSIFIER}.json"
    earlier = json.loads(note.read_text())["made_from"].replace("adapter ", "adapter 0")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"made_from": earlier}))
    with pytest.raises(ModelMissing, match="run `greenlight models pull`"):
        Classifier.load(folder)
