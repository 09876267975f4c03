"""Protected people of a partner: enrolment, consents, erasure."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from sqlmodel import Session, col, select

from api.auth import CallingPartner, GateTools
from api.problems import ANSWERS
from api.schemas import (
    ConsentIn,
    ConsentOut,
    ConsentUsesOut,
    Cursor,
    EnrolmentIn,
    EnrolmentOut,
    IdentityIn,
    IdentityOut,
    IdInPath,
    PhraseOut,
    RecordingIn,
    RevocationOut,
    VoiceProofOut,
    consent_out,
    identity_out,
)
from audits.erasure import erase_mentions, erase_person, finish
from core.clock import iso, milliseconds
from core.errors import BadInput, NotFound
from core.tables import Consent, Identity, Upload
from pipeline import own_voice
from pipeline.consents import Grant, grant, released_of, revoke, uses
from pipeline.enrolment import enrol
from pipeline.people import add_identity

router = APIRouter(prefix="/v1", responses=ANSWERS, tags=["people"])
_UPLOADS = {"likeness": "picture", "voice": "voice"}


@router.post("/identities", status_code=201)
def post_identity(tools: GateTools, partner: CallingPartner, wanted: IdentityIn) -> IdentityOut:
    """Register a person; prompts that name them, and clips that show or voice them, will need a consent."""
    with tools.store.session() as session:
        person = add_identity(session, wanted.name, wanted.aliases, tools.clock, registered_by=partner)
        session.commit()
    return identity_out(person)


@router.get("/identities")
def list_identities(
    tools: GateTools,
    partner: CallingPartner,
    after: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> list[IdentityOut]:
    """List the people this partner registered."""
    mine = select(Identity).where(Identity.registered_by == partner, col(Identity.erased).is_(False))
    with tools.store.reading() as session:
        found = session.exec(mine.where(col(Identity.id) > (after or "")).order_by(Identity.id).limit(limit))
        return [identity_out(person) for person in found]


@router.post("/identities/{identity}/enrolments", status_code=201)
def post_enrolment(
    tools: GateTools, partner: CallingPartner, identity: IdInPath, wanted: EnrolmentIn
) -> EnrolmentOut:
    """Enrol uploaded pictures or recordings of a person; the uploads are deleted, accepted or not.

    With `keep_references`, reduced copies stay, sealed under the person's key, for reviewers to compare.
    """
    with tools.store.reading() as session:
        _mine(session, identity, partner)
        uploads = [session.get(Upload, name) for name in wanted.references]
    references = []
    for name, found in zip(wanted.references, uploads, strict=True):
        if found is None or found.partner != partner or found.kind != _UPLOADS[wanted.kind]:
            raise BadInput(f"There is no upload {name} of the right kind.")
        references.append((name, tools.blobs.path("private", found.blob)))
    _, made = enrol(
        tools,
        lambda session: _mine(session, identity, partner),
        wanted.kind,
        references,
        uploads=wanted.references,
        actor=f"partner:{partner}",
        keep=wanted.keep_references,
    )
    return EnrolmentOut(
        identity=identity,
        accepted=list(made.accepted),
        refused=[{"file": name, "why": why} for name, why in made.refused],
    )


@router.post("/identities/{identity}/voice-proofs", status_code=201)
def post_voice_proof(tools: GateTools, partner: CallingPartner, identity: IdInPath) -> PhraseOut:
    """Give a phrase for somebody who enrols themself to say: good for one recording, and a quarter of an hour."""
    with tools.store.session() as session:
        _mine(session, identity, partner)
        made = own_voice.issue(session, tools, identity)
        session.commit()
    return PhraseOut(id=made.id, phrase=made.phrase, expires_at=iso(made.expires_ms))


@router.post("/identities/{identity}/voice-proofs/{proof_id}")
def post_proof_recording(
    tools: GateTools, partner: CallingPartner, identity: IdInPath, proof_id: IdInPath, wanted: RecordingIn
) -> VoiceProofOut:
    """Compare an uploaded recording of the phrase with the enrolled voice, once; the upload is deleted."""
    with tools.store.reading() as session:
        _mine(session, identity, partner)
        found = session.get(Upload, wanted.recording)
    if found is None or found.partner != partner or found.kind != "voice":
        raise BadInput(f"There is no upload {wanted.recording} of the right kind.")
    proof = own_voice.prove(tools, identity, proof_id, found, actor=f"partner:{partner}")
    return VoiceProofOut(id=proof.id, **proof.result)


@router.delete("/identities/{identity}", status_code=204)
def delete_identity(tools: GateTools, partner: CallingPartner, identity: IdInPath) -> None:
    """Forget a person: the key is destroyed and with it every template; requests that name them lose their words."""
    actor = f"partner:{partner}"
    with tools.store.session() as session:
        _mine(session, identity, partner)
        erase_person(session, identity, actor=actor, clock=tools.clock)
        session.commit()
    erase_mentions(tools, identity, actor=actor)
    finish(tools)


@router.post("/consents", status_code=201)
def post_consent(tools: GateTools, partner: CallingPartner, wanted: ConsentIn) -> ConsentOut:
    """Register a consent of a person this partner registered; for anyone else the operator decides."""
    with tools.store.session() as session:
        _mine(session, wanted.identity, partner)
        given = Grant(
            identity=wanted.identity,
            partner=partner,
            likeness=wanted.likeness,
            voice=wanted.voice,
            project=wanted.project,
            territory=wanted.territory,
            starts_ms=milliseconds(wanted.starts_at or tools.clock.now()),
            ends_ms=milliseconds(wanted.ends_at),
            evidence_sha256=wanted.evidence_sha256,
        )
        consent = grant(session, given, actor=f"partner:{partner}", clock=tools.clock)
        session.commit()
    return consent_out(consent)


@router.get("/consents")
def list_consents(tools: GateTools, partner: CallingPartner) -> list[ConsentOut]:
    """List the grants given to this partner."""
    with tools.store.reading() as session:
        found = session.exec(select(Consent).where(Consent.partner == partner).order_by(Consent.id))
        return [consent_out(consent) for consent in found]


@router.get("/consents/{consent_id}")
def get_consent(tools: GateTools, partner: CallingPartner, consent_id: IdInPath) -> ConsentUsesOut:
    """Show a grant with the requests that rest on it: those that are out, and all with their state."""
    with tools.store.reading() as session:
        found = session.get(Consent, consent_id)
        if found is None or found.partner != partner:
            raise NotFound("There is no such consent.")
        used = uses(session, consent_id)
    clips = [{"id": job, "state": state} for job, state in used]
    return ConsentUsesOut(consent=consent_out(found), released=released_of(used), clips=clips)


@router.delete("/consents/{consent_id}")
def delete_consent(tools: GateTools, partner: CallingPartner, consent_id: IdInPath) -> RevocationOut:
    """Revoke a grant: what is not yet released stops, what is released is listed."""
    with tools.store.session() as session:
        found = session.get(Consent, consent_id)
        if found is None or found.partner != partner:
            raise NotFound("There is no such consent.")
        met = revoke(session, consent_id, actor=f"partner:{partner}", clock=tools.clock)
        session.commit()
    return RevocationOut(id=consent_id, stopped=list(met.stopped), released=list(met.released))


def _mine(session: Session, identity: str, partner: str) -> Identity:
    person = session.get(Identity, identity)
    if person is None or person.erased or person.registered_by != partner:
        raise NotFound("There is no such identity.")
    return person
