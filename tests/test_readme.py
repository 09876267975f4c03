"""The README tells the truth: what exists is in it, and what is in it exists."""

from __future__ import annotations

import re
from pathlib import Path

import click
import typer.main
import yaml

from api.cli import app as cli
from core.schema import Tag
from core.settings import Settings
from core.state import State

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
MAKEFILE = (Path(__file__).resolve().parent.parent / "Makefile").read_text()


def commands() -> set[str]:
    def walk(command: click.Command, name: str) -> set[str]:
        if isinstance(command, click.Group) or hasattr(command, "commands"):
            found: set[str] = set()
            for sub, child in command.commands.items():  # type: ignore[union-attr]
                found |= walk(child, f"{name} {sub}")
            return found
        return {name}

    return walk(typer.main.get_command(cli), "greenlight")


def test_every_command_is_in_the_readme_and_the_other_way_round() -> None:
    documented = set(re.findall(r"^\| `(greenlight(?: [a-z]+)+)", README, re.MULTILINE))
    assert documented == commands()


def test_every_setting_is_in_the_readme_and_the_other_way_round() -> None:
    rows = re.findall(r"^\| (`GREENLIGHT_[^|]+) \|", README, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"GREENLIGHT_([A-Z_]+)", row)}
    assert documented == {name.upper() for name in Settings.model_fields}


def test_the_defaults_in_the_readme_are_the_defaults() -> None:
    for row in re.findall(r"^\| (`GREENLIGHT_[^|]+) \| ([^|]+) \|", README, re.MULTILINE):
        names = re.findall(r"GREENLIGHT_([A-Z_]+)", row[0])
        told = re.findall(r"`([^`]+)`", row[1]) or [""] * len(names)
        for name, default in zip(names, told, strict=True):
            actual = Settings.model_fields[name.lower()].default
            shown = (
                "" if actual in (None, "") else f"{actual:g}" if isinstance(actual, float) else str(actual)
            )
            assert default == shown, name


def test_every_tag_of_the_log_is_in_the_readme_and_the_other_way_round() -> None:
    section = README.partition("## What the audit log holds")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = [tag for row in rows for tag in re.findall(r"`([^`]+)`", row)]
    assert sorted(documented) == sorted(Tag)


def test_every_state_is_in_the_readme() -> None:
    assert [state for state in State if f"`{state}`" not in README] == []


def test_every_route_is_in_the_readme_and_the_other_way_round() -> None:
    from fastapi.routing import APIRoute

    from api import audits, bindings, generations, people, public, users

    routes = {
        f"{method} {route.path.replace(':path', '')}"
        for router in (
            users.router,
            generations.router,
            people.router,
            audits.router,
            public.router,
            bindings.router,
        )
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    assert set(re.findall(r"`((?:GET|POST|DELETE) /[^`]*)`", README)) == routes


def test_every_make_target_in_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", README)) <= targets


def test_every_reason_code_of_the_default_pack_is_in_the_readme() -> None:
    from policies.engine import default_pack

    codes = {rule["reason_code"] for rule in yaml.safe_load(default_pack().read_text())["rules"]}
    codes |= {"gate_fault", "facts_incomplete", "policy_error"}
    assert sorted(code for code in codes if f"`{code}`" not in README) == []
