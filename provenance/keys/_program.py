"""Sign by a program of the operator's: what is to be signed goes to its input, the signature comes back.

With this any key management service can hold the key, through its own command-line client.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence

import structlog

from core.errors import KeyMissing

_log = structlog.get_logger("keys")
_LONGEST_SIGNATURE = 72  # a DER signature on P-256


def program_signer(argv: Sequence[str], seconds: float) -> Callable[[bytes], bytes]:
    """Make a callback that runs `argv` (no shell) for each signature, for at most `seconds`."""

    def sign(data: bytes) -> bytes:
        try:
            # a session of its own, so that whatever the program started ends with it
            program = subprocess.Popen(  # noqa: S603  # named by the operator, like a key file
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise KeyMissing("The signer program cannot be started.") from error
        return _answered(program, data, seconds)

    return sign


def _answered(program: subprocess.Popen[bytes], data: bytes, seconds: float) -> bytes:
    with program:
        try:
            out, said = program.communicate(data, seconds)
        except subprocess.TimeoutExpired as error:
            os.killpg(program.pid, signal.SIGKILL)
            raise KeyMissing(f"The signer program did not answer within {seconds:g} s.") from error
    if program.returncode != 0:
        # What it says may hold account names: that is for the operator's log, not for a partner.
        _log.error(
            "signer program failed", code=program.returncode, said=said[-500:].decode(errors="replace")
        )
        raise KeyMissing(f"The signer program failed with exit code {program.returncode}.")
    if not 0 < len(out) <= _LONGEST_SIGNATURE:
        raise KeyMissing(f"The signer program answered {len(out)} bytes, which is no ES256 signature.")
    return out
