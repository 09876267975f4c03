# mypy: disable-error-code="no-untyped-call"
# diffusers and transformers come without types.
"""Tiny checkpoints with random weights, built here, offline: the real classes on the real grids, no training.

They let the diffusion engines run through the very same loading and sampling code in tests and in the demo.
Sizes obey what the libraries only imply: LTX-2 needs its compression ratios named, `base_channels` of the audio
VAE equal to latent channels times latent mel bins, and at least 8 decoder channels per upsampler.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from generation.engines.checkpoint import quiet

_SEED = 20_261
_FORM = {"form": 1}
"""Counts up when the builders below change, so that old folders are rebuilt."""
_NOTE = "greenlight.json"
_SPECIALS = ("<pad>", "<eos>", "<bos>", "<unk>")


def build(folder: Path) -> None:
    """Build `diffusion_video` and `diffusion_audio` under `folder`, unless they stand there already."""
    for name, make in (("diffusion_video", _ltx2), ("diffusion_audio", _stable_audio)):
        _build_one(folder / name, make)


def _build_one(target: Path, make: Callable[[], Any]) -> None:
    note = target / _NOTE
    if note.is_file() and json.loads(note.read_text()) == _FORM:
        return
    import torch

    scratch = target.with_name(f".{target.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(_SEED)
        make().save_pretrained(scratch)
    (scratch / _NOTE).write_text(json.dumps(_FORM))
    # The rename comes last: a crash before it leaves only a scratch folder that the next build removes.
    shutil.rmtree(target, ignore_errors=True)
    scratch.replace(target)


def _tokenizer(padding_side: str) -> Any:
    """Make a tokenizer of single bytes: 256 symbols and 4 specials, no download."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: index for index, symbol in enumerate([*_SPECIALS, *alphabet])}
    bytewise = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=_SPECIALS[3]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    bytewise.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    names = dict(zip(("pad_token", "eos_token", "bos_token", "unk_token"), _SPECIALS, strict=True))
    return PreTrainedTokenizerFast(
        tokenizer_object=bytewise, padding_side=padding_side, model_max_length=1024, **names
    )


def _gemma() -> Any:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    text = {
        "vocab_size": 264,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "max_position_embeddings": 1024,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
    }
    sight = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    config = Gemma3Config(text_config=text, vision_config=sight, mm_tokens_per_image=4, image_token_index=263)
    return Gemma3ForConditionalGeneration(config)


def _ltx2() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, LTX2Pipeline

    return LTX2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_picture_vae(),
        audio_vae=_sound_vae(),
        text_encoder=_gemma(),
        tokenizer=_tokenizer("left"),
        connectors=_connectors(),
        transformer=_joint_transformer(),
        vocoder=_vocoder(),
    )


def _picture_vae() -> Any:
    from diffusers import AutoencoderKLLTX2Video

    return AutoencoderKLLTX2Video(
        latent_channels=16,
        block_out_channels=(8, 16, 16, 16),
        decoder_block_out_channels=(8, 16, 32),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1),
        decoder_causal=False,
        spatial_compression_ratio=32,
        temporal_compression_ratio=8,
    )


def _sound_vae() -> Any:
    from diffusers import AutoencoderKLLTX2Audio

    return AutoencoderKLLTX2Audio(
        base_channels=16, num_res_blocks=1, latent_channels=4, mel_bins=16, resolution=64
    )


def _connectors() -> Any:
    from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors

    return LTX2TextConnectors(
        caption_channels=16,
        text_proj_in_factor=3,
        video_connector_num_attention_heads=2,
        video_connector_attention_head_dim=8,
        video_connector_num_layers=1,
        video_connector_num_learnable_registers=None,
        audio_connector_num_attention_heads=2,
        audio_connector_attention_head_dim=8,
        audio_connector_num_layers=1,
        audio_connector_num_learnable_registers=None,
        rope_type="split",
    )


def _joint_transformer() -> Any:
    from diffusers import LTX2VideoTransformer3DModel

    return LTX2VideoTransformer3DModel(
        in_channels=16,
        out_channels=16,
        num_attention_heads=2,
        attention_head_dim=16,
        cross_attention_dim=32,
        audio_in_channels=16,
        audio_out_channels=16,
        audio_num_attention_heads=2,
        audio_attention_head_dim=8,
        audio_cross_attention_dim=16,
        num_layers=2,
        caption_channels=16,
        rope_type="split",
    )


def _vocoder() -> Any:
    from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder

    return LTX2Vocoder(
        in_channels=32, hidden_channels=64, resnet_kernel_sizes=[3], resnet_dilations=[[1, 3, 5]]
    )


def _stable_audio() -> Any:
    from diffusers import (
        AutoencoderOobleck,
        EDMDPMSolverMultistepScheduler,
        StableAudioDiTModel,
        StableAudioPipeline,
        StableAudioProjectionModel,
    )
    from transformers import T5Config, T5EncoderModel

    language = T5Config(vocab_size=264, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return StableAudioPipeline(
        vae=AutoencoderOobleck(
            encoder_hidden_size=8,
            channel_multiples=[1, 1, 1, 2, 2],
            decoder_channels=8,
            decoder_input_channels=8,
        ),
        text_encoder=T5EncoderModel(language),
        projection_model=StableAudioProjectionModel(
            text_encoder_dim=16, conditioning_dim=16, min_value=0, max_value=512
        ),
        tokenizer=_tokenizer("right"),
        transformer=StableAudioDiTModel(
            in_channels=8,
            out_channels=8,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            num_key_value_attention_heads=2,
            cross_attention_dim=16,
            time_proj_dim=16,
            global_states_input_dim=32,
            cross_attention_input_dim=16,
        ),
        scheduler=EDMDPMSolverMultistepScheduler(),
    )
