"""The verifier for strangers against the code that writes the log: two implementations, one answer."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audits import offline
from audits.log import format as fmt
from audits.log import tree
from audits.log.check import check
from audits.log.proof import Proof, prove, verify_proof
from audits.log.signing import LogKey, SigningKey
from audits.log.trust import Policy, parse_policy
from core.errors import LogCorrupt
from tests.audits.log.test_check import build

FILE = Path(offline.__file__)
ORIGIN = "greenlight.test/log"
LOG = LogKey(SigningKey(ORIGIN, bytes(32)), SigningKey(ORIGIN, bytes(32), fmt.ML_DSA_44))
WITNESSES = (
    SigningKey("w.test/1", b"\1" * 32, fmt.COSIGNATURE),
    SigningKey("w.test/2", b"\2" * 32, fmt.ML_DSA_44),
    SigningKey("w.test/3", b"\3" * 32, fmt.COSIGNATURE),
)
POLICY = Policy(LOG.vkeys, tuple(key.vkey for key in WITNESSES), 2)
TRUST = offline.read_policy(POLICY.render())
NOW = 1_800_000_000


def signed(text: str, *witnesses: SigningKey) -> str:
    return LOG.sign(text, NOW) + "".join(key.signature(text, NOW).line for key in witnesses)


LEAVES = [b'{"n":%d}' % n for n in range(7)]
HASHES = [tree.leaf_hash(leaf) for leaf in LEAVES]
HEAD = fmt.Checkpoint(ORIGIN, 7, tree.root(HASHES))
NOTE = signed(HEAD.text, *WITNESSES[:2])
PROOF = Proof(4, tuple(tree.inclusion_proof(4, 7, tree.over(HASHES))), NOTE, LEAVES[4])


def agree(ours: Callable[[], Any], theirs: Callable[[], Any]) -> bool:
    """Both accept, or both refuse with their own error and no other; answer which."""
    answers = []
    for ask, refusal in ((ours, LogCorrupt), (theirs, offline.Wrong)):
        try:
            ask()
        except refusal:
            answers.append(False)
        else:
            answers.append(True)
    assert answers[0] == answers[1]
    return answers[0]


@st.composite
def mutations(draw: st.DrawFn, text: str) -> str:
    """Change a text in one or two places: a character, a line, or a piece that is said twice."""
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.sampled_from([0, 1, 1, 4, 45])))
        put = draw(
            st.sampled_from(["", "\n", "A", "=", "0", " ", "+", "— ", "\x01", "é", text[at : end + 9]])
        )
        text = text[:at] + put + text[end:]
    return text


@settings(max_examples=500)
@given(mutations(PROOF.render()), st.sampled_from([None, LEAVES[4], LEAVES[3]]))
def test_changed_proofs_get_the_same_answer(text: str, leaf: bytes | None) -> None:
    good = agree(lambda: verify_proof(text, leaf, POLICY), lambda: offline.check_proof(text, leaf, TRUST))
    if good:
        index = json.loads(offline.check_proof(text, leaf, TRUST)[2])["n"]
        assert index == offline.check_proof(text, leaf, TRUST)[1] == 4


@settings(max_examples=60)
@given(st.integers(1, 70), st.integers(0, 80), st.integers(0, 6), st.booleans())
def test_every_path_gets_the_same_answer(size: int, index: int, length: int, whole: bool) -> None:
    hashes = [tree.leaf_hash(b"%d" % n) for n in range(size)]
    path = tree.inclusion_proof(index, size, tree.over(hashes)) if index < size else [bytes(32)] * length
    path = path if whole else path[:length]
    text = fmt.Checkpoint(ORIGIN, size, tree.root(hashes)).text
    proof = Proof(index, tuple(path), signed(text, *WITNESSES[1:]), b"%d" % index).render()
    good = agree(lambda: verify_proof(proof, None, POLICY), lambda: offline.check_proof(proof, None, TRUST))
    assert good == (index < size and path == tree.inclusion_proof(index, size, tree.over(hashes)))


@pytest.mark.parametrize("names", [(), (0,), (1,), (0, 0), (0, 1), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("drop", [0, 1, 2])
def test_a_quorum_is_counted_alike(names: tuple[int, ...], drop: int) -> None:
    lines = signed(HEAD.text, *(WITNESSES[n] for n in names)).split("\n")
    note = "\n".join([*lines[:3], "", *lines[4 + drop :]])
    if len(names) + 2 == drop:
        return
    good = agree(lambda: POLICY.verify(note), lambda: offline.open_note(note, TRUST))
    assert good == (not drop and len(set(names)) >= 2)


@settings(max_examples=300)
@given(mutations(POLICY.render().replace("\n", " # \n", 1)))
def test_changed_policies_get_the_same_answer(text: str) -> None:
    agree(lambda: parse_policy(text), lambda: offline.read_policy(text))


@settings(max_examples=60)
@given(mutations(LOG.vkey.render()))
def test_changed_keys_get_the_same_answer(text: str) -> None:
    agree(lambda: fmt.parse_verifier_key(text), lambda: offline.read_key(text))


def test_groups_of_groups_are_understood() -> None:
    names = "\n".join(f"witness w{n} {key.vkey.render()}" for n, key in enumerate(WITNESSES))
    head = f"log {LOG.vkey.render()}\n{names}\ngroup a any w0 w1\n"
    trust = offline.read_policy(head + "group b all a w2\nquorum b\n")
    for witnesses, good in ((WITNESSES[:2], False), (WITNESSES[1:], True), (WITNESSES[2:], False)):
        note = signed(HEAD.text, *witnesses)
        if good:
            assert offline.open_note(note, trust).size == 7
        else:
            with pytest.raises(offline.Wrong, match="too few witnesses"):
                offline.open_note(note, trust)
    for bad in ("group b all a w0\nquorum b\n", "quorum a\nquorum a\n", "group b 3 a w2\nquorum b\n", ""):
        with pytest.raises(offline.Wrong):
            offline.read_policy(head + bad)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("log")
    build(made, [b'{"n":%d}' % n for n in range(600)], LOG.classical)
    return made


CLASSICAL = offline.Trust([offline.read_key(LOG.vkey.render())])


@settings(max_examples=60)
@given(st.data())
def test_a_changed_log_gets_the_same_answer(folder: Path, data: st.DataObject) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    original = path.read_bytes()
    at = data.draw(st.integers(0, len(original) - 1))
    put = data.draw(st.sampled_from([b"", b"\0", original[at : at + 1], original[at : at + 1] * 2]))
    try:
        path.write_bytes(original[:at] + put + original[at + 1 :])
        report = check(folder, LOG.vkey)
        try:
            assert offline.check_log(folder, CLASSICAL, ()).size == 600
            assert report.ok
        except offline.Wrong:
            assert not report.ok
    finally:
        path.write_bytes(original)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 513])
def test_logs_of_every_shape_are_whole(tmp_path: Path, size: int) -> None:
    leaves = [b"%d" % n for n in range(size)]
    build(tmp_path, leaves, LOG.classical)
    assert offline.check_log(tmp_path, CLASSICAL, ()).size == size
    for part in {1, size // 2, size} - {0}:
        root = tree.root([tree.leaf_hash(leaf) for leaf in leaves[:part]])
        seen = offline.Head(ORIGIN, part, root, ())
        if part <= size:
            offline.check_log(tmp_path, CLASSICAL, [seen])
            with pytest.raises(offline.Wrong, match="not those that were seen"):
                offline.check_log(tmp_path, CLASSICAL, [offline.Head(ORIGIN, part, bytes(32), ())])
        else:
            with pytest.raises(offline.Wrong, match="not here"):
                offline.check_log(tmp_path, CLASSICAL, [seen])


def test_the_tessera_log_is_whole(shared_data: Path) -> None:
    key = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
    trust = offline.trusted([key], None)
    assert offline.check_log(shared_data / "tlog" / "tessera_log", trust, ()).size == 15


def test_it_imports_nothing_but_python_and_cryptography() -> None:
    found = set()
    for node in ast.walk(ast.parse(FILE.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".")[0])
    assert found <= {*sys.stdlib_module_names, "cryptography"}


BLOCKED = """
import runpy, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in {*sys.stdlib_module_names, "cryptography", "_cffi_backend", "verify"}:
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def alone(file: Path, *words: object) -> tuple[int, str]:
    """Run the verifier as a stranger would, where no other module can be imported."""
    command = [sys.executable, "-I", "-c", BLOCKED, str(file), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def verify(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("stranger") / "verify.py"
    file.write_bytes(FILE.read_bytes())
    return file


def test_a_stranger_checks_a_proof(verify: Path, tmp_path: Path) -> None:
    proof, policy, keys = tmp_path / "4.tlog-proof", tmp_path / "policy.txt", tmp_path / "keys.txt"
    proof.write_text(PROOF.render())
    policy.write_text(POLICY.render())
    keys.write_text("".join(f"{key.render()}\n" for key in LOG.vkeys))
    code, told = alone(verify, proof, "--policy", policy)
    assert code == 0
    assert 'entry 4 is in the log. It says:\n{"n":4}' in told
    assert "signed by greenlight.test/log, greenlight.test/log, w1, w2" in told
    code, told = alone(verify, proof, "--key", keys, "--json")
    assert (code, json.loads(told)["entry"]) == (0, '{"n":4}')
    proof.write_text(PROOF.render().replace("index 4", "index 3"))
    code, told = alone(verify, proof, "--policy", policy)
    assert code == 1
    assert told.startswith("DOES NOT VERIFY: entry 3 is not in the log")


def test_a_stranger_checks_a_whole_log(verify: Path, folder: Path, tmp_path: Path) -> None:
    code, told = alone(verify, folder, "--key", LOG.vkey.render())
    assert (code, told.splitlines()[0]) == (0, "VERIFIED: every entry, every tile and the signed root agree.")
    seen = tmp_path / "seen"
    seen.write_text(LOG.classical.sign(fmt.Checkpoint(ORIGIN, 300, bytes(32)).text))
    code, told = alone(verify, folder, "--key", LOG.vkey.render(), "--against", seen)
    assert code == 1
    assert "the first 300 entries are not those that were seen before" in told


@pytest.mark.parametrize(
    ("content", "words", "code"),
    [
        (b"", [], 2),
        (b"", ["--key", "no key"], 2),
        (b"", ["--key", "KEY", "--policy", "PATH"], 2),
        (b"", ["--key", "KEY"], 1),
        (b"\xff\xfe\x00junk" * 1000, ["--key", "KEY"], 1),
        (b"c2sp.org/tlog-proof@v1\nindex 0\n\n", ["--key", "KEY"], 1),
        (b"c2sp.org/tlog-proof@v1\n" + b"A" * 3_000_000, ["--key", "KEY"], 1),
        (b"c2sp.org/tlog-proof@v1\nextra " + b"A" * 100_000 + b"\nindex 0\n\n", ["--key", "KEY"], 1),
        (PROOF.render()[:200].encode(), ["--key", "KEY"], 1),
    ],
)
def test_bad_input_is_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, words: list[str], code: int
) -> None:
    path = tmp_path / "in.tlog-proof"
    path.write_bytes(content)
    places = {"KEY": LOG.vkey.render(), "PATH": str(path)}
    try:
        given = offline.main([str(path), *(places.get(word, word) for word in words)])
    except SystemExit as exit_:
        given = exit_.code
    told = capsys.readouterr()
    assert given == code
    assert 10 < len(told.out + told.err) < 2000


def test_a_proof_made_here_holds_there(log: Any) -> None:
    log.happen(300)
    log.integrate()
    trust = offline.read_policy(log.key.policy.render())
    for index in (0, 255, 256, 299):
        text = prove(log.folder, log.key.policy, index).render()
        head, at, leaf = offline.check_proof(text, None, trust)
        assert (head.size, at, json.loads(leaf)["facts"]["n"]) == (300, index, index)
    assert offline.check_log(log.folder, trust, ()).size == 300
