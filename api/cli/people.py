"""Partners, protected people and consents, from the command line."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from sqlmodel import Session

from api.auth import add_partner, new_key
from api.cli import local
from api.cli.show import Exit, Json, answer, told
from audits.erasure import erase_mentions, erase_person, finish
from core.clock import iso, milliseconds
from core.errors import BadEnrolment, BadInput, BadMedia
from core.tables import Consent, Identity, Upload
from pipeline import own_voice
from pipeline.consents import Grant, Kind, grant, released_of, revoke, uses
from pipeline.enrolment import enrol
from pipeline.intake import UploadKind
from pipeline.people import add_identity, find_identity
from pipeline.tools import Tools

enroll = typer.Typer(no_args_is_help=True, help="Protect people: enrol their faces and voices.")
partner = typer.Typer(no_args_is_help=True, help="Studios and their keys.")
consent = typer.Typer(no_args_is_help=True, help="What protected people allow.")
Name = Annotated[str, typer.Argument(help="Name (or id) of the person.")]
Keep = Annotated[
    bool,
    typer.Option(
        "--keep-references", help="Keep reduced copies, sealed under the person's key, for reviewers."
    ),
]
Files = Annotated[list[Path], typer.Argument(help="Pictures or recordings, several are better.")]


@enroll.command()
def face(name: Name, files: Files, keep: Keep = False, as_json: Json = False) -> None:
    """Enrol a face from pictures; exit 1 when none is good enough."""
    _enrolled(name, "likeness", "picture", files, keep=keep, as_json=as_json)


@enroll.command()
def voice(name: Name, files: Files, keep: Keep = False, as_json: Json = False) -> None:
    """Enrol a voice from recordings; exit 1 when none is good enough."""
    _enrolled(name, "voice", "voice", files, keep=keep, as_json=as_json)


@enroll.command("phrase")
def phrase(name: Name, as_json: Json = False) -> None:
    """Give a phrase with which somebody who enrols themself proves that the voice is their own."""
    with told():
        tools = local.open_tools()
        person = _found(tools, name)
        with tools.store.session() as session:
            made = own_voice.issue(session, tools, person.id)
            session.commit()
    value = {"proof": made.id, "phrase": made.phrase, "expires": iso(made.expires_ms)}
    answer(value, f"{made.id}, until {value['expires']}. Say: {made.phrase}", as_json=as_json)


@enroll.command("prove")
def prove(
    name: Name,
    proof: Annotated[str, typer.Argument(help="Id that came with the phrase.")],
    file: Annotated[Path, typer.Argument(help="A recording of the phrase.")],
    as_json: Json = False,
) -> None:
    """Compare a recording of the phrase with the enrolled voice, once; exit 1 when it is another one."""
    with told():
        tools = local.open_tools()
        person = _found(tools, name)
        (row,) = local.take_in(tools, "voice", [file])
        done = own_voice.prove(tools, person.id, proof, row, actor="operator")
    value = {"proof": done.id, "identity": person.id} | done.result
    verdict = "passed" if done.passed else f"not passed: {done.result['why']}"
    answer(value, f"{done.id} {verdict}; words {done.result['words']}", as_json=as_json)
    raise typer.Exit(Exit.GOOD if done.passed else Exit.REFUSED)


@enroll.command("erase")
def erase(name: Name, as_json: Json = False) -> None:
    """Forget a person: the key is destroyed and with it every template; requests that name them lose their words."""
    with told():
        tools = local.open_tools()
        person = _found(tools, name)
        with tools.store.session() as session:
            erase_person(session, person.id, actor="operator", clock=tools.clock)
            session.commit()
        requests = erase_mentions(tools, person.id, actor="operator")
        finish(tools)
    value = {"identity": person.id, "erased": True, "requests": requests}
    answer(value, f"{person.id} is erased, and the words of {len(requests)} requests.", as_json=as_json)


@partner.command("add")
def partner_add(
    name: Annotated[str, typer.Argument(help="Name of the studio.")], as_json: Json = False
) -> None:
    """Register a studio and show its first key, once."""
    with told():
        tools = local.open_tools()
        with tools.store.session() as session:
            row = add_partner(session, name, tools.clock)
            session.flush()
            key = new_key(session, row.id, tools.clock)
            session.commit()
    answer({"partner": row.id, "key": key}, f"partner {row.id}\nkey {key}", as_json=as_json)


@consent.command("grant")
def consent_grant(
    name: Name,
    likeness: Annotated[bool, typer.Option(help="May be shown.")] = False,
    voice: Annotated[bool, typer.Option(help="May be voiced.")] = False,
    to: Annotated[str, typer.Option(help="Partner id.")] = local.LOCAL_PARTNER,
    project: Annotated[str, typer.Option(help="Only in this project.")] = "",
    territory: Annotated[str, typer.Option(help="Only in this territory.")] = "",
    days: Annotated[float, typer.Option(help="Term in days.")] = 365.0,
    evidence: Annotated[Path | None, typer.Option(help="The signed paper; only its digest is kept.")] = None,
    as_json: Json = False,
) -> None:
    """Register a consent."""
    with told():
        tools = local.open_tools()
        person = _found(tools, name)
        now = tools.clock.now()
        given = Grant(
            identity=person.id,
            partner=to,
            likeness=likeness,
            voice=voice,
            project=project,
            territory=territory,
            starts_ms=milliseconds(now),
            ends_ms=milliseconds(now + timedelta(days=days)),
            evidence_sha256=hashlib.sha256(local.existing(evidence).read_bytes()).hexdigest()
            if evidence
            else "",
        )
        with tools.store.session() as session:
            row = grant(session, given, actor="operator", clock=tools.clock)
            session.commit()
    answer(
        {"consent": row.id, "ends": iso(row.ends_ms)}, f"{row.id} until {iso(row.ends_ms)}", as_json=as_json
    )


@consent.command("show")
def consent_show(
    consent_id: Annotated[str, typer.Argument(help="Id of the consent.")], as_json: Json = False
) -> None:
    """Show a consent and the requests that rest on it: those that are out, and all with their state."""
    with told():
        tools = local.open_tools()
        with tools.store.reading() as session:
            found = session.get(Consent, consent_id)
            if found is None:
                raise BadInput(f"There is no consent {consent_id}.")
            used = uses(session, consent_id)
    value = {
        "consent": found.id,
        "identity": found.identity,
        "partner": found.partner,
        "ends": iso(found.ends_ms),
        "revoked": iso(found.revoked_ms) if found.revoked_ms else None,
        "released": released_of(used),
        "clips": [{"id": job, "state": state} for job, state in used],
    }
    standing = f"revoked {value['revoked']}" if found.revoked_ms else f"until {value['ends']}"
    lines = [f"{found.id} of {found.identity} to {found.partner}, {standing}"]
    answer(value, "\n".join([*lines, *(f"  {job} {state}" for job, state in used)]), as_json=as_json)


@consent.command("revoke")
def consent_revoke(
    consent_id: Annotated[str, typer.Argument(help="Id of the consent.")], as_json: Json = False
) -> None:
    """Revoke a consent: unreleased clips stop, released ones are listed."""
    with told():
        tools = local.open_tools()
        with tools.store.session() as session:
            met = revoke(session, consent_id, actor="operator", clock=tools.clock)
            session.commit()
    value = {"consent": consent_id, "stopped": met.stopped, "released": met.released}
    text = f"{consent_id} is revoked; stopped: {', '.join(met.stopped) or 'none'}; released: {', '.join(met.released) or 'none'}"
    answer(value, text, as_json=as_json)


def _enrolled(
    name: str, kind: Kind, upload: UploadKind, files: list[Path], *, keep: bool, as_json: bool
) -> None:
    with told():
        tools = local.open_tools()
        rows, unread = _taken_in(tools, upload, files)
        references = [(str(file), tools.blobs.path("private", row.blob)) for file, row in rows]
        try:
            person, made = enrol(
                tools,
                partial(_found_or_new, tools, name),
                kind,
                _some(references, unread),
                uploads=[row.id for _, row in rows],
                actor="operator",
                keep=keep,
            )
        except BadEnrolment as error:
            _told_refused(tools, name, files, error, unread, as_json=as_json)
            raise typer.Exit(Exit.REFUSED) from error
    refused = [*unread, *made.refused]
    value = {"identity": person, "accepted": list(made.accepted), "refused": _refusals(refused)}
    lines = [f"{person}: {len(made.accepted)} accepted", *_refusal_lines(refused)]
    answer(value, "\n".join(lines), as_json=as_json)


def _taken_in(
    tools: Tools, upload: UploadKind, files: list[Path]
) -> tuple[list[tuple[Path, Upload]], list[tuple[str, str]]]:
    """Take files in one by one; one that cannot be read is refused by itself."""
    rows: list[tuple[Path, Upload]] = []
    unread: list[tuple[str, str]] = []
    for file in files:
        try:
            rows.append((file, local.take_in(tools, upload, [file])[0]))
        except BadMedia as error:
            unread.append((str(file), error.message))
    return rows, unread


def _some(references: list[tuple[str, Path]], unread: list[tuple[str, str]]) -> list[tuple[str, Path]]:
    if references:
        return references
    error = BadEnrolment("None of the files can be read.")
    error.refused = tuple(unread)
    raise error


def _told_refused(
    tools: Tools,
    name: str,
    files: list[Path],
    error: BadEnrolment,
    unread: list[tuple[str, str]],
    *,
    as_json: bool,
) -> None:
    """Say why nobody was enrolled; a detector that gives one reason gives it for every file."""
    known = dict([*unread, *error.refused])
    refused = [(str(file), known.get(str(file), error.message)) for file in files]
    with tools.store.reading() as session:
        person = find_identity(session, name)
    value = {"identity": person.id if person else None, "accepted": [], "refused": _refusals(refused)}
    answer(value, "\n".join(["0 accepted", *_refusal_lines(refused)]), as_json=as_json)


def _refusals(refused: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"file": file, "why": why} for file, why in refused]


def _refusal_lines(refused: list[tuple[str, str]]) -> list[str]:
    return [f"  refused {escape(file)}: {escape(why)}" for file, why in refused]


def _found_or_new(tools: Tools, name: str, session: Session) -> Identity:
    return find_identity(session, name) or add_identity(session, name, (), tools.clock)


def _found(tools: Tools, name: str) -> Identity:
    with tools.store.reading() as session:
        person = find_identity(session, name)
    if person is None:
        raise BadInput(f"Nobody called {name} is enrolled.")
    return person
