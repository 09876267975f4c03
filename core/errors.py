"""Every error Greenlight raises on purpose.

GreenlightError                      greenlight_error        500
├── BadInput                         bad_input               422  the caller can mend it
│   ├── BadMedia                     bad_media               422  not media we accept, or over a limit
│   ├── BadPrompt                    bad_prompt              422
│   ├── BadQuery                     bad_query               400  asked in words of the C2PA interface
│   ├── UnknownType                  unknown_type            415  a kind of file that is not read here
│   └── BadEnrolment                 bad_enrolment           422
├── Unauthenticated                  unauthenticated         401
├── Forbidden                        forbidden               403
├── NotFound                         not_found               404
├── Conflict                         conflict                409
│   └── KeyReused                    idempotency_key_reused  422
├── TooMany                          too_many                429
├── Unavailable                      unavailable             503  a part of the gate is missing or broken
│   ├── ModelMissing                 model_missing           503
│   ├── KeyMissing                   key_missing             503
│   ├── Unreachable                  unreachable             502  what a caller pointed to cannot be had
│   └── TimedOut                     timed_out               503
├── PolicyError                      policy_error            500  a pack that cannot be trusted to decide
├── LogCorrupt                       log_corrupt             500  the audit log disagrees with itself
├── Cancelled                        cancelled               409  raised by `tick`, never swallowed
└── StaleFence                       stale_fence             409  somebody else owns this step now

The docstring is the default message. A refusal is not an error: it is a `core.decision.Decision`.
"""

from __future__ import annotations

from typing import ClassVar


class GreenlightError(Exception):
    """Something went wrong inside Greenlight."""

    code: ClassVar[str] = "greenlight_error"
    status: ClassVar[int] = 500

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())

    @property
    def message(self) -> str:
        """The sentence to show to a person."""
        return str(self.args[0])


class BadInput(GreenlightError):
    """The request cannot be used as it is."""

    code = "bad_input"
    status = 422


class BadMedia(BadInput):
    """The file is not media that Greenlight accepts."""

    code = "bad_media"


class BadPrompt(BadInput):
    """The prompt cannot be used as it is."""

    code = "bad_prompt"


class BadQuery(BadInput):
    """The query cannot be understood."""

    code = "bad_query"
    status = 400


class UnknownType(BadInput):
    """This kind of file is not read here."""

    code = "unknown_type"
    status = 415


class BadEnrolment(BadInput):
    """None of the references is good enough to enrol."""

    code = "bad_enrolment"
    refused: tuple[tuple[str, str], ...] = ()
    """Each reference's file name with the reason, where the detector said so."""


class Unauthenticated(GreenlightError):
    """No valid credentials came with the request."""

    code = "unauthenticated"
    status = 401


class Forbidden(GreenlightError):
    """These credentials do not allow this."""

    code = "forbidden"
    status = 403


class NotFound(GreenlightError):
    """There is no such thing here."""

    code = "not_found"
    status = 404


class Conflict(GreenlightError):
    """The thing is not in a state that allows this."""

    code = "conflict"
    status = 409


class KeyReused(Conflict):
    """This Idempotency-Key came before with a different request."""

    code = "idempotency_key_reused"
    status = 422


class TooMany(GreenlightError):
    """The quota is used up for now."""

    code = "too_many"
    status = 429


class Unavailable(GreenlightError):
    """A part of the gate is missing or broken, so nothing passes."""

    code = "unavailable"
    status = 503


class ModelMissing(Unavailable):
    """A model file is missing; run `greenlight models pull`."""

    code = "model_missing"


class KeyMissing(Unavailable):
    """A key is missing."""

    code = "key_missing"


class Unreachable(Unavailable):
    """What the reference leads to cannot be had."""

    code = "unreachable"
    status = 502


class TimedOut(Unavailable):
    """A part of the gate did not answer in time."""

    code = "timed_out"


class PolicyError(GreenlightError):
    """The policy pack is broken."""

    code = "policy_error"


class LogCorrupt(GreenlightError):
    """The audit log disagrees with itself."""

    code = "log_corrupt"


class Cancelled(GreenlightError):
    """The request was cancelled."""

    code = "cancelled"
    status = 409


class StaleFence(GreenlightError):
    """The lease on this step was lost; its result is thrown away."""

    code = "stale_fence"
    status = 409
