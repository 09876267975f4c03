"""Open an ONNX network for inference on a bounded number of threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing, Unavailable
from core.finding import Model

Values = npt.NDArray[np.float32]


class Network:
    """A checked ONNX file that onnxruntime has loaded; one float32 input, outputs by name."""

    def __init__(self, path: Path, model: Model, *, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # A waiting thread that spins nearly doubles the processor time and serves nobody here.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no narrower parent
            raise ModelMissing(f"{model.name} cannot be loaded: {error}") from error
        self.model = model
        self._input = self._session.get_inputs()[0].name
        self._outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, values: Values) -> dict[str, Values]:
        """Run the network once and return its outputs by name; raises `Unavailable` when it cannot run."""
        try:
            outputs = self._session.run(None, {self._input: values})
        except Exception as error:
            raise Unavailable(f"{self.model.name} failed: {error}") from error
        return dict(zip(self._outputs, outputs, strict=True))
