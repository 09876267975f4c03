"""A partner's users: how they stand after refusals, and appealing for them."""

from __future__ import annotations

from fastapi import APIRouter

from api.auth import CallingPartner, GateTools
from api.problems import ANSWERS
from api.schemas import AppealIn, EndUserInPath, UserOut
from core.clock import iso, milliseconds
from pipeline import strikes
from pipeline.restrictions import terms_of
from pipeline.strikes import Standing

router = APIRouter(prefix="/v1/users", responses=ANSWERS, tags=["users"])


@router.get("/{end_user}")
def get_user(tools: GateTools, partner: CallingPartner, end_user: EndUserInPath) -> UserOut:
    """Tell how a user stands; one who was never heard of stands well."""
    name = strikes.alias(tools.vault, partner, end_user)
    with tools.store.reading() as session:
        now_ms = milliseconds(tools.clock.now())
        now = strikes.standing(session, partner, name, terms_of(session, tools), now_ms)
    return _out(end_user, now)


@router.post("/{end_user}/appeal")
def post_user_appeal(
    tools: GateTools, partner: CallingPartner, end_user: EndUserInPath, wanted: AppealIn
) -> UserOut:
    """Have people look at a user's restriction; it holds until they lift it."""
    name = strikes.alias(tools.vault, partner, end_user)
    with tools.store.session() as session:
        now = strikes.appeal(
            session,
            partner,
            name,
            terms_of(session, tools),
            reason=wanted.reason,
            clock=tools.clock,
            vault=tools.vault,
        )
        session.commit()
    return _out(end_user, now)


def _out(end_user: str, now: Standing) -> UserOut:
    expiry = iso(now.next_expiry_ms) if now.next_expiry_ms else None
    return UserOut(
        end_user=end_user, level=now.level, strikes=now.strikes, total=now.total, next_expiry_at=expiry
    )
