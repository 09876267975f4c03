from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from core.errors import BadInput, ModelMissing
from safety.prompt import guard
from safety.prompt.guard import LocalGuard, RemoteGuard, categories

Serve = Callable[[bytes, int], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[HTTPServer] = []

    def start(answer: bytes, status: int) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert set(asked) == {"text"}
                self.send_response(status)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/judge"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("safe", {}),
        ("Safety: Safe\nCategories: None", {}),
        ("unsafe\nS1,S10", {"violence_gore": 1.0, "hate": 1.0}),
        ("Safety: Controversial\nCategories: Politically Sensitive Topics", {"political_deception": 0.5}),
        ("unsafe\nS99", {"illegal_weapons": 1.0}),
    ],
)
def test_answers_of_known_guards_are_read(answer: str, expected: Mapping[str, float]) -> None:
    assert categories(answer) == expected


@pytest.mark.parametrize("answer", ["", "maybe", "I cannot answer that", "\n\n"])
def test_an_answer_that_is_none_is_an_error(answer: str) -> None:
    with pytest.raises(BadInput):
        categories(answer)


def test_a_remote_guard_scores_beside_ours(serve: Serve) -> None:
    scored = RemoteGuard("far", serve(b'{"scores": {"hate": 0.7}}', 200))
    answered = RemoteGuard("near", serve(b'{"answer": "unsafe\\nS11"}', 200))
    assert guard.facts([scored, answered], "x") == [
        {"name": "far", "status": "ok", "category": "hate", "score": 0.7},
        {"name": "near", "status": "ok", "category": "self_harm", "score": 1.0},
    ]
    quiet = RemoteGuard("quiet", serve(b'{"answer": "safe"}', 200))
    assert guard.facts([quiet], "x") == [{"name": "quiet", "status": "ok", "category": "", "score": 0.0}]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"", 200),
        (b"not json", 200),
        (b"[]", 200),
        (b'{"scores": {"hate": 7}}', 200),
        (b'{"scores": {"hate": "much"}}', 200),
        (b'{"scores": {"weather": 0.5}}', 200),
        (b'{"scores": {"hate": NaN}}', 200),
        (b'{"answer": "perhaps"}', 200),
        (b"{}", 500),
    ],
)
def test_a_guard_that_fails_is_a_fact(serve: Serve, answer: bytes, status: int) -> None:
    (fact,) = guard.facts([RemoteGuard("far", serve(answer, status))], "x")
    assert fact["status"].startswith("failed")
    assert (fact["category"], fact["score"]) == ("", 0.0)


def test_a_guard_that_is_down_is_a_fact() -> None:
    (fact,) = guard.facts([RemoteGuard("far", "http://127.0.0.1:9/judge", seconds=0.5)], "x")
    assert fact["status"].startswith("failed")


@dataclass(frozen=True)
class Spoken:
    name: str = "spoken"

    def judge(self, text: str) -> Mapping[str, float]:
        return categories(text)


def test_a_local_checkpoint_is_loaded_and_asked(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {
        word: index
        for index, word in enumerate(["<pad>", "<end>", "<unk>", "user", "safe", "unsafe", "S1", "a", "fox"])
    }
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", unk_token="<unk>"
    )
    fast.chat_template = "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}"
    fast.save_pretrained(tmp_path)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, eos_token_id=1, pad_token_id=0, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    local = LocalGuard.load(tmp_path, "tiny")
    assert len(local.model.sha256) == 64
    assert isinstance(local.generate("a fox"), str)
    (fact,) = guard.facts([local], "a fox")[:1]
    assert fact["name"] == "tiny"


def test_guards_are_configured_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "guards.json"
    path.write_text('[{"name": "far", "url": "http://127.0.0.1:9/judge", "seconds": 2}]')
    assert guard.configured(path) == (RemoteGuard("far", "http://127.0.0.1:9/judge", 2.0),)
    for wrong in ("", "{}", "[1]", '[{"url": "x"}]', '[{"name": "x"}]'):
        path.write_text(wrong)
        with pytest.raises(BadInput):
            guard.configured(path)
    with pytest.raises(BadInput):
        guard.configured(tmp_path / "absent.json")
    path.write_text('[{"name": "x", "folder": "nowhere"}]')
    with pytest.raises(ModelMissing):
        guard.configured(path)


def test_what_a_guard_says_is_read_by_the_words() -> None:
    assert guard.facts([Spoken()], "unsafe\nS3")[0]["category"] == "sexual"
