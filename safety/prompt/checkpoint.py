"""Guard models as transformers checkpoints; the one place of this room that imports transformers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import ModelMissing
from core.finding import Model
from core.models import file_sha256

_MAX_NEW_TOKENS = 48


def generator(folder: Path) -> tuple[Callable[[str], str], Model]:
    """Load a causal language model and its tokenizer; answers a function from a prompt to what the model writes."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
        network: Any = AutoModelForCausalLM.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelMissing(f"the guard model {folder.name} cannot be loaded") from error

    network.eval()

    def generate(text: str) -> str:
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=False,
        )
        with torch.inference_mode():
            written = network.generate(ids, max_new_tokens=_MAX_NEW_TOKENS, do_sample=False)
        answer: str = tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True)
        return answer

    return generate, Model(folder.name, _digest(folder))


def _digest(folder: Path) -> str:
    """Hash the names and digests of a checkpoint's files."""
    lines = [f"{file_sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir()) if path.is_file()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
