"""Evidence for one request in one archive that can be checked on another machine, without us."""

from __future__ import annotations

import hashlib
import html
import re
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlmodel import Session

from audits.filters import Filter
from audits.log.format import VerifierKey
from audits.log.proof import SUFFIX, prove_each, verify_proof
from audits.queries import Entry, all_events
from audits.terms import Field
from core.errors import BadInput, LogCorrupt, NotFound

VERIFIER = Path(__file__).with_name("offline.py")
_PAPER = re.compile(r"[A-Za-z0-9_-]{1,60}\.(json|txt|html|yaml)")
_LEAF = re.compile(r"events/([0-9]{9,})\.json")
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Evidence for {job}</title>
<style>body{{font:16px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}}
table{{border-collapse:collapse}}td,th{{border:1px solid #767676;padding:.3em .6em;text-align:left}}
code{{overflow-wrap:anywhere}}</style></head><body>
<h1>Evidence for <code>{job}</code></h1>
<p>{count} events, each proven to be in the audit log <code>{origin}</code>. The log's verifier key is
<code>{vkey}</code>; compare it with the one that was published.</p>
<p>Each <code>events/N.json</code> holds the exact bytes of entry N, and <code>proofs/N{suffix}</code> its proof
(C2SP tlog-proof). The other papers were written by the operator and are not covered by the log itself.</p>
<h2>What happened</h2>
<table><tr><th>Entry</th><th>Time (UTC)</th><th>Event</th><th>By</th><th>Rule</th></tr>
{rows}</table>
<h2>Papers</h2><ul>{papers}</ul></body></html>
"""


def write_bundle(
    session: Session, folder: Path, vkey: VerifierKey, job: str, into: Path, *, papers: Mapping[str, bytes]
) -> int:
    """Write the archive for a request to the file `into` and return the number of its events.

    `papers` are further files by name: the receipt, the decisions. Each proof is verified before it is
    written. NotFound when the log holds nothing about the request.
    """
    entries = list(all_events(session, Filter(values={Field.JOB: (job,)})))
    if not entries:
        raise NotFound("The log holds no event of this request.")
    if any(not _PAPER.fullmatch(name) or name == "index.html" for name in papers):
        raise BadInput("a paper in a bundle needs a plain file name")
    files = {name: data for entry in _proven(folder, vkey, entries) for name, data in entry.items()}
    files |= {f"papers/{name}": data for name, data in papers.items()}
    files["verifier-key.txt"] = vkey.render().encode() + b"\n"
    files["index.html"] = _page(job, vkey, entries, papers).encode()
    _zip(into, files)
    return len(entries)


def verify_bundle(path: Path, vkey: VerifierKey) -> int:
    """Check every event in an archive against its proof and return their number; LogCorrupt when one fails."""
    try:
        with zipfile.ZipFile(path) as archive:
            leaves = [name for name in archive.namelist() if name.startswith("events/")]
            for name in leaves:
                match = _LEAF.fullmatch(name)
                if match is None:
                    raise LogCorrupt(f"{name[:80]} has no place in a bundle")
                proof = archive.read(f"proofs/{match[1]}{SUFFIX}").decode()
                verify_proof(proof, archive.read(name), vkey)
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError, OSError) as error:
        raise LogCorrupt(f"the bundle cannot be read: {error}") from error
    if not leaves:
        raise LogCorrupt("the bundle holds no event")
    return len(leaves)


def _proven(folder: Path, vkey: VerifierKey, entries: list[Entry]) -> Iterator[dict[str, bytes]]:
    for entry, proof in zip(entries, prove_each(folder, vkey, [e.index for e in entries]), strict=True):
        text = proof.render()
        verify_proof(text, entry.leaf, vkey)
        number = f"{entry.index:09d}"
        yield {f"events/{number}.json": entry.leaf, f"proofs/{number}{SUFFIX}": text.encode()}
        yield {"checkpoint": proof.note.encode()}


def _page(job: str, vkey: VerifierKey, entries: list[Entry], papers: Mapping[str, bytes]) -> str:
    rows = "".join(
        f"<tr><td>{entry.index}</td>"
        + "".join(
            f"<td>{html.escape(text or '')}</td>" for text in (entry.at, entry.tag, entry.actor, entry.rule)
        )
        + "</tr>\n"
        for entry in entries
    )
    listed = "".join(
        f'<li><a href="papers/{name}">{name}</a> <code>sha256 {hashlib.sha256(data).hexdigest()}</code></li>'
        for name, data in papers.items()
    )
    return _PAGE.format(
        job=html.escape(job),
        count=len(entries),
        origin=html.escape(vkey.name),
        vkey=html.escape(vkey.render()),
        suffix=SUFFIX,
        rows=rows,
        papers=listed,
    )


def _zip(into: Path, files: Mapping[str, bytes]) -> None:
    """Write the archive whole or not at all, with the same bytes for the same content."""
    draft = into.with_name(f".{into.name}.{secrets.token_hex(4)}")
    try:
        with zipfile.ZipFile(draft, "x", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(files):
                archive.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED)
        draft.rename(into)
    finally:
        draft.unlink(missing_ok=True)
