"""A proof as a file to keep."""

from __future__ import annotations

from fastapi.responses import PlainTextResponse

from audits.log.proof import SUFFIX, Proof


def proof_file(proof: Proof) -> PlainTextResponse:
    """Answer with a `.tlog-proof` named after its entry; it never changes, but it is the asker's."""
    headers = {
        "Content-Disposition": f'attachment; filename="{proof.index}{SUFFIX}"',
        "Cache-Control": "private, no-cache",
    }
    return PlainTextResponse(proof.render(), headers=headers)
