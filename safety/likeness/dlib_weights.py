"""Read the weights out of dlib's file of its face recognition network.

dlib writes a network as nested layers, the innermost first. An integer is a control byte (sign bit and the
number of bytes) followed by its little-endian bytes; a string is its length and its bytes; a tensor is a
version (2), four dimensions and little-endian float32 values. Only three kinds of layer carry weights, so
the reader goes from one of their tags to the next and never looks for a tag inside a tensor.
Sources: dlib/serialize.h, dlib/cuda/tensor.h and dlib/dnn/layers.h.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution with the affine layer after it folded in: weights (out, in, k, k), bias (out,)."""

    weights: Weights
    bias: Weights


@dataclass(frozen=True, slots=True)
class FaceNet:
    """All weights of the network in the order of computation; `projection` is (256, 128), without bias."""

    convolutions: tuple[Convolution, ...]
    projection: Weights


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            raise ModelMissing("the dlib face network is cut short")
        self._at += count
        return self._data[self._at - count : self._at]

    def skip_to(self, tag: bytes) -> None:
        """Move behind the next string equal to `tag`."""
        found = self._data.find(bytes((1, len(tag))) + tag, self._at)
        if found < 0:
            raise ModelMissing(f"the dlib face network has no further layer {tag.decode()}")
        self._at = found + 2 + len(tag)

    def integer(self) -> int:
        control = self._take(1)[0]
        value = int.from_bytes(self._take(control & 0x0F), "little")
        return -value if control & 0x80 else value

    def tensor(self) -> Weights:
        """Read one tensor and drop its trailing dimensions of 1."""
        if self.integer() != 2:
            raise ModelMissing("the dlib face network has tensors of an unknown version")
        shape = [self.integer() for _ in range(4)]
        if min(shape) < 0:
            raise ModelMissing("the dlib face network has a tensor of negative size")
        count = int(np.prod(shape))
        values = np.frombuffer(self._take(4 * count), "<f4").astype(np.float32)
        return values.reshape(shape[0], -1) if shape[1] > 1 else values


def _convolution(reader: _Reader) -> Convolution:
    reader.skip_to(b"con_4")
    flat = reader.tensor()
    filters, rows, columns = (reader.integer() for _ in range(3))
    reader.skip_to(b"affine_")
    gain, shift = np.split(reader.tensor(), 2)
    weights = flat[:-filters].reshape(filters, -1, rows, columns)
    bias = flat[-filters:]
    return Convolution(weights * gain[:, None, None, None], bias * gain + shift)


def read(data: bytes) -> FaceNet:
    """Read the 29 convolutions and the projection; raises `ModelMissing` when the bytes are not that net."""
    reader = _Reader(data)
    try:
        convolutions = tuple(_convolution(reader) for _ in range(29))
        reader.skip_to(b"fc_2")
        outputs, inputs = reader.integer(), reader.integer()
        return FaceNet(convolutions, reader.tensor().reshape(inputs, outputs))
    except ValueError as error:
        raise ModelMissing("the dlib face network has layers of unexpected shape") from error
