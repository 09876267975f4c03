"""CEL gives up on an evaluation of many steps: a bundle is then asked rule by rule, and a rule of its own holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policies.engine import default_pack, load
from policies.facts import filled
from tests.policies.test_engine import written

PAIRS = {
    "id": "pairs",
    "stage": "screen",
    "when": "matches.exists(a, matches.exists(b, a.frame + b.frame == -3))",
    "outcome": "refuse",
    "category": "privacy",
    "reason_code": "pairs",
    "message": "Two matches are of one frame.",
    "advice": "Make another clip.",
}


def matched(count: int) -> dict[str, Any]:
    one = {"kind": "voice", "score": 0.9, "threshold": 0.5}
    return filled("screen", {"matches": [{**one, "identity": f"person_{n}"} for n in range(count)]})


def test_thousands_of_matches_are_each_decided_on() -> None:
    pack = load(default_pack())
    (few,) = pack.decide("screen", matched(2)).rules
    (many,) = pack.decide("screen", matched(4000)).rules
    assert (many.id, many.outcome, len(many.evidence)) == (few.id, "hold", 4000)


def test_a_rule_that_is_too_much_for_cel_holds_and_the_control_is_decided(tmp_path: Path) -> None:
    pack = load(written(tmp_path, PAIRS))
    (hit,) = pack.decide("screen", matched(400)).rules
    assert (hit.id, hit.outcome, hit.reason_code) == ("pairs", "hold", "policy_error")
    assert pack.decide("screen", matched(4)).rules == ()
