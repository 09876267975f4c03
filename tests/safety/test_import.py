from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_importing_the_rooms_that_measure_and_decide_is_silent_and_loads_no_model_library() -> None:
    code = (
        "import sys, safety.likeness, safety.voice, safety.prompt, policies.engine\n"
        "print(*{'torch', 'transformers', 'onnx', 'onnxruntime', 'scipy'} & set(sys.modules))"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, check=True, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")
