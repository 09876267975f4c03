"""The floors of the house: who may import whom, and which heavy library lives behind which door."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MIDDLE = {"policies", "generation", "safety", "provenance", "audits.log"}
ROOMS = {"core", "policies", "generation", "safety", "provenance", "audits", "pipeline", "api"}
DOORS = {
    "av": ("core/media/",),
    "diffusers": ("generation/engines/",),
    "transformers": ("generation/engines/", "safety/transcript.py", "safety/prompt/checkpoint.py"),
    "c2pa": ("provenance/manifest",),
    "celery": ("pipeline/tasks.py",),
    "fastapi": ("api/",),
}


def allowed(importer: str, imported: str) -> bool:
    """Whether a module of one room may import a module of another."""
    source, target = _room(importer), _room(imported)
    if target in {"core", source}:
        return True
    if importer.startswith("audits.preemptive"):
        return target in {"safety", "provenance", "policies", "audits.log", "audits"}
    rooms = ROOMS | MIDDLE
    above = {"audits": {"audits.log"}, "pipeline": rooms - {"api"}, "api": rooms}
    return target in above.get(source, set())


def _room(module: str) -> str:
    if module.startswith("audits.log"):
        return "audits.log"
    return module.split(".", maxsplit=1)[0]


def imports(path: Path, source: str) -> Iterator[str]:
    """Name every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(source, str(path))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def breaches(path: Path, source: str) -> list[str]:
    """Describe every import of a file that goes against the floors or around a door."""
    relative = path.relative_to(ROOT).as_posix()
    importer = relative.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    found = []
    for imported in imports(path, source):
        top = imported.split(".")[0]
        if top in ROOMS and not allowed(importer, imported):
            found.append(f"{relative} imports {imported}")
        if top in DOORS and not relative.startswith(DOORS[top]):
            found.append(f"{relative} imports {top} past its door")
    return found


def sources() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_keeps_to_its_floor(path: Path) -> None:
    assert breaches(path, path.read_text()) == []


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("core/store.py", "from policies.engine import load"),
        ("safety/voice/score.py", "import provenance.verify"),
        ("policies/engine.py", "from safety.prompt import PromptReader"),
        ("provenance/verify.py", "from audits.log import tree"),
        ("audits/queries.py", "from pipeline import run"),
        ("pipeline/run.py", "from api.app import create_app"),
        ("pipeline/run.py", "import celery"),
        ("api/app.py", "import torch, c2pa"),
        ("audits/log/check.py", "from safety import voice"),
    ],
)
def test_a_planted_breach_is_found(where: str, line: str) -> None:
    """The control."""
    assert len(breaches(ROOT / where, f"def f():\n    {line}\n")) == 1


def test_the_offline_auditor_needs_only_the_format_and_the_tree() -> None:
    found = set(imports(ROOT / "audits/log/check.py", (ROOT / "audits/log/check.py").read_text()))
    ours = {name for name in found if name.split(".")[0] in ROOMS}
    assert ours, "the check imports nothing of ours?"
    assert all(name.startswith(("audits.log.format", "audits.log.tree", "core.errors")) for name in ours)


def test_importing_the_api_costs_no_torch() -> None:
    code = "import sys, api.app; print(sorted({'torch', 'diffusers', 'transformers', 'celery', 'cv2', 'av'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = done.stdout.strip()
    assert "torch" not in heavy
    assert "diffusers" not in heavy
    assert "transformers" not in heavy
    assert "celery" not in heavy
