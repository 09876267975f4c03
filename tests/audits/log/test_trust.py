from __future__ import annotations

import string
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audits.log import format as fmt
from audits.log.signing import LogKey, SigningKey
from audits.log.trust import Policy, parse_policy
from core.errors import LogCorrupt

ORIGIN = "greenlight.test/log"
LOG = LogKey(SigningKey(ORIGIN, b"\1" * 32), SigningKey(ORIGIN, b"\2" * 32, fmt.ML_DSA_44))
KINDS = (fmt.ML_DSA_44, fmt.COSIGNATURE, fmt.ML_DSA_44)
WITNESSES = tuple(SigningKey(f"w{n}.test", bytes([9, n]) * 16, kind) for n, kind in enumerate(KINDS))
TEXT = fmt.Checkpoint(ORIGIN, 7, bytes(32)).text
POLICY = Policy(LOG.vkeys, tuple(key.vkey for key in WITNESSES), 2)


def note(*witnesses: SigningKey, text: str = TEXT) -> str:
    return LOG.sign(text, 1_790_000_000) + "".join(
        key.signature(text, 1_790_000_001).line for key in witnesses
    )


def test_a_quorum_in_any_combination_is_believed() -> None:
    for pair in ((0, 1), (1, 2), (0, 2), (0, 1, 2)):
        assert POLICY.verify(note(*(WITNESSES[n] for n in pair))) == TEXT
    for single in WITNESSES:
        with pytest.raises(LogCorrupt, match="1 of the 2"):
            POLICY.verify(note(single))
        # One witness that signs twice is still one.
        with pytest.raises(LogCorrupt, match="1 of the 2"):
            POLICY.verify(note(single, single))
    stranger = SigningKey("w0.test", bytes(32), fmt.ML_DSA_44)
    with pytest.raises(LogCorrupt, match="1 of the 2"):
        POLICY.verify(note(WITNESSES[1], stranger))


def test_both_keys_of_the_log_must_have_signed() -> None:
    for part in (LOG.classical.sign(TEXT), LOG.post_quantum.sign(TEXT)):
        with pytest.raises(LogCorrupt, match="not signed by the key"):
            LOG.policy.verify(part)
    # The control: believing one of them is enough to be deceived by whoever breaks that one.
    assert LOG.vkey.verify(LOG.classical.sign(TEXT)) == TEXT


@pytest.mark.parametrize("key", [LOG.post_quantum, *WITNESSES[:2]])
def test_a_cosignature_holds_for_its_bytes_alone(key: SigningKey) -> None:
    good = key.signature(TEXT, 1_790_000_000)
    signed = fmt.Note(TEXT, (good,))
    assert key.vkey.signed(signed)
    for at in {0, 7, 8, len(good.blob) // 2, len(good.blob) - 1}:
        blob = bytearray(good.blob)
        blob[at] ^= 1
        with pytest.raises(LogCorrupt, match="wrong"):
            key.vkey.signed(fmt.Note(TEXT, (fmt.Signature(good.name, good.key_id, bytes(blob)),)))
    for blob in (b"", good.blob[:8], good.blob[:-1], good.blob + b"\0"):
        with pytest.raises(LogCorrupt):
            key.vkey.signed(fmt.Note(TEXT, (fmt.Signature(good.name, good.key_id, blob),)))
    for text in (TEXT.replace("7", "8"), TEXT.replace("test/log", "test/lag"), TEXT + "extension\n"):
        with pytest.raises(LogCorrupt):
            key.vkey.signed(fmt.Note(text, (good,)))


def test_the_signed_messages_are_those_of_the_specification() -> None:
    text = fmt.Checkpoint("a.test", 258, b"\xab" * 32).text
    assert fmt.cosigned(fmt.COSIGNATURE, "w", 1679315147, text) == (
        b"cosignature/v1\ntime 1679315147\na.test\n258\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\n"
    )
    assert fmt.cosigned(fmt.ML_DSA_44, "w", 1679315147, text).hex() == (
        "737562747265652f76310a00" + "0177" + "00000000641850cb" + "06612e74657374"
        + "0000000000000000" + "0000000000000102" + "ab" * 32
    )  # fmt: skip
    key = fmt.VerifierKey("w", bytes(1312), fmt.ML_DSA_44)
    assert fmt.parse_verifier_key(key.render()) == key
    assert len(LOG.post_quantum.signature(TEXT, 1).blob) == 8 + 2420


def test_a_name_past_255_bytes_and_a_time_past_63_bits_are_refused() -> None:
    with pytest.raises(LogCorrupt, match="255"):
        fmt.cosigned(fmt.ML_DSA_44, "w" * 256, 0, TEXT)
    with pytest.raises(LogCorrupt, match="2\\^63"):
        fmt.cosigned(fmt.COSIGNATURE, "w", 1 << 63, TEXT)


@settings(max_examples=40)
@given(st.permutations(WITNESSES), st.integers(0, 3))
def test_a_policy_reads_back(witnesses: list[SigningKey], quorum: int) -> None:
    policy = Policy(LOG.vkeys, tuple(key.vkey for key in witnesses), quorum)
    assert parse_policy(policy.render()) == policy


@settings(max_examples=200)
@given(st.integers(0), st.text(st.sampled_from(string.printable + "é"), max_size=3), st.integers(0, 3))
def test_a_changed_policy_is_corrupt_or_another_policy(where: int, put: str, cut: int) -> None:
    text = POLICY.render()
    at = where % len(text)
    try:
        changed = parse_policy(text[:at] + put + text[at + cut :])
    except LogCorrupt:
        return
    assert parse_policy(changed.render()) == changed


def test_comments_urls_and_other_spellings_of_a_quorum() -> None:
    log, (a, b) = LOG.vkey.render(), (key.vkey.render() for key in WITNESSES[:2])
    for group, needed in (("all", 2), ("any", 1), ("2", 2)):
        text = f"# ours\n\n log\t{log} https://a.test/\nwitness a {a} https://w.test\nwitness b {b}\n"
        policy = parse_policy(text + f"group g {group} a b\nquorum g\n")
        assert (policy.quorum, len(policy.witnesses)) == (needed, 2)
    single = parse_policy(f"log {log}\nwitness a {a}\nwitness b {b}\nquorum b\n")
    assert (single.quorum, single.witnesses) == (1, (WITNESSES[1].vkey,))


A = f"witness a {WITNESSES[0].vkey.render()}\n"


@pytest.mark.parametrize(
    "text",
    [
        "quorum none\n",
        f"log {LOG.vkey.render()}\n",
        f"log {LOG.vkey.render()}\nquorum none\nquorum none\n",
        f"log {LOG.vkey.render()}\nlog {SigningKey('other.test/log', bytes(32)).vkey.render()}\nquorum none\n",
        f"log {LOG.vkey.render()}\nlog {LOG.vkey.render()}\nquorum none\n",
        f"log {LOG.vkey.render()}\nquorum a\n{A}",
        f"log {LOG.vkey.render()}\n{A}{A}quorum a\n",
        f"log {LOG.vkey.render()}\n{A}{A.replace('witness a', 'witness b')}group g all a b\nquorum g\n",
        f"log {LOG.vkey.render()}\n{A}group g 2 a\nquorum g\n",
        f"log {LOG.vkey.render()}\n{A}group g 0 a\nquorum g\n",
        f"log {LOG.vkey.render()}\n{A}group g 1 a a\nquorum g\n",
        f"log {LOG.vkey.render()}\nwitness none {WITNESSES[0].vkey.render()}\nquorum none\n",
        f"log {WITNESSES[1].vkey.render()}\nquorum none\n",
        f"log {LOG.vkey.render()}\nwitness a {LOG.vkey.render()}\nquorum a\n",
        f"log {LOG.vkey.render()}\r\nquorum none\n",
        f"log {LOG.vkey.render()}\n" + "\n" * 300 + "quorum none\n",
    ],
)  # fmt: skip
def test_malformed_policies_are_corrupt(text: str) -> None:
    with pytest.raises(LogCorrupt):
        parse_policy(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Policy(()),
        lambda: Policy(LOG.vkeys, (), 1),
        lambda: Policy(LOG.vkeys, (WITNESSES[0].vkey,), -1),
        lambda: Policy(LOG.vkeys, (LOG.post_quantum.vkey,), 1),
    ],
)
def test_a_policy_that_cannot_be_met_or_counts_a_key_twice_is_refused(make: Callable[[], Policy]) -> None:
    with pytest.raises(LogCorrupt):
        make()
