"""Published weights: random ones in the real formats, against the libraries themselves."""

from __future__ import annotations

import json
import pickle
import socket
from pathlib import Path
from typing import Any

import huggingface_hub
import msgspec
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from emorec_rt.errors import UsageError
from emorec_train.model.build import Models, build_models
from emorec_train.model.config import ModelConfig
from emorec_train.model.hub import WeightsError
from emorec_train.model.pretrained import adopt_pretrained
from emorec_train.settings.presets import REFERENCE
from layouts import write_affwild2
from random_weights import MEAN, STD, TIMM, TOWERS, into_hub_cache, write_audio, write_clip
from small_model import config
from tiny_commands import call

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    return folder


def named(vision: str = "", audio: str = "", base: ModelConfig | None = None, **revision: str) -> ModelConfig:
    replace, model = msgspec.structs.replace, base or config()
    return replace(
        model,
        vision=replace(model.vision, pretrained=vision, **revision),
        audio=replace(model.audio, pretrained=audio, **revision),
    )


def built(model: ModelConfig) -> tuple[ModelConfig, Models]:
    adopted = adopt_pretrained(model, offline=True)
    models = build_models(adopted, offline=True)
    for module in (models.vision, models.audio, models.text):
        if module is not None:
            module.eval()
    return adopted, models


def small_clip(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **model: Any) -> tuple[Any, Path]:
    """A model of open_clip under a published name, as small as tests need it, and the file of its weights."""
    clip = write_clip(folder / "clip", TOWERS["transformer"], **model)
    small = json.loads((folder / "clip" / "open_clip_config.json").read_text())["model_cfg"]
    small.pop("quick_gelu", None)
    monkeypatch.setattr(open_clip, "get_model_config", {name: small}.get)
    return clip, (folder / "clip" / "open_clip_model.safetensors").rename(folder / "clip.safetensors")


@pytest.mark.parametrize("tower", TOWERS)
@torch.no_grad()
def test_clip_encodes_as_open_clip(tower: str, tmp_path: Path, no_network: None) -> None:
    clip = write_clip(tmp_path / "clip", TOWERS[tower], quick_gelu=tower == "transformer")
    adopted, models = built(named(f"local-dir:{tmp_path / 'clip'}"))
    spec = adopted.preprocessing.vision
    assert (spec.mean, spec.std, spec.interpolation, spec.crop_size) == (MEAN, STD, "bicubic", 32)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    preprocess = open_clip.image_transform(32, is_train=False, mean=MEAN, std=STD)
    expected = clip.encode_image(torch.stack([preprocess(Image.fromarray(picture)) for picture in pixels]))
    torch.testing.assert_close(models.vision(torch.from_numpy(pixels)), expected, atol=1e-5, rtol=1e-4)
    assert models.text is not None
    prompts = ["a photo of a person who looks happy", "a face showing fear"]
    tokens = open_clip.SimpleTokenizer(context_length=16)(prompts)
    texts = models.text(models.text.tokenize(prompts))
    torch.testing.assert_close(texts, clip.encode_text(tokens), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_timm_tower_comes_without_text_guidance(
    tmp_path: Path, no_network: None, capsys: pytest.CaptureFixture[str]
) -> None:
    text = {"context_length": 16, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1}
    clip = write_clip(tmp_path / "clip", TIMM, text={**text, "hf_tokenizer_name": "nobody/has-it"})
    adopted, models = built(named(f"local-dir:{tmp_path / 'clip'}"))
    assert adopted.text is None
    assert models.text is None
    assert "no text guidance" in capsys.readouterr().err
    pixels = torch.randint(0, 256, (1, 224, 224, 3), dtype=torch.uint8)
    scaled = (pixels.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    expected = clip.encode_image(scaled.permute(0, 3, 1, 2))
    torch.testing.assert_close(models.vision(pixels), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("wav2vec2", {}),
        ("wav2vec2", {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}),
        ("hubert", {}),
        ("wavlm", {}),
        ("unispeech", {}),
        ("unispeech-sat", {}),
        ("unispeech-sat", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
        ("data2vec-audio", {"num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 5}),
    ],
)
@pytest.mark.parametrize("normalize", [True, False])
@torch.no_grad()
def test_audio_encodes_as_transformers(
    kind: str, options: dict[str, Any], normalize: bool, tmp_path: Path, no_network: None
) -> None:
    encoder = write_audio(tmp_path / "audio", kind, normalize=normalize, **options)
    adopted, models = built(named(audio=str(tmp_path / "audio")))
    assert adopted.audio.kind == kind
    assert adopted.preprocessing.audio.normalize is normalize
    assert adopted.preprocessing.audio.embedding_dim == 32
    sound = np.random.default_rng(0).normal(0.1, 0.3, (2, 6480)).astype(np.float32)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(tmp_path / "audio")
    inputs = extractor(list(sound), sampling_rate=16_000, return_tensors="pt").input_values
    expected = encoder(inputs).last_hidden_state
    torch.testing.assert_close(models.audio(torch.from_numpy(sound)), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_full_size_checkpoints(tmp_path: Path, no_network: None) -> None:
    """The reference preset's own architectures, from a file beside which no configuration lies."""
    torch.manual_seed(0)
    clip = open_clip.create_model("ViT-B-32").eval()
    file = tmp_path / "open_clip_model.safetensors"
    save_file(clip.state_dict(), file)
    encoder = Wav2Vec2Model(Wav2Vec2Config()).eval()
    encoder.save_pretrained(tmp_path / "audio")
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path / "audio")
    adopted, models = built(named(f"ViT-B-32:{file}", str(tmp_path / "audio"), REFERENCE.model))
    assert adopted.vision.quick_gelu is False
    assert adopted.preprocessing.vision.interpolation == "bicubic"
    pixels = torch.randint(0, 256, (1, 224, 224, 3), dtype=torch.uint8)
    spec = adopted.preprocessing.vision
    scaled = (pixels.float() / 255 - torch.tensor(spec.mean)) / torch.tensor(spec.std)
    expected = clip.encode_image(scaled.permute(0, 3, 1, 2))
    torch.testing.assert_close(models.vision(pixels), expected, atol=1e-4, rtol=1e-4)
    sound = torch.randn(1, 3600)
    normalised = (sound - sound.mean()) / torch.sqrt(sound.var(correction=0) + 1e-7)
    tokens = encoder(normalised).last_hidden_state
    torch.testing.assert_close(models.audio(sound), tokens, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_tags_file_is_taken_as_the_tag_says(
    tmp_path: Path, no_network: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the advice for a machine without a network comes to: OpenAI's activation, not the model's."""
    clip, file = small_clip("ViT-B-32", tmp_path, monkeypatch, quick_gelu=True)
    adopted, models = built(named(f"ViT-B-32:openai={file}"))
    assert adopted.vision.quick_gelu is True
    assert capsys.readouterr().err == ""
    spec = adopted.preprocessing.vision
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    scaled = (pixels.float() / 255 - torch.tensor(spec.mean)) / torch.tensor(spec.std)
    expected = clip.encode_image(scaled.permute(0, 3, 1, 2))
    torch.testing.assert_close(models.vision(pixels), expected, atol=1e-5, rtol=1e-4)
    _, assumed = built(named(f"ViT-B-32:{file}"))
    assert not torch.allclose(assumed.vision(pixels), expected, atol=1e-3)
    note = capsys.readouterr().err
    assert "plain GELU, mean 0.481 0.458 0.408" in note
    assert note.count("note:") == 1
    assert f"--vision ViT-B-32:openai={file}" in note


def test_what_all_tags_of_a_model_agree_on_is_taken_for_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """MobileCLIP's pictures are neither normalised nor bicubic."""
    _, file = small_clip("MobileCLIP-S1", tmp_path, monkeypatch)
    for vision in (f"MobileCLIP-S1:datacompdr={file}", f"MobileCLIP-S1:{file}"):
        spec = adopt_pretrained(named(vision), offline=True).preprocessing.vision
        assert (spec.mean, spec.std, spec.interpolation) == ((0, 0, 0), (1, 1, 1), "bilinear")
    assert "mean 0 0 0, standard deviation 1 1 1, bilinear are assumed" in capsys.readouterr().err


def test_a_tags_file_that_is_not_there() -> None:
    with pytest.raises(WeightsError, match="there is no file /nowhere/clip"):
        adopt_pretrained(named("ViT-B-32:openai=/nowhere/clip.pt"))
    with pytest.raises(UsageError, match=r"/nowhere/clip\.pt is neither a file nor a tag of ViT-B-32"):
        adopt_pretrained(named("ViT-B-32:mine=/nowhere/clip.pt"))


def test_a_tensor_file_is_read_and_code_in_it_is_not_run(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip", TOWERS["transformer"])
    (tmp_path / "clip" / "open_clip_model.safetensors").unlink()
    file = tmp_path / "clip" / "open_clip_pytorch_model.bin"
    torch.save({"state_dict": clip.state_dict()}, file)
    _, models = built(named(f"ViT-B-32:{file}"))  # the configuration beside it is what counts
    assert torch.equal(models.vision.visual.state_dict()["conv1.weight"], clip.visual.conv1.weight)

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    file.write_bytes(pickle.dumps({"state_dict": Bomb()}))
    with pytest.raises(WeightsError, match="is damaged, or holds code"):
        built(named(f"ViT-B-32:{file}"))
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip", TOWERS["transformer"])
    file = tmp_path / "clip" / "open_clip_model.safetensors"
    state = load_file(file)
    state["visual.proj"] = state["visual.proj"][:, :5].contiguous()
    save_file(state, file)
    with pytest.raises(WeightsError, match=r"proj is \[64, 5\], not \[64, 24\]"):
        built(named(f"local-dir:{file.parent}"))
    file.write_bytes(b"short")
    with pytest.raises(WeightsError, match="can't be read"):
        built(named(f"local-dir:{file.parent}"))
    write_audio(tmp_path / "audio")
    weights = load_file(tmp_path / "audio" / "model.safetensors")
    weights = {key: value for key, value in weights.items() if "layers.1." not in key}
    save_file(weights, tmp_path / "audio" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"lacks \d+ weights: .*layers.1"):
        built(named(audio=str(tmp_path / "audio")))


def test_foreign_audio_folders_are_refused(tmp_path: Path) -> None:
    write_audio(tmp_path / "audio")
    extractor = tmp_path / "audio" / "preprocessor_config.json"
    content = json.loads(extractor.read_text())
    extractor.write_text(json.dumps({**content, "sampling_rate": 8000}))
    with pytest.raises(WeightsError, match="8000 Hz"):
        adopt_pretrained(named(audio=str(tmp_path / "audio")))
    model = tmp_path / "audio" / "config.json"
    content = json.loads(model.read_text())
    model.write_text(json.dumps({**content, "conv_stride": [5, 2, 2, 2, 2, 2, 1]}))
    extractor.unlink()
    with pytest.raises(WeightsError, match="each 160 samples"):
        adopt_pretrained(named(audio=str(tmp_path / "audio")))
    model.write_text(json.dumps({**content, "model_type": "bert"}))
    with pytest.raises(WeightsError, match="'bert'; there are wav2vec2, hubert, wavlm"):
        adopt_pretrained(named(audio=str(tmp_path / "audio")))


def test_the_hubs_cache_serves_offline_and_pins_the_commit(
    tmp_path: Path, hub_cache: Path, no_network: None
) -> None:
    write_clip(tmp_path / "clip", TOWERS["transformer"])
    write_audio(tmp_path / "audio")
    into_hub_cache(hub_cache, "org/clip", tmp_path / "clip", COMMIT)
    into_hub_cache(hub_cache, "org/audio", tmp_path / "audio", COMMIT)
    adopted, _ = built(named("hf-hub:org/clip", "org/audio"))
    assert (adopted.vision.revision, adopted.audio.revision) == (COMMIT, COMMIT)
    assert adopt_pretrained(adopted, offline=True) == adopted
    with pytest.raises(WeightsError, match="are not on this machine"):
        adopt_pretrained(named("hf-hub:org/clip", revision="f" * 40), offline=True)


@pytest.mark.usefixtures("hub_cache", "no_network")
@pytest.mark.parametrize(
    ("vision", "audio", "expected"),
    [
        (
            "ViT-B-32:openai",
            "",
            "run `hf download timm/vit_base_patch32_clip_224.openai open_clip_model.safetensors"
            " --local-dir DIR`, copy DIR here and give"
            " --vision ViT-B-32:openai=DIR/open_clip_model.safetensors",
        ),
        ("hf-hub:org/none", "", "hf download org/none open_clip_config.json open_clip_model.safetensors"),
        ("", "facebook/wav2vec2-base-960h", "run `hf download facebook/wav2vec2-base-960h --local-dir DIR`"),
    ],
)
def test_what_is_not_there_comes_with_the_command_that_fetches_it(
    vision: str, audio: str, expected: str
) -> None:
    with pytest.raises(WeightsError) as caught:
        adopt_pretrained(named(vision, audio), offline=True)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("vision", "expected"),
    [("openai", "MODEL:TAG"), ("ViT-Q-1:openai", "no model ViT-Q-1"), ("ViT-B-32:mine", "laion2b_s34b_b79k")],
)
def test_wrong_names(vision: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        adopt_pretrained(named(vision), offline=True)


def test_named_encoders_through_the_command(
    tmp_path: Path, no_network: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(tmp_path / "clip", TOWERS["transformer"])
    write_audio(tmp_path / "audio", normalize=False)
    data = ("--data", f"affwild2:{write_affwild2(tmp_path / 'aff')}", "--workers", "1")
    encoders = ("--vision", f"local-dir:{tmp_path / 'clip'}", "--audio", str(tmp_path / "audio"), "--offline")
    out = ("--out", str(tmp_path / "run"))
    assert call("run.py", "--preset", "tiny-trained", *data, *encoders, *out) == 0
    written = json.loads((tmp_path / "run" / "checkpoint.json").read_text())["model"]
    assert written["preprocessing"]["vision"]["interpolation"] == "bicubic"
    assert written["preprocessing"]["vision"]["mean"] == list(MEAN)
    assert written["preprocessing"]["audio"]["normalize"] is False
    missing = ("--audio", "org/none", "--offline")
    assert call("run.py", "--preset", "tiny", *data, *missing, *out) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "hf download org/none" in errors[0]
