"""What deciding costs: a pack of 200 rules, and 100,000 stored decisions again; `python -m policies.bench [RECORDS]`.

CPU time of this process, and as ratios to reading the same decision as JSON in the same run.
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from core.decision import CATEGORIES, to_json
from policies.backtest import Totals, decided_again
from policies.engine import Pack, default_pack, load, load_bytes
from policies.facts import WORDS, filled

RULES, RECORDS = 200, 100_000


def main() -> None:
    """Print the figures."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    default, large = load(default_pack()), large_pack()
    facts = [one for _, one in zip(range(200), asked(0), strict=False)]
    for pack in (default, large):
        told = _decided(pack, facts)
        print(f"{len(pack.rules)} rules: {told}")  # noqa: T201
    print(backtested(default, records))  # noqa: T201


def large_pack() -> Pack:
    """Make the default pack larger, to 200 rules of the kinds that it has, each with names and numbers of its own."""
    text = yaml.safe_load(default_pack().read_text())
    kinds = [rule for rule in text["rules"] if rule["stage"] == "prompt" and not rule.get("grave")]
    for number in range(RULES - len(text["rules"])):
        rule = dict(kinds[number % len(kinds)])
        where = f"({rule['where']}) && size(request.partner) != {number + 1000}" if "where" in rule else None
        rule |= {"id": f"{rule['id']}_{number}"} | ({"where": where} if where else {})
        text["rules"].append(rule)
    return load_bytes(yaml.safe_dump(text | {"name": "large", "tests": []}).encode())


def asked(seed: int) -> Iterator[dict[str, Any]]:
    """Give the facts of ever more prompts: most of them harmless, some with names, some with words of every kind."""
    rng = random.Random(seed)
    kinds, wishes = sorted(WORDS["Entity"]["kind"]), sorted(WORDS["Entity"]["asked"])
    while True:
        scores = {name: round(rng.random() ** 6, 4) for name in CATEGORIES}
        hits = [_hit(rng) for _ in range(rng.choice((0, 0, 0, 0, 1, 2)))]
        entities = [_entity(rng, kinds, wishes) for _ in range(rng.choice((0, 0, 0, 1, 2)))]
        views = {"views": ["A heron lifts off the reeds at dawn, slow dolly"] * 2, "length": 48}
        text = views | {"obfuscated": rng.random() < 0.02}
        yield filled("prompt", {"scores": scores, "hits": hits, "entities": entities, "text": text})


def _hit(rng: random.Random) -> dict[str, Any]:
    start = rng.randrange(40)
    category = rng.choice((*CATEGORIES, "minor"))
    return {"category": category, "term": "word", "span": [start, start + 5], "view": "text", "intent": ""}


def _entity(rng: random.Random, kinds: list[str], wishes: list[str]) -> dict[str, Any]:
    start = rng.randrange(40)
    made: dict[str, Any] = {"text": "Some Name", "kind": rng.choice(kinds), "id": f"n{start}", "view": "text"}
    return made | {"start": start, "end": start + 9, "asked": rng.sample(wishes, rng.choice((0, 0, 1)))}


def _decided(pack: Pack, facts: list[dict[str, Any]]) -> str:
    written = [json.dumps(to_json(pack.decide("prompt", one))) for one in facts]
    ours = [_milliseconds(lambda one=one: pack.decide("prompt", one)) for one in facts]  # type: ignore[misc]
    theirs = [_milliseconds(lambda one=one: json.loads(one)) for one in written]  # type: ignore[misc]
    middle, worst = statistics.median(ours), sorted(ours)[int(len(ours) * 0.99)]
    ratio = middle / statistics.median(theirs)
    return f"{middle:.3f} ms a decision (median), {worst:.3f} ms (99th percentile), {ratio:.1f} times reading it as JSON"


def _milliseconds(run: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best * 1000


def backtested(pack: Pack, count: int) -> str:
    """Store so many decisions as JSON lines, decide them again, and say what it took."""
    made = (
        json.dumps(to_json(pack.decide("prompt", one)))
        for _, one in zip(range(count), asked(1), strict=False)
    )
    totals, spent, before = Totals(), 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for line in made:
        start = time.process_time()
        for again in decided_again([("", json.loads(line))], pack):
            totals.count(again)
        spent += time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    same = "all bit-identical" if not totals.not_identical else f"{totals.not_identical} NOT identical"
    return (
        f"{totals.decisions} stored decisions again in {spent:.1f} s of CPU time "
        f"({1000 * spent / max(count, 1):.3f} ms each), {same}, memory grown by {grown:.0f} MiB"
    )


if __name__ == "__main__":
    main()
