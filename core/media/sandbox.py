"""Run a function over an untrusted file in a child process that can do little else.

The child has limits on address space, CPU time, file size and open files, and is killed after a wall-clock
limit. Where bubblewrap is installed and allowed it also has no network, sees no other process, and no files
but the system's, the code and the one that it is to read; `kind` says which of the two holds, and so does the receipt.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal

from core import errors
from core.errors import BadMedia, GreenlightError, TimedOut

Kind = Literal["bubblewrap", "rlimits"]
_ROOT = Path(__file__).resolve().parents[2]
_MIB = 1 << 20
_LONGEST_ANSWER = 32 * _MIB
_SYSTEM = tuple(Path(name) for name in ("/usr", "/bin", "/lib", "/lib64"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cage:
    """The limits of a child: MiB of address space, CPU seconds, MiB of one written file."""

    memory_mib: int = 6144
    seconds: int = 120
    file_mib: int = 8192

    @property
    def wall_seconds(self) -> float:
        """The time after which the child is killed whatever it does."""
        return 2.0 * self.seconds


def run(
    target: str,
    arguments: dict[str, Any],
    *,
    cage: Cage,
    readable: Sequence[Path] = (),
    writable: Sequence[Path] = (),
) -> Any:
    """Call `module:function` with keyword arguments (JSON) in a child and return its answer (JSON).

    `readable` files and `writable` folders are all that the child is shown beside the code itself.
    Errors of ours come back as themselves. A child that crashed or was killed raises `BadMedia`, since
    the only untrusted thing in it was the file; one that ran out of time raises `TimedOut`.
    """
    request = json.dumps(
        {"target": target, "arguments": arguments, "cage": [cage.memory_mib, cage.seconds, cage.file_mib]}
    )
    command = [*_prefix(readable, writable), sys.executable, "-m", "core.media.sandbox"]
    with (
        _written(request.encode()) as asked,
        subprocess.Popen(  # noqa: S603  # the command is ours; the untrusted part is data
            command,
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_ROOT,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                "OMP_NUM_THREADS": "2",
            },
            start_new_session=True,
        ) as child,
    ):
        out = _heard(child, cage.wall_seconds)
    return _answer(out, child.returncode)


@contextmanager
def _written(request: bytes) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(request)
        file.seek(0)
        yield file


def _heard(child: subprocess.Popen[bytes], seconds: float) -> bytes:
    """Hear a child out, up to the longest answer there is: one that was taken over may talk without end."""
    late = threading.Event()

    def stop() -> None:
        late.set()
        _kill(child)

    timer = threading.Timer(seconds, stop)
    timer.start()
    try:
        assert child.stdout is not None
        out = child.stdout.read(_LONGEST_ANSWER + 1)
        if len(out) > _LONGEST_ANSWER:
            _kill(child)
        child.wait()
    finally:
        timer.cancel()
    if late.is_set():
        raise TimedOut("Reading the file took too long.")
    return out


def _kill(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def kind() -> Kind:
    """Say what holds the children on this machine."""
    return "bubblewrap" if _bubblewrap() else "rlimits"


@cache
def _bubblewrap() -> str | None:
    found = shutil.which("bwrap")
    if found is None:
        return None
    test = [found, "--ro-bind", "/", "/", "--unshare-all", "true"]
    works = subprocess.run(test, check=False, capture_output=True).returncode == 0  # noqa: S603
    return found if works else None


def _prefix(readable: Sequence[Path], writable: Sequence[Path]) -> list[str]:
    found = _bubblewrap()
    if found is None:
        return []
    prefix = [found, "--unshare-all", "--die-with-parent", "--new-session"]
    prefix += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]  # noqa: S108  # the child's own, empty
    code = [Path(sys.prefix), Path(sys.base_prefix), *(init.parent for init in _ROOT.glob("*/__init__.py"))]
    for path in (*_SYSTEM, *code, *readable):
        if path.exists():
            prefix += ["--ro-bind", str(path), str(path)]
    for folder in writable:
        prefix += ["--bind", str(folder), str(folder)]
    return prefix


def _answer(out: bytes, returncode: int) -> Any:
    try:
        answer = json.loads(out, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise BadMedia(f"Reading the file failed (the reader ended with {returncode}).") from None
    if "error" in answer:
        raise _error(answer["error"], answer["message"])
    return answer["result"]


def _no_number(name: str) -> None:
    raise ValueError(name)


def _error(name: str, message: str) -> GreenlightError:
    found = getattr(errors, name, None)
    if isinstance(found, type) and issubclass(found, GreenlightError):
        return found(message)
    return BadMedia(f"The file cannot be read ({name}).")


def _limit(memory_mib: int, seconds: int, file_mib: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_mib * _MIB, memory_mib * _MIB))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_mib * _MIB, file_mib * _MIB))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _serve() -> None:
    """Be the child: read one request, answer it, end."""
    # Libraries may print; only the answer goes to the parent.
    answer_to = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    request = json.load(sys.stdin)
    _limit(*request["cage"])
    module, _, function = request["target"].partition(":")
    try:
        answer = {"result": getattr(importlib.import_module(module), function)(**request["arguments"])}
    except Exception as error:  # noqa: BLE001  # whatever went wrong must reach the parent as JSON
        message = error.message if isinstance(error, GreenlightError) else "The file cannot be read."
        answer = {"error": type(error).__name__, "message": message}
    json.dump(answer, answer_to)
    answer_to.close()


if __name__ == "__main__":
    _serve()
