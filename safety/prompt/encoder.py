"""A sentence encoder (MiniLM, English, int8 ONNX): texts in, unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core import models
from core.errors import Unavailable
from core.finding import Model
from safety.prompt.convert import ENCODER

MAX_TOKENS = 128

Vectors = npt.NDArray[np.float32]
"""(n, 384), float32, each of length 1."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """A loaded encoder; safe to use from several threads."""

    session: Any
    tokenizer: Any
    models: tuple[Model, ...]

    @classmethod
    def load(cls, folder: Path) -> Encoder:
        """Load from `folder`, digests checked; raise `ModelMissing` where `convert.build` has not been run."""
        import onnxruntime
        from tokenizers import Tokenizer

        path, model = models.converted(folder, ENCODER)
        vocabulary = models.wheel_file("minilm-tokenizer")
        tokenizer = Tokenizer.from_file(str(vocabulary))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        digest = models.registry()["minilm-tokenizer"].sha256
        return cls(session, tokenizer, (model, Model("minilm-tokenizer", digest)))

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts, the first 128 tokens of each; raise `Unavailable` where the model fails."""
        encodings = self.tokenizer.encode_batch(list(texts))
        return np.concatenate([self._run(encoding.ids) for encoding in encodings])

    def _run(self, ids: Sequence[int]) -> Vectors:
        """Run one text by itself: int8 ranges are taken per run, so texts in a batch would touch each other."""
        feed = {"ids": np.array([ids], np.int64), "positions": np.arange(len(ids))}
        try:
            vectors: Vectors = self.session.run(None, feed)[0]
        except RuntimeError as error:
            raise Unavailable("the prompt classifier failed") from error
        return vectors
