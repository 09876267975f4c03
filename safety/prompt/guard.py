"""Guard models that an operator adds beside ours: their scores become facts, and their silence does too."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from core.decision import CATEGORIES
from core.errors import BadInput
from core.finding import Model

CODES: Mapping[str, tuple[str, ...]] = {
    # MLCommons hazards, as Llama Guard 3 and 4 name them
    "S1": ("violence_gore",),
    "S2": ("illegal_weapons",),
    "S3": ("sexual",),
    "S4": ("minors_sexual", "child_endangerment"),
    "S5": ("defamation",),
    "S7": ("privacy",),
    "S8": ("ip_character",),
    "S9": ("illegal_weapons",),
    "S10": ("hate",),
    "S11": ("self_harm",),
    "S12": ("sexual",),
    "S13": ("political_deception", "misinformation"),
    # Qwen3Guard
    "Violent": ("violence_gore",),
    "Non-violent Illegal Acts": ("illegal_weapons",),
    "Sexual Content or Sexual Acts": ("sexual",),
    "PII": ("privacy",),
    "Suicide & Self-Harm": ("self_harm",),
    "Unethical Acts": ("hate",),
    "Politically Sensitive Topics": ("political_deception",),
    "Copyright Violation": ("ip_character",),
}
"""What the answers of known guards mean in our categories."""

Fact = dict[str, Any]


class Guard(Protocol):
    """A model that judges prompts."""

    @property
    def name(self) -> str:
        """What it is called in facts."""
        ...

    def judge(self, text: str) -> Mapping[str, float]:
        """Score a prompt: our category -> 0-1; empty where it finds it safe. May raise anything."""
        ...


def facts(guards: Sequence[Guard], text: str) -> list[Fact]:
    """Ask every guard; one that fails or answers nonsense is a fact with the status that says so."""
    return [fact for guard in guards for fact in _asked(guard, text)]


def _asked(guard: Guard, text: str) -> list[Fact]:
    try:
        scores = guard.judge(text)
    except Exception as error:  # noqa: BLE001 - whatever it is, the guard gave no answer
        return [_fact(guard, f"failed: {type(error).__name__}")]
    if any(name not in CATEGORIES or not _is_score(score) for name, score in scores.items()):
        return [_fact(guard, "failed: answer")]
    return [_fact(guard, "ok", name, float(score)) for name, score in scores.items()] or [_fact(guard, "ok")]


def _is_score(score: Any) -> bool:
    return isinstance(score, int | float) and math.isfinite(score) and 0 <= score <= 1


def _fact(guard: Guard, status: str, category: str = "", score: float = 0.0) -> Fact:
    return {"name": guard.name, "status": status, "category": category, "score": score}


def categories(answer: str) -> dict[str, float]:
    r"""Read what a guard wrote: Llama Guard's "unsafe\\nS1,S10" or Qwen3Guard's "Safety: Unsafe\\nCategories: …".

    "Controversial" counts half. Raises `BadInput` for an answer that is neither safe nor unsafe.
    """
    lines = [line.strip() for line in answer.strip().splitlines() if line.strip()]
    verdict = lines[0].removeprefix("Safety:").strip().lower() if lines else ""
    if verdict == "safe":
        return {}
    if verdict not in {"unsafe", "controversial"}:
        raise BadInput("The guard model answered neither safe nor unsafe.")
    score = 1.0 if verdict == "unsafe" else 0.5
    named = ",".join(lines[1:]).replace("Categories:", "")
    known = [name for code in named.split(",") for name in CODES.get(code.strip(), ())]
    return dict.fromkeys(known or ["illegal_weapons"], score)


@dataclass(frozen=True, slots=True)
class RemoteGuard:
    r"""A guard behind HTTP: POST {"text"} answers {"scores": {category: 0-1}} or {"answer": "unsafe\\nS1"}."""

    name: str
    url: str
    seconds: float = 5.0
    headers: Mapping[str, str] = field(default_factory=dict)

    def judge(self, text: str) -> Mapping[str, float]:
        """Ask the server; raises what httpx raises, `BadInput` for another answer."""
        import httpx

        answer = httpx.post(self.url, json={"text": text}, headers=dict(self.headers), timeout=self.seconds)
        answer.raise_for_status()
        told = answer.json()
        if isinstance(told, dict) and isinstance(told.get("scores"), dict):
            return dict(told["scores"])
        if isinstance(told, dict) and isinstance(told.get("answer"), str):
            return categories(told["answer"])
        raise BadInput("The guard model's answer has neither scores nor an answer.")


@dataclass(frozen=True, slots=True)
class LocalGuard:
    """A guard in a local transformers folder with a chat template, in the manner of Llama Guard and Qwen3Guard.

    `generate` writes the guard's answer to a conversation; `engines` of the operator's choice can stand in for it.
    """

    name: str
    generate: Any
    model: Model

    @classmethod
    def load(cls, folder: Path, name: str = "") -> LocalGuard:
        """Load a checkpoint folder, nothing fetched, no code of its own run; raise `ModelMissing` without it."""
        from safety.prompt.checkpoint import generator

        generate, model = generator(folder)
        return cls(name or folder.name, generate, model)

    def judge(self, text: str) -> Mapping[str, float]:
        """Let the guard write its answer, and read it."""
        return categories(self.generate(text))


def configured(path: Path) -> tuple[Guard, ...]:
    """Read the guards of an installation: a JSON list of {"name", "url", "seconds"} or {"name", "folder"}.

    Raises `BadInput` for anything else: a guard that was meant and is not there must not go unnoticed.
    """
    try:
        entries = json.loads(path.read_text())
        return tuple(_configured(entry, path.parent) for entry in [*entries[:]])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"The list of guard models {path.name} cannot be read.") from error


def _configured(entry: Mapping[str, Any], beside: Path) -> Guard:
    if "url" in entry:
        return RemoteGuard(
            entry["name"], entry["url"], float(entry.get("seconds", 5)), entry.get("headers", {})
        )
    return LocalGuard.load(beside / entry["folder"], entry["name"])
