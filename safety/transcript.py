# mypy: disable-error-code="no-untyped-call"
# transformers comes without types.
"""What is said in a clip: a local Whisper checkpoint (Radford et al. 2022, arXiv:2212.04356), where there is one.

None ships with the project. An operator puts a checkpoint folder, as `save_pretrained` writes it, at
`whisper/` in the folder of models; without it nothing is transcribed, and the screening says so.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing
from core.finding import Model
from core.models import file_sha256

FOLDER = "whisper"
RATE = 16_000
CHUNK_S = 28.0
"""Whisper listens to 30 s at a time; the rest is room for a cut in a pause."""
MOST_TOKENS = 220
"""Tokens per chunk: 28 s of fast speech are under 200."""

Floats = npt.NDArray[np.float32]


class Transcriber:
    """A speech recogniser; make it with `load`."""

    def __init__(self, network: Any, processor: Any, model: Model) -> None:
        self._network = network
        self._processor = processor
        self.model = model

    @classmethod
    def load(cls, models_dir: Path) -> Transcriber | None:
        """Load the checkpoint in `models_dir`, or None where there is none; raise `ModelMissing` if it is broken.

        No remote code runs, nothing is fetched, and only safetensors are read.
        """
        folder = models_dir / FOLDER
        if not folder.is_dir():
            return None
        from transformers import WhisperForConditionalGeneration, WhisperProcessor
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        logging.getLogger("transformers").setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                network = WhisperForConditionalGeneration.from_pretrained(
                    folder, local_files_only=True, use_safetensors=True
                )
                processor = WhisperProcessor.from_pretrained(folder, local_files_only=True)
        except (
            Exception
        ) as error:  # the library has no error of its own; whatever broke, there is no recogniser
            raise ModelMissing(
                f"The speech recogniser in {FOLDER}/ does not load; put it there again."
            ) from error
        return cls(network.eval(), processor, Model(FOLDER, _digest(folder)))

    def __call__(self, wave: Floats, speech: tuple[tuple[float, float], ...]) -> str:
        """Write down what is said in 16 kHz samples (n,); `speech` are its turns, (start, end) in seconds."""
        import torch

        said = []
        for start, end in chunks(speech):
            part = wave[round(start * RATE) : round(end * RATE)]
            heard = self._processor(part, sampling_rate=RATE, return_tensors="pt", return_attention_mask=True)
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tokens = self._network.generate(
                    heard.input_features,
                    attention_mask=heard.attention_mask,
                    max_new_tokens=MOST_TOKENS,
                    do_sample=False,
                )
            said += self._processor.batch_decode(tokens, skip_special_tokens=True)
        return " ".join(part.strip() for part in said).strip()


def chunks(speech: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """Join turns of speech into stretches of at most 28 s; a longer turn is cut."""
    joined: list[tuple[float, float]] = []
    for start, end in speech:
        if joined and end - joined[-1][0] <= CHUNK_S:
            joined[-1] = (joined[-1][0], end)
            continue
        at = start
        while end - at > CHUNK_S:
            joined.append((at, at + CHUNK_S))
            at += CHUNK_S
        joined.append((at, end))
    return joined


def _digest(folder: Path) -> str:
    """Name a checkpoint by one SHA-256 over the names and digests of its files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = "".join(f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
    return hashlib.sha256(listed.encode()).hexdigest()
