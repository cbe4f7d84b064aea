from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor

from emorec_rt.bundle.manifest import Audio
from emorec_rt.constants import EXPRESSIONS, chunk_samples
from emorec_rt.errors import UsageError
from emorec_train.model.audio import AudioEncoder, wav2vec2_config
from emorec_train.model.config import AudioConfig, FusionConfig, TextConfig, VisionConfig
from emorec_train.model.text import TextEncoder, frozen_prototypes, prompts
from emorec_train.model.vision import VisionEncoder, vision_tower_config
from small_model import config

RESNET = VisionConfig(image_size=32, width=8, layers=(1, 1, 1, 1), heads=4, embed_dim=16)


@pytest.mark.parametrize("tower", [config().vision, RESNET], ids=["transformer", "resnet"])
def test_vision_equals_open_clip_preprocessing_and_tower(tower: VisionConfig) -> None:
    encoder = VisionEncoder(tower, config().preprocessing.vision).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    reference = image_transform(32, is_train=False)(Image.fromarray(pixels))
    with torch.no_grad():
        expected = encoder.visual(reference[None])
        actual = encoder(torch.from_numpy(pixels)[None])
    assert actual.shape == (1, 16)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_default_tower_is_open_clips_vit_b_32() -> None:
    import open_clip

    published = open_clip.get_model_config("ViT-B-32-quickgelu")
    assert published is not None
    tower = vision_tower_config(VisionConfig())
    assert published["embed_dim"] == VisionConfig().embed_dim
    assert published["quick_gelu"] is VisionConfig().quick_gelu
    assert {key: getattr(tower, key) for key in published["vision_cfg"]} == published["vision_cfg"]


def test_tuples_of_layers_are_open_clips_resnets() -> None:
    import open_clip

    published = open_clip.get_model_config("RN50-quickgelu")
    assert published is not None
    tower = vision_tower_config(VisionConfig(layers=(3, 4, 6, 3), width=64, heads=32, embed_dim=1024))
    assert list(tower.layers) == published["vision_cfg"]["layers"]
    assert (tower.width, tower.head_width) == (published["vision_cfg"]["width"], 64)


def test_default_audio_is_wav2vec2_base() -> None:
    ours, base = wav2vec2_config(AudioConfig()), Wav2Vec2Config()
    names = [
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "conv_dim",
        "conv_kernel",
        "conv_stride",
        "conv_bias",
        "feat_extract_norm",
        "do_stable_layer_norm",
        "num_conv_pos_embeddings",
        "num_conv_pos_embedding_groups",
        "hidden_act",
        "feat_extract_activation",
        "layer_norm_eps",
    ]
    assert {name: getattr(ours, name) for name in names} == {name: getattr(base, name) for name in names}


@pytest.mark.parametrize("tokens", [1, 2, 20, 33])
def test_chunk_samples_give_exactly_that_many_tokens(tokens: int) -> None:
    model = config()
    encoder = AudioEncoder(model.audio, model.preprocessing.audio).eval()
    with torch.no_grad():
        assert encoder(torch.randn(2, chunk_samples(tokens))).shape == (2, tokens, 24)


def test_audio_normalises_as_transformers_does() -> None:
    model = config()
    encoder = AudioEncoder(model.audio, model.preprocessing.audio).eval()
    samples = 0.1 * torch.randn(1, chunk_samples(20)) + 0.3
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    reference = extractor(samples[0].numpy(), sampling_rate=16000, return_tensors="pt").input_values
    with torch.no_grad():
        expected = encoder.wav2vec2(reference).last_hidden_state
        torch.testing.assert_close(encoder(samples), expected, atol=1e-4, rtol=1e-4)


def test_silence_stays_finite() -> None:
    model = config()
    encoder = AudioEncoder(model.audio, model.preprocessing.audio).eval()
    with torch.no_grad():
        assert encoder(torch.zeros(1, chunk_samples(20))).isfinite().all()


def test_without_normalize_samples_pass_as_they_are() -> None:
    model = config()
    spec = msgspec.structs.replace(model.preprocessing.audio, normalize=False)
    encoder = AudioEncoder(model.audio, spec).eval()
    samples = torch.randn(1, chunk_samples(20)) + 0.5
    with torch.no_grad():
        assert torch.equal(encoder(samples), encoder.wav2vec2(samples).last_hidden_state)


def test_prototypes_are_unit_vectors_of_the_averaged_prompts() -> None:
    model = config()
    assert model.text is not None
    encoder = TextEncoder(model.text, model.vision)
    prototypes = frozen_prototypes(encoder, EXPRESSIONS)
    torch.testing.assert_close(prototypes.norm(dim=1), torch.ones(8))
    assert encoder.training
    encoder.eval()
    with torch.no_grad():
        one = torch.nn.functional.normalize(encoder(encoder.tokenize(prompts("Fear"))), dim=-1).mean(0)
    torch.testing.assert_close(prototypes[3], one / one.norm())


def test_every_label_has_prompts_and_unknown_ones_stand_for_themselves() -> None:
    assert prompts("Anger") == [
        "a photo of a person who looks angry",
        "a face showing anger",
        "a facial expression of anger",
    ]
    assert prompts("Contempt")[1] == "a face showing contempt"


@pytest.mark.parametrize(
    ("build", "part"),
    [
        (lambda: VisionConfig(width=100, heads=3), "must divide"),
        (lambda: VisionConfig(image_size=100, patch_size=32), "must divide"),
        (lambda: VisionConfig(image_size=112, layers=(1, 1, 1, 1)), "must divide"),
        (lambda: AudioConfig(conv_strides=(5, 2, 2, 2, 2, 2, 1)), "160 samples"),
        (lambda: FusionConfig(tcn_kernel=4), "odd"),
        (lambda: msgspec.structs.replace(config(), vision=VisionConfig()), "must agree"),
    ],
)
def test_inconsistent_configurations_are_refused(build: object, part: str) -> None:
    assert callable(build)
    with pytest.raises(UsageError, match=part):
        build()


def test_audio_spec_default_chunk_is_exact() -> None:
    spec = Audio(embedding_dim=24)
    model = config()
    encoder = AudioEncoder(model.audio, spec).eval()
    with torch.no_grad():
        assert encoder(torch.randn(1, spec.chunk_samples)).shape[1] == spec.chunk_tokens


def test_prompts_come_from_the_config() -> None:
    config = TextConfig(adjective_templates=(), noun_templates=("{}!",))
    assert prompts("Anger", config) == ["anger!"]
    with pytest.raises(UsageError, match="where the class goes"):
        msgspec.structs.replace(config, noun_templates=("a face",))
    with pytest.raises(UsageError, match="both empty"):
        msgspec.structs.replace(config, noun_templates=())
