from __future__ import annotations

from pathlib import Path

import pytest

from safety.prompt import build


@pytest.fixture(scope="session")
def prompt_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the prompt classifier's encoder, made once; nobody writes to it."""
    folder = tmp_path_factory.mktemp("prompt-models")
    build(folder)
    return folder
