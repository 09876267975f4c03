"""Partners, protected people and consents, from the command line."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from api.auth import add_partner, new_key
from api.cli import local
from api.cli.show import Json, answer, told
from audits.erasure import erase_mentions, erase_person, finish
from core.clock import iso, milliseconds
from core.errors import BadInput
from core.tables import Identity
from pipeline.consents import Grant, Kind, grant, revoke
from pipeline.enrolment import enrol
from pipeline.intake import UploadKind
from pipeline.people import add_identity, find_identity
from pipeline.tools import Tools

enroll = typer.Typer(no_args_is_help=True, help="Protect people: enrol their faces and voices.")
partner = typer.Typer(no_args_is_help=True, help="Studios and their keys.")
consent = typer.Typer(no_args_is_help=True, help="What protected people allow.")
Name = Annotated[str, typer.Argument(help="Name (or id) of the person.")]
Files = Annotated[list[Path], typer.Argument(help="Pictures or recordings, several are better.")]


@enroll.command()
def face(name: Name, files: Files, as_json: Json = False) -> None:
    """Enrol a face from pictures."""
    _enrolled(name, "likeness", "picture", files, as_json=as_json)


@enroll.command()
def voice(name: Name, files: Files, as_json: Json = False) -> None:
    """Enrol a voice from recordings."""
    _enrolled(name, "voice", "voice", files, as_json=as_json)


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


def _enrolled(name: str, kind: Kind, upload: UploadKind, files: list[Path], *, as_json: bool) -> None:
    with told():
        tools = local.open_tools()
        rows = local.take_in(tools, upload, files)
        references = [
            (str(file), tools.blobs.path("private", row.blob)) for file, row in zip(files, rows, strict=True)
        ]
        person = _found_or_new(tools, name)
        uploads = [row.id for row in rows]
        made = enrol(tools, person.id, kind, references, uploads=uploads, actor="operator")
    value = {
        "identity": person.id,
        "accepted": list(made.accepted),
        "refused": [{"file": file, "why": why} for file, why in made.refused],
    }
    lines = [
        f"{person.id}: {len(made.accepted)} accepted",
        *(f"  refused {file}: {why}" for file, why in made.refused),
    ]
    answer(value, "\n".join(lines), as_json=as_json)


def _found(tools: Tools, name: str) -> Identity:
    with tools.store.reading() as session:
        person = find_identity(session, name)
    if person is None:
        raise BadInput(f"Nobody called {name} is enrolled.")
    return person


def _found_or_new(tools: Tools, name: str) -> Identity:
    with tools.store.session() as session:
        person = find_identity(session, name) or add_identity(session, name, (), tools.clock)
        session.commit()
    return person
