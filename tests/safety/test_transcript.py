from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ModelMissing
from generation.engines.persona import Persona, speak
from safety.transcript import CHUNK_S, FOLDER, RATE, Transcriber, chunks

pytest.importorskip("transformers")
SPECIALS = ("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")


def tiny_whisper(folder: Path) -> Path:
    """Write a Whisper checkpoint with random weights, in which every layer and token of a real one is there."""
    import torch
    from tokenizers import pre_tokenizers
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )

    vocabulary = {token: number for number, token in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocabulary |= {token: 256 + number for number, token in enumerate(SPECIALS)}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIALS)})
    end, start, english, transcribe, plain = range(256, 261)
    config = WhisperConfig(
        vocab_size=261,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_target_positions=256,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
    )
    torch.manual_seed(1)
    network = WhisperForConditionalGeneration(config)
    network.generation_config = GenerationConfig(
        decoder_start_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
        bos_token_id=end,
        is_multilingual=True,
        lang_to_id={"<|en|>": english},
        task_to_id={"transcribe": transcribe},
        no_timestamps_token_id=plain,
        max_length=256,
    )
    network.save_pretrained(folder)
    WhisperProcessor(WhisperFeatureExtractor(), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_whisper(folder / FOLDER)
    return folder


def test_where_no_checkpoint_stands_there_is_no_recogniser(tmp_path: Path):
    assert Transcriber.load(tmp_path) is None


def test_a_tiny_checkpoint_writes_something_down_and_the_same_each_time(models_dir: Path):
    said = speak(Persona(3), 1, 2)[:, 0]
    transcriber = Transcriber.load(models_dir)
    assert transcriber is not None
    text = transcriber(said, ((0.0, 2.0),))
    assert text
    assert text == transcriber(said, ((0.0, 2.0),))
    assert transcriber(said, ()) == ""
    assert len(transcriber.model.sha256) == 64


def test_a_broken_checkpoint_is_said_to_be_missing(tmp_path: Path):
    (tmp_path / FOLDER).mkdir()
    with pytest.raises(ModelMissing, match="does not load"):
        Transcriber.load(tmp_path)
    tiny_whisper(tmp_path / FOLDER)
    weights = tmp_path / FOLDER / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelMissing, match="does not load"):
        Transcriber.load(tmp_path)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 80)), max_size=8))
def test_chunks_cover_all_speech_and_are_never_too_long(parts: list[tuple[float, float]]):
    turns, at = [], 0.0
    for gap, length in parts:
        turns.append((at + gap, at + gap + length))
        at += gap + length
    made = chunks(tuple(turns))
    assert all(end - start <= CHUNK_S + 1e-6 for start, end in made)
    for start, end in turns:
        for moment in np.linspace(start, end, 5):
            assert any(first - 1e-6 <= moment <= last + 1e-6 for first, last in made)
    assert RATE == 16000
