"""Fine-tune the classifier: `python -m safety.prompt.finetune SHARED_DATA [EPOCHS [OUT [FROM [RATE [SHARE [SEED]]]]]]`.

Low-rank adapters in every dense layer of MiniLM, its biases and norms and a head, trained together on the training part
of the corpus. The head has the 18 categories and, last, whether there is any harm at all but a name. FROM is the
adapter of an earlier round to go on from, RATE the highest learning rate, SHARE how much is taken of the texts that
are not of the last round. Besides the labels, every harm is to have more evidence than every ordinary prompt, as a
threshold asks of it. Products are taken in bfloat16; on one thread of one machine the same data and seed give the same
file.
"""

from __future__ import annotations

import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from core import models
from core.decision import CATEGORIES
from safety.prompt import adapter, corpus
from safety.prompt.classifier import HARMS, OUTPUTS
from safety.prompt.corpus import Example
from safety.prompt.network import Network
from safety.prompt.templates import newest, wrappers
from safety.prompt.windows import windows

SEED = 20261124
MAX_TOKENS = 128
_BATCH = 32
_RATE = 1.2e-3
_TYPO_SHARE = 0.15
_SENTENCE_SHARE = 0.3
"""How many of the ordinary texts of several sentences are shown as one of these, as they are scored too."""
_REMEMBERED = 24
"""Batches whose evidence is compared with the next one's: texts of a batch are alike in length, prompts are not."""
_HARDEST = 0.05
_SOFTNESS = 4.0
_KEEP_EVERY = 150
_UNSURE = 0.3
"""The weight of "is not about" for other categories in a harmful prompt: its sources name one category each."""


_Sides = tuple[torch.Tensor, torch.Tensor]
"""The evidence of harms and of ordinary prompts, one number each."""
_OF_HARMS = [at for at, name in enumerate(CATEGORIES) if name in HARMS]


def train(
    examples: Sequence[Example],
    epochs: int,
    *,
    earlier: adapter.Weights | None = None,
    rate: float = _RATE,
    seed: int = SEED,
    tell: Any = sys.stderr,
    keep: Callable[[Network], None] | None = None,
) -> Network:
    """Train on the examples given, all of them; `keep` is called every 150 steps and at the end."""
    from safetensors.numpy import load_file

    torch.manual_seed(seed)
    rng = random.Random(seed)
    tokenizer = _tokenizer()
    network = Network(load_file(models.wheel_file("minilm")), OUTPUTS)
    if earlier:
        network.resume(earlier)
    tuned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(tuned, lr=rate, weight_decay=0.01)
    mixed = list(corpus.diluted(examples, list(wrappers()["sentences"]) + _calm(examples), rng))
    steps = epochs * (len(mixed) // _BATCH + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps + 1, pct_start=0.08)
    step, began, running = 0, time.process_time(), 0.0
    before: deque[_Sides] = deque(maxlen=_REMEMBERED)
    for epoch in range(epochs):
        for batch in _batches(mixed, tokenizer, rng):
            loss = _loss(network, batch, tokenizer, rng, before)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(tuned, 1.0)
            optimiser.step()
            schedule.step()
            step += 1
            running = 0.98 * running + 0.02 * loss.item()
            if step % 50 == 0:
                spent = time.process_time() - began
                tell.write(f"epoch {epoch} step {step}/{steps} loss {running:.4f} cpu {spent:.0f} s\n")
                tell.flush()
                if keep and step % _KEEP_EVERY == 0:
                    keep(network)
    if keep:
        keep(network)
    return network.eval()


def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(models.wheel_file("minilm-tokenizer")))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def _calm(examples: Sequence[Example]) -> list[str]:
    """List short ordinary captions to stand around other prompts."""
    return [one.text for one in examples if one.source == "vbench" and 30 < len(one.text) < 120]


def _batches(examples: Sequence[Example], tokenizer: Any, rng: random.Random) -> Iterator[list[Example]]:
    """Give batches of texts of like length, in random order."""
    lengths = [len(coded.ids) for coded in tokenizer.encode_batch([one.text for one in examples])]
    order = sorted(range(len(examples)), key=lambda index: lengths[index] + rng.random() * 4)
    groups = [order[at : at + _BATCH] for at in range(0, len(order), _BATCH)]
    rng.shuffle(groups)
    for group in groups:
        yield [examples[index] for index in group]


def _loss(
    network: Network, batch: Sequence[Example], tokenizer: Any, rng: random.Random, before: deque[_Sides]
) -> torch.Tensor:
    coded = tokenizer.encode_batch([_typed(_shown(one, rng), rng) for one in batch])
    width = max(len(one.ids) for one in coded)
    ids, mask = np.zeros((len(batch), width), np.int64), np.zeros((len(batch), width), bool)
    for row, one in enumerate(coded):
        ids[row, : len(one.ids)], mask[row, : len(one.ids)] = one.ids, True
    targets, weights = _targets(batch)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(torch.from_numpy(ids), torch.from_numpy(mask)).float()
    each = functional.binary_cross_entropy_with_logits(
        logits, torch.from_numpy(targets) * 0.98 + 0.01, weight=torch.from_numpy(weights), reduction="sum"
    )
    sides = _sides(logits, batch)
    apart = _apart(sides, before)
    before.append((sides[0].detach(), sides[1].detach()))
    return each / len(batch) + apart


def _sides(logits: torch.Tensor, batch: Sequence[Example]) -> _Sides:
    """Give the evidence of the harms and that of the ordinary prompts, as `classifier.evidence` takes it."""
    evidence = logits[:, _OF_HARMS].amax(dim=1) + logits[:, -1]
    harmful = torch.tensor([bool(HARMS & {*one.categories}) for one in batch])
    ordinary = torch.tensor([not one.categories for one in batch])
    return evidence[harmful], evidence[ordinary]


def _apart(sides: _Sides, before: Sequence[_Sides]) -> torch.Tensor:
    """Say which share of the harms has less evidence than the hardest twentieth of the ordinary prompts, softly.

    That is one less the area under the curve of caught harms up to 5 % false alarms, steps being sigmoids; bounded, so
    that a wrong label costs little. Those of the batches before count as they were.
    """
    harms = torch.cat([sides[0], *(one for one, _ in before)])
    ordinary = torch.cat([sides[1], *(one for _, one in before)])
    hardest = ordinary.topk(int(np.ceil(_HARDEST * len(ordinary)))).values
    if not len(harms) or not len(hardest):
        return ordinary.sum() * 0
    share = torch.sigmoid((hardest[None] - harms[:, None]) / _SOFTNESS).mean()
    return share * (len(before) + 1)


def _shown(one: Example, rng: random.Random) -> str:
    """Give the text, or one sentence of it where it is ordinary."""
    if one.categories or rng.random() > _SENTENCE_SHARE:
        return one.text
    return rng.choice(windows(one.text))


def _targets(batch: Sequence[Example]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    named = np.array([[name in one.categories for name in CATEGORIES] for one in batch], np.float32)
    harmful = named.any(axis=1, keepdims=True)
    weights = np.where(named > 0, 2.0, np.where(harmful, _UNSURE, 1.0))
    any_harm = np.array([[bool(HARMS & {*one.categories})] for one in batch], np.float32)
    targets = np.hstack([named, any_harm])
    weights = np.hstack([weights, np.where(any_harm > 0, 2.0, 1.5)])
    return targets, (weights * np.array([[one.weight] for one in batch])).astype(np.float32)


def _typed(text: str, rng: random.Random) -> str:
    """Swap two neighbouring letters or leave one out in some words of some texts, as hurried typists do."""
    if rng.random() > _TYPO_SHARE:
        return text
    words = text.split(" ")
    for index, word in enumerate(words):
        if len(word) > 4 and word.isalpha() and rng.random() < 0.4:
            at = rng.randrange(1, len(word) - 2)
            swapped = word[at + 1] + word[at] if rng.random() < 0.7 else word[at]
            words[index] = word[:at] + swapped + word[at + 2 :]
    return " ".join(words)


def chosen(examples: Sequence[Example], share: float) -> list[Example]:
    """Take the training part: all of the last round's templates, a share of the rest, drawn by the text."""
    new = newest()
    return [
        one for one in examples if one.part == "train" and (one.key in new or corpus.drawn(one.text, share))
    ]


def main(
    shared_data: Path,
    epochs: int = 2,
    out: Path | None = None,
    earlier: Path | None = None,
    *,
    rate: float = _RATE,
    share: float = 1.0,
    seed: int = SEED,
) -> None:
    """Train on the training part and write the adapter."""
    some = chosen(corpus.examples(shared_data), share)
    before = adapter.load(earlier.read_bytes()) if earlier else None

    def keep(network: Network) -> None:
        (out or adapter.shipped()).write_bytes(adapter.to_bytes(network.tuned()))

    train(some, epochs, earlier=before, rate=rate, seed=seed, keep=keep)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        *(kind(value) for kind, value in zip((int, Path, Path), sys.argv[2:5], strict=False)),
        **{
            name: kind(value)
            for (name, kind), value in zip(
                {"rate": float, "share": float, "seed": int}.items(), sys.argv[5:], strict=False
            )
        },
    )
