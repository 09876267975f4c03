"""Proof that a voice is one's own: somebody who enrols themself says a phrase that nobody could know before.

A phrase is good for one recording and a quarter of an hour. The recording must be of the enrolled voice, by the voice
detector's own comparison with that person alone (one stranger in a thousand would pass), and where a speech recogniser
is configured it must hold the words. Where none is, the answer says that the words were not checked: then an old
recording of the same person would pass.
"""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from audits.erasure import drop_uploads, finish
from core.clock import milliseconds, new_id
from core.errors import BadEnrolment, BadMedia, Conflict, NotFound, Unavailable
from core.events import Event, Tag, record
from core.finding import Comparison
from core.tables import Identity, Upload, VoiceProof
from pipeline.enrolment import detector_of
from pipeline.tools import Tools

MINUTES = 15
_WORDS = 8
"""So that saying them takes the three seconds of speech that a comparison needs."""
_MOST_WRONG = 2
_PARTS = 10_000
_MARGIN_S = 60.0
_VOCABULARY = """
amber anchor apple arrow autumn basket beacon bicycle blanket bottle bridge bucket butter button
candle canyon carpet castle cellar cherry circle clover coffee copper corner cotton cousin cradle
dinner doctor dragon eagle ember engine evening falcon feather fiddle finger forest fountain garden
garlic ginger golden guitar hammer harbor harvest helmet hollow honey island jacket jasmine jungle
kettle kitchen ladder lantern lemon letter lobster magnet marble market meadow melon mirror monday
morning mountain music napkin needle nickel orange orchard oyster paper parrot pebble pepper piano
picnic pillow planet pocket potato puzzle rabbit ribbon river rocket saddle salmon saturday season
shadow silver sister spider spring stable summer sunday sweater table teacher temple thunder ticket
timber tomato tunnel turtle valley velvet village violin walnut water weather whisper willow window
winter yellow
"""


def issue(session: Session, tools: Tools, identity: str) -> VoiceProof:
    """Give a phrase to be said; raises `NotFound` when there is no such person."""
    person = session.get(Identity, identity)
    if person is None or person.erased:
        raise NotFound("There is no such identity.")
    now_ms = milliseconds(tools.clock.now())
    words = secrets.SystemRandom().sample(_VOCABULARY.split(), _WORDS)
    made = VoiceProof(
        id=new_id("proof"),
        identity=identity,
        phrase=" ".join(words),
        issued_ms=now_ms,
        expires_ms=now_ms + MINUTES * 60_000,
    )
    session.add(made)
    session.flush()
    return made


def prove(tools: Tools, identity: str, proof_id: str, recording: Upload, *, actor: str) -> VoiceProof:
    """Compare a recording with the enrolled voice and the phrase, once; the recording is deleted.

    Raises `NotFound` when there is no such proof or nobody enrolled a voice, `Conflict` when it was used before or is
    too old, `Unavailable` when nothing could be compared; whatever happens after the first two, it is used up.
    """
    phrase = _taken(tools, identity, proof_id)
    try:
        result = judged(_compared(tools, identity, recording), phrase)
    except (BadEnrolment, BadMedia) as error:
        # A recording that is not fit to judge by has proved nothing, and its speaker is told why.
        return _settled(tools, proof_id, recording, _unclear(error.message), actor)
    except Unavailable as error:
        _settled(tools, proof_id, recording, _unclear(error.message), actor)
        raise
    return _settled(tools, proof_id, recording, result, actor)


def judged(compared: Comparison, phrase: str) -> dict[str, Any]:
    """Say whether it was the enrolled voice, and the words where they could be read."""
    words = "unchecked" if compared.transcript is None else _words(compared.transcript, phrase)
    why = [] if compared.same else ["It is not the enrolled voice."]
    why += ["It is not the phrase."] if words == "unmatched" else []
    passed = compared.same and words != "unmatched"
    scored = {"score": compared.score, "threshold": compared.threshold}
    return {"passed": passed, "voice": compared.same, "words": words, "why": " ".join(why), **scored}


def _words(said: str, phrase: str) -> str:
    return "matched" if says(said, phrase) else "unmatched"


def says(said: str, phrase: str) -> bool:
    """Tell whether words were said in their order, but for two that were misheard, left out or added."""
    heard = [word for part in said.casefold().split() if (word := "".join(filter(str.isalnum, part)))]
    return _distance(heard, phrase.split()) <= _MOST_WRONG


def _distance(a: list[str], b: list[str]) -> int:
    """Count the words to change, leave out or add (Levenshtein)."""
    row = list(range(len(b) + 1))
    for number, left in enumerate(a, start=1):
        before, row[0] = row[0], number
        for at, right in enumerate(b, start=1):
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, before + (left != right))
    return row[-1]


def _taken(tools: Tools, identity: str, proof_id: str) -> str:
    """Use a proof up, in a transaction of its own: if we crash later it cannot be tried again."""
    now_ms = milliseconds(tools.clock.now())
    with tools.store.session() as session:
        known = session.get(VoiceProof, proof_id)
        if known is None or known.identity != identity:
            raise NotFound("There is no such proof.")
        free = sa.and_(
            col(VoiceProof.id) == proof_id,
            col(VoiceProof.used_ms).is_(None),
            col(VoiceProof.expires_ms) > now_ms,
        )
        used = sa.update(VoiceProof).where(free).values(used_ms=now_ms).returning(col(VoiceProof.phrase))
        phrase: str | None = session.execute(used).scalar_one_or_none()
        if phrase is None:
            raise Conflict("This phrase was used or is too old; ask for another one.")
        session.commit()
    return phrase


def _compared(tools: Tools, identity: str, recording: Upload) -> Comparison:
    path = tools.blobs.path("private", recording.blob)
    try:
        future = detector_of(tools, "voice").compare(path, identity)
        return future.result(timeout=tools.settings.screen_seconds + _MARGIN_S)
    except (Unavailable, BadEnrolment, BadMedia):
        raise
    except NotFound as error:
        raise Unavailable(error.message) from error
    except Exception as error:  # a detector that broke, whatever broke it, has compared nothing
        raise Unavailable("The voice detector gave no answer.") from error


def _unclear(why: str) -> dict[str, Any]:
    return {"passed": False, "voice": False, "words": "unchecked", "why": why}


def _settled(
    tools: Tools, proof_id: str, recording: Upload, result: dict[str, Any], actor: str
) -> VoiceProof:
    with tools.store.session() as session:
        proof = session.get_one(VoiceProof, proof_id)
        proof.passed, proof.result = result["passed"], result
        session.add(proof)
        facts: dict[str, Any] = {"proof": proof_id, "words": result["words"]}
        facts |= {name: int(result[name]) for name in ("passed", "voice")}
        facts |= {name: round(result[name] * _PARTS) for name in ("score", "threshold") if name in result}
        event = Event(tag=Tag.IDENTITY_PROVED, actor=actor, identity=proof.identity, facts=facts)
        record(session, event, tools.clock)
        drop_uploads(session, [recording.id])
        session.commit()
    finish(tools)
    return proof
