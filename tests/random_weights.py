"""Random weights in the on-disk formats of the libraries whose published weights are loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    UniSpeechConfig,
    UniSpeechModel,
    UniSpeechSatConfig,
    UniSpeechSatModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

KIN: dict[str, tuple[Any, Any]] = {
    "hubert": (HubertConfig, HubertModel),
    "wavlm": (WavLMConfig, WavLMModel),
    "unispeech": (UniSpeechConfig, UniSpeechModel),
    "unispeech-sat": (UniSpeechSatConfig, UniSpeechSatModel),
    "data2vec-audio": (Data2VecAudioConfig, Data2VecAudioModel),
}
"""Models of transformers that are like wav2vec 2.0."""

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
TOWERS: dict[str, dict[str, Any]] = {
    "transformer": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "averaged transformer": {
        "image_size": 32,
        "layers": 1,
        "width": 64,
        "patch_size": 16,
        "pool_type": "avg",
        "no_ln_pre": True,
        "final_ln_after_pool": True,
    },
    "resnet": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
}
TIMM = {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "", "timm_proj": "linear", "image_size": 224}
AUDIO = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 8,
}


def write_clip(folder: Path, vision: dict[str, Any], *, text: dict[str, Any] = TEXT, **model: Any) -> Any:
    """A folder as open_clip pushes it to the hub; returns the model."""
    folder.mkdir(parents=True)
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text, **model}
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    content = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(content), encoding="utf-8")
    torch.manual_seed(0)
    clip = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(clip.state_dict(), folder / "open_clip_model.safetensors")
    return clip.eval()


WHISPER: dict[str, Any] = {
    "vocab_size": 60,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "d_model": 32,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 32,
    "num_mel_bins": 20,
    "max_source_positions": 40,
}


def write_audio(folder: Path, kind: str = "wav2vec2", *, normalize: bool = True, **config: Any) -> Any:
    """A folder as transformers saves it; returns the encoder."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {**AUDIO, **config}
    encoder: Any
    if kind == "wav2vec2":  # published fine-tuned, so the encoder's weights have a prefix
        model: Any = Wav2Vec2ForCTC(Wav2Vec2Config(**sizes))
        encoder = model.wav2vec2
    elif kind == "whisper":
        model = WhisperModel(WhisperConfig(**{**WHISPER, **config}))
        model.save_pretrained(folder)
        WhisperFeatureExtractor(model.config.num_mel_bins).save_pretrained(folder)
        return model.encoder.eval()
    else:
        config_class, model_class = KIN[kind]
        model = encoder = model_class(config_class(**sizes))
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=normalize, return_attention_mask=False).save_pretrained(folder)
    return encoder.eval()


def into_hub_cache(cache: Path, repository: str, folder: Path, commit: str) -> None:
    """Put a folder where the hub's downloads are kept."""
    base = cache / f"models--{repository.replace('/', '--')}"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text(commit, encoding="utf-8")
    (base / "snapshots").mkdir()
    folder.rename(base / "snapshots" / commit)
