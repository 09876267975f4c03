"""How every command speaks: tables for people, `--json` for machines, and one meaning for each exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from core.errors import BadInput, Conflict, GreenlightError, NotFound

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON for machines.")]


class Exit(IntEnum):
    """What the exit code says."""

    GOOD = 0
    REFUSED = 1
    USAGE = 2
    BROKEN = 3


def answer(value: Any, text: str, *, as_json: bool) -> None:
    """Print an answer in one of the two forms."""
    if as_json:
        sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    else:
        out.print(text)


@contextmanager
def told() -> Iterator[None]:
    """Turn our errors into a sentence and an exit code."""
    try:
        yield
    except (BadInput, NotFound, Conflict) as error:
        err.print(f"[red]{error.code}[/red]: {error.message}")
        raise typer.Exit(Exit.USAGE) from error
    except GreenlightError as error:
        err.print(f"[red]{error.code}[/red]: {error.message}")
        raise typer.Exit(Exit.BROKEN) from error


def decision_lines(decision: dict[str, Any]) -> str:
    """Write an explained decision for a person to read."""
    head = f"[bold]{decision.get('stage', 'prompt')}[/bold]: {_colour(decision['decision'])}"
    lines = [head, *(_rule_lines(rule) for rule in decision["rules"])]
    if decision.get("consents"):
        lines.append(f"  rests on consent {', '.join(decision['consents'])}")
    policy = decision["policy"]
    lines.append(f"  [dim]policy {policy['name']} {policy['version']} sha256 {policy['sha256'][:16]}…[/dim]")
    return "\n".join(lines)


def _rule_lines(rule: dict[str, Any]) -> str:
    # A message may quote the prompt, which may hold what the terminal would take for a colour.
    message = escape(rule["message"])
    lines = [f"  {_colour(rule['outcome'])} {rule['reason_code']} (rule {rule['id']}): {message}"]
    if rule.get("span"):
        first, last = rule["span"]
        lines.append(f"    where: characters {first} to {last}, read as {rule.get('view') or 'text'}")
    if rule.get("score") is not None and rule.get("threshold") is not None:
        lines.append(f"    score {rule['score']:.3f} against threshold {rule['threshold']:.3f}")
    if rule.get("advice"):
        lines.append(f"    [cyan]what you can do:[/cyan] {escape(rule['advice'])}")
    lines += [f"    evidence: {_evidence(item)}" for item in rule.get("evidence", ())]
    return "\n".join(lines)


def _evidence(item: dict[str, Any]) -> str:
    if item.get("kind") in {"likeness", "voice"} and "score" in item:
        box = f", box {tuple(item['box'])} in frame {item['frame']}" if item.get("box") else ""
        return (
            f"{item['kind']} of {item['identity']} from {item['start']:.2f} to {item['end']:.2f} s{box}, "
            f"score {item['score']:.3f} against threshold {item['threshold']:.3f}"
        )
    return json.dumps(item, ensure_ascii=False).replace("[", "\\[")


def _colour(outcome: str) -> str:
    colours = {"allow": "green", "hold": "yellow", "refuse": "red"}
    return f"[{colours.get(outcome, 'white')}]{outcome}[/]"
