"""The classifier's network in torch, for training only: MiniLM with low-rank adapters and a head over its mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from safety.prompt.adapter import ADAPTED, HEADS, LAYERS, RANK, WIDTH

Weights = Mapping[str, npt.NDArray[Any]]


class Adapted(nn.Module):
    """A dense layer that stays as it is, plus a product of two thin matrices (Hu et al., LoRA, 2021)."""

    def __init__(self, weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(weight.astype(np.float32)), requires_grad=False)
        self.bias = nn.Parameter(torch.from_numpy(bias.astype(np.float32)))
        self.down = nn.Parameter(torch.randn(RANK, weight.shape[1]) * weight.shape[1] ** -0.5)
        self.up = nn.Parameter(torch.zeros(weight.shape[0], RANK))

    def forward(self, x: Tensor) -> Tensor:
        """Apply layer and adapter."""
        return functional.linear(x, self.weight, self.bias) + (x @ self.down.T) @ self.up.T


class Network(nn.Module):
    """BERT with 6 layers; `tuned` names what training changes."""

    def __init__(self, weights: Weights, categories: int) -> None:
        super().__init__()
        word, place = (weights[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position"))
        kind = weights["embeddings.token_type_embeddings.weight"][0]
        self.words = nn.Parameter(torch.from_numpy(word.astype(np.float32)), requires_grad=False)
        self.places = nn.Parameter(torch.from_numpy((place + kind).astype(np.float32)), requires_grad=False)
        self.dense = nn.ModuleDict(
            {
                _key(layer, name): Adapted(
                    weights[f"encoder.layer.{layer}.{name}.weight"],
                    weights[f"encoder.layer.{layer}.{name}.bias"],
                )
                for layer in range(LAYERS)
                for name in ADAPTED
            }
        )
        self.norms = nn.ModuleDict({_plain(name): _norm(weights, name) for name in norm_names()})
        self.head = nn.Linear(WIDTH, categories)
        self.drop = nn.Dropout(0.1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Score token ids (n, t) where `mask` is true: logits (n, categories)."""
        x = self.words[ids] + self.places[: ids.shape[1]]
        x = self.drop(self.norms["embeddings_LayerNorm"](x))
        for layer in range(LAYERS):
            x = self._layer(x, mask[:, None, None, :], layer)
        share = mask.float() / mask.sum(1, keepdim=True)
        logits: Tensor = self.head(self.drop((x * share[..., None]).sum(1)))
        return logits

    def _layer(self, x: Tensor, mask: Tensor, layer: int) -> Tensor:
        def heads(name: str) -> Tensor:
            dense: Tensor = self.dense[_key(layer, f"attention.self.{name}")](x)
            split: Tensor = dense.view(*dense.shape[:2], HEADS, WIDTH // HEADS)
            return split.transpose(1, 2)

        mixed = functional.scaled_dot_product_attention(
            heads("query"), heads("key"), heads("value"), attn_mask=mask
        )
        mixed = self.dense[_key(layer, "attention.output.dense")](mixed.transpose(1, 2).flatten(2))
        x = self.norms[f"encoder_layer_{layer}_attention_output_LayerNorm"](x + self.drop(mixed))
        inner = functional.gelu(self.dense[_key(layer, "intermediate.dense")](x))
        outer = self.dense[_key(layer, "output.dense")](inner)
        normed: Tensor = self.norms[f"encoder_layer_{layer}_output_LayerNorm"](x + self.drop(outer))
        return normed

    def tuned(self) -> dict[str, npt.NDArray[np.float32]]:
        """Give what training changed, under the names that `adapter.merged` reads."""
        return {name: tensor.detach().numpy().copy() for name, tensor in self._named().items()}

    def _named(self) -> dict[str, Tensor]:
        found: dict[str, Any] = {}
        for layer in range(LAYERS):
            for name in ADAPTED:
                adapted = self.dense[_key(layer, name)]
                for part in ("down", "up", "bias"):
                    found[f"encoder.layer.{layer}.{name}.{part}"] = getattr(adapted, part)
        for name in norm_names():
            norm = self.norms[_plain(name)]
            found |= {f"{name}.weight": norm.weight, f"{name}.bias": norm.bias}
        return found | {"head.weight": self.head.weight, "head.bias": self.head.bias}

    def resume(self, tuned: Weights) -> None:
        """Go on from what an earlier round changed; outputs of the head that it did not have start at zero."""
        with torch.no_grad():
            for name, parameter in self._named().items():
                earlier = torch.from_numpy(tuned[name].astype(np.float32))
                parameter[: len(earlier)].copy_(earlier)
                parameter[len(earlier) :].zero_()


def norm_names() -> Sequence[str]:
    """Name the layer norms of the network."""
    inner = [
        f"encoder.layer.{layer}.{part}.LayerNorm"
        for layer in range(LAYERS)
        for part in ("attention.output", "output")
    ]
    return ["embeddings.LayerNorm", *inner]


def _norm(weights: Weights, name: str) -> nn.LayerNorm:
    norm = nn.LayerNorm(WIDTH, eps=1e-12)
    with torch.no_grad():
        norm.weight.copy_(torch.from_numpy(weights[f"{name}.weight"].astype(np.float32)))
        norm.bias.copy_(torch.from_numpy(weights[f"{name}.bias"].astype(np.float32)))
    return norm


def _plain(name: str) -> str:
    return name.replace(".", "_")


def _key(layer: int, name: str) -> str:
    return _plain(f"{layer}.{name}")
