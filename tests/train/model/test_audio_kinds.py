"""Sound encoders that begin with log-mel spectra, against transformers and against their own contract."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor

from emorec_rt.constants import chunk_samples
from emorec_rt.errors import UsageError
from emorec_train.model.audio import AudioEncoder, normalize_real
from emorec_train.model.audio_weights import adopt_audio, find_audio, load_audio
from emorec_train.model.config import AudioConfig, ModelConfig
from emorec_train.model.hub import WeightsError
from emorec_train.model.log_mel import LogMel
from random_weights import write_audio
from small_model import config

TINY = {
    "d_model": 384,
    "encoder_layers": 4,
    "encoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "num_mel_bins": 80,
    "max_source_positions": 1500,
}
"""The sizes of Whisper tiny's encoder."""


def named(folder: Path, chunk_tokens: int) -> ModelConfig:
    replace, model = msgspec.structs.replace, config()
    spec = replace(model.preprocessing.audio, chunk_tokens=chunk_tokens)
    return replace(
        model,
        audio=AudioConfig(width=24, heads=2, position_groups=2, pretrained=str(folder)),
        preprocessing=replace(model.preprocessing, audio=spec),
    )


def built(folder: Path, chunk_tokens: int) -> tuple[ModelConfig, AudioEncoder]:
    weights = find_audio(str(folder), "", offline=True)
    adopted = adopt_audio(named(folder, chunk_tokens), weights)
    encoder = AudioEncoder(adopted.audio, adopted.preprocessing.audio)
    load_audio(weights, str(folder), encoder)
    return adopted, encoder.eval()


@torch.no_grad()
def test_full_size_whisper_is_as_transformers(tmp_path: Path) -> None:
    theirs = write_audio(tmp_path, "whisper", **TINY)
    adopted, ours = built(tmp_path, 1500)
    assert adopted.audio.kind == "whisper"
    assert adopted.preprocessing.audio.normalize is False
    assert adopted.preprocessing.audio.embedding_dim == 384
    sound = np.random.default_rng(0).normal(0.0, 0.1, chunk_samples(1500)).astype(np.float32)
    extractor = WhisperFeatureExtractor.from_pretrained(tmp_path)
    mel = extractor(sound[-480_000:], sampling_rate=16_000, return_tensors="pt").input_features
    expected = theirs(mel).last_hidden_state
    torch.testing.assert_close(ours(torch.from_numpy(sound)[None]), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_shorter_chunk_takes_the_first_positions(tmp_path: Path) -> None:
    theirs = write_audio(tmp_path, "whisper")
    _, ours = built(tmp_path, 20)
    positions = theirs.embed_positions.weight[:20]
    theirs.config.max_source_positions = theirs.max_source_positions = 20
    theirs.embed_positions = torch.nn.Embedding.from_pretrained(positions)
    sound = torch.randn(2, chunk_samples(20), generator=torch.Generator().manual_seed(0))
    extractor = WhisperFeatureExtractor(20, chunk_length=1)
    mel = [extractor._np_extract_fbank_features(x[None, -6400:].numpy(), "cpu")[0] for x in sound]
    expected = theirs(torch.from_numpy(np.stack(mel)).float()).last_hidden_state
    torch.testing.assert_close(ours(sound), expected, atol=1e-4, rtol=1e-4)


def test_chunks_longer_than_the_weights_are_refused(tmp_path: Path) -> None:
    write_audio(tmp_path, "whisper")
    with pytest.raises(WeightsError, match="have 40 positions, chunks have 50 tokens"):
        built(tmp_path, 50)


def test_log_mel_of_a_tone_peaks_in_its_band() -> None:
    tone = torch.sin(2 * torch.pi * 1000 / 16_000 * torch.arange(1600))[None]
    spectra = LogMel(80)(tone)
    assert spectra.shape == (1, 80, 8)
    assert abs(int(spectra.mean(dim=2).argmax()) - 26) <= 1  # 15 mel of 45.2 to 8 kHz, in 81 steps


def small() -> AudioEncoder:
    torch.manual_seed(0)
    model = config()
    audio = AudioConfig(kind="mel", width=24, layers=4, intermediate=48, position_kernel=9, mel_bands=20)
    spec = msgspec.structs.replace(model.preprocessing.audio, normalize=False)
    return AudioEncoder(audio, spec).eval()


@pytest.mark.parametrize("tokens", [1, 2, 20, 200])
def test_the_small_encoder_gives_a_token_each_hop(tokens: int) -> None:
    assert small()(torch.randn(2, chunk_samples(tokens))).shape == (2, tokens, 24)


@torch.no_grad()
def test_its_tokens_do_not_depend_on_where_chunks_are_cut() -> None:
    encoder, sound = small(), 0.1 * torch.randn(1, chunk_samples(120))
    whole = encoder(sound)[:, 40:80]
    part = encoder(sound[:, 320 * 15 : 320 * 15 + chunk_samples(90)])[:, 25:65]
    torch.testing.assert_close(part, whole, atol=1e-4, rtol=1e-4)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(UsageError, match="must be odd"):
        AudioConfig(kind="mel", position_kernel=8)


def test_padding_changes_no_normalisation() -> None:
    sound = torch.randn(1, 1000) + 0.5
    padded = torch.cat([torch.zeros(1, 700), sound, torch.zeros(1, 300)], dim=1)
    whole = normalize_real(padded)
    torch.testing.assert_close(whole[:, 700:1700], normalize_real(sound))
    assert not whole[:, :700].any()
    assert normalize_real(sound).mean().abs() < 1e-5
    assert normalize_real(torch.zeros(1, 50)).isfinite().all()
