"""Weights as other projects publish them: random ones in the real formats, against their own libraries."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import open_clip
import pytest
import timm
import torch
from torch import Tensor, nn
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextModelWithProjection,
    CLIPVisionModel,
    SiglipConfig,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from emorec_rt.errors import UsageError
from emorec_train.model.build import Models, build_models
from emorec_train.model.config import ModelConfig
from emorec_train.model.hub import WeightsError
from emorec_train.model.pretrained import adopt_pretrained
from emorec_train.model.tensor_files import read_tensors
from random_weights import KIN
from small_model import config

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
SMALL_VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
SMALL_TEXT = {
    "hidden_size": 24,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
}
FULL = pytest.param(True, id="full size", marks=pytest.mark.slow)
SMALL = pytest.param(False, id="small")


def built(vision: str, text: str = "") -> tuple[ModelConfig, Models]:
    """A new model with these weights, in eval mode."""
    replace, model = msgspec.structs.replace, config()
    assert model.text is not None
    named = replace(
        model,
        vision=replace(model.vision, pretrained=vision),
        text=replace(model.text, pretrained=text),
    )
    adopted = adopt_pretrained(named, offline=True)
    models = build_models(adopted, offline=True)
    for module in (models.vision, models.audio, models.text):
        if module is not None:
            module.eval()
    return adopted, models


def assert_same_features(adopted: ModelConfig, models: Models, encode: Callable[[Tensor], Tensor]) -> None:
    """The tower on uint8 pictures equals ``encode`` on what the weights' own preprocessing makes of them."""
    spec = adopted.preprocessing.vision
    generator = torch.Generator().manual_seed(0)
    shape = (2, spec.crop_size, spec.crop_size, 3)
    pictures = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    scaled = (pictures.float() / 255.0 - torch.tensor(spec.mean)) / torch.tensor(spec.std)
    with torch.no_grad():
        expected, features = encode(scaled.permute(0, 3, 1, 2)), models.vision(pictures)
    assert features.shape == (2, adopted.vision.embed_dim)
    torch.testing.assert_close(features, expected, **CLOSE)


def shaken(module: nn.Module) -> Any:
    """The module with all tensors random: what is left at 0 or 1 by a new one would hide a mistake."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor += 0.02 * torch.randn(tensor.shape, generator=generator)
    return module.eval()


@pytest.mark.parametrize("full", [SMALL, FULL])
def test_openais_torchscript(full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, sizes = "ViT-B-32", open_clip.get_model_config("ViT-B-32")
    assert sizes is not None
    if not full:
        text = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
        tower = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8}
        sizes = {"embed_dim": 24, "vision_cfg": tower, "text_cfg": text}
        monkeypatch.setattr(open_clip, "get_model_config", {name: sizes}.get)
    clip = shaken(open_clip.CLIP(**sizes, quick_gelu=True))
    side = clip.visual.image_size[0]
    tokens = open_clip.SimpleTokenizer(context_length=sizes["text_cfg"]["context_length"])(["a face"])
    torch.jit.save(
        torch.jit.trace(clip, (torch.zeros(1, 3, side, side), tokens), check_trace=False),
        tmp_path / f"{name}.pt",
    )
    adopted, models = built(f"{name}:openai={tmp_path / name}.pt")
    assert adopted.vision.quick_gelu
    assert_same_features(adopted, models, clip.encode_image)
    assert models.text is not None
    with torch.no_grad():
        torch.testing.assert_close(models.text(tokens), clip.encode_text(tokens), **CLOSE)


def write_transformers_clip(folder: Path, full: bool) -> Any:
    parts = {} if full else {"vision_config": SMALL_VISION, "text_config": SMALL_TEXT, "projection_dim": 20}
    clip = shaken(CLIPModel(CLIPConfig(**parts)))
    clip.save_pretrained(folder)
    CLIPImageProcessor(image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.25]).save_pretrained(folder)
    return clip


@pytest.mark.parametrize("full", [SMALL, FULL])
def test_transformers_clip(full: bool, tmp_path: Path) -> None:
    clip = write_transformers_clip(tmp_path, full)
    adopted, models = built(f"transformers:{tmp_path}")
    assert adopted.preprocessing.vision.mean == (0.4, 0.5, 0.6)
    assert_same_features(adopted, models, lambda x: _pooled(clip.get_image_features(pixel_values=x)))
    assert models.text is not None
    tokens = models.text.tokenize(["a face showing fear"])
    with torch.no_grad():
        expected = _pooled(clip.get_text_features(input_ids=tokens))
        torch.testing.assert_close(models.text(tokens), expected, **CLOSE)


def _pooled(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output.pooler_output


def test_a_clip_vision_model_with_the_text_tower_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_transformers_clip(tmp_path / "both", full=False)
    vision = CLIPVisionModel(clip.config.vision_config).eval()
    vision.save_pretrained(tmp_path / "vision")
    text = CLIPTextModelWithProjection(clip.config.text_config).eval()
    text.save_pretrained(tmp_path / "text")
    adopted, models = built(f"transformers:{tmp_path / 'vision'}")
    assert (adopted.text, models.text) == (None, None)
    assert (
        "has no text tower of CLIP's, so there is no text guidance; --set model.text"
        in capsys.readouterr().err
    )
    assert_same_features(adopted, models, lambda x: vision(pixel_values=x).pooler_output)
    adopted, models = built(f"transformers:{tmp_path / 'vision'}", f"transformers:{tmp_path / 'text'}")
    assert models.text is not None
    assert adopted.text is not None
    tokens = models.text.tokenize(["a face showing fear"])
    with torch.no_grad():
        torch.testing.assert_close(models.text(tokens), text(input_ids=tokens).text_embeds, **CLOSE)
    with pytest.raises(WeightsError, match="no text tower of CLIP's"):
        built(f"transformers:{tmp_path / 'both'}", f"transformers:{tmp_path / 'vision'}")
    with pytest.raises(WeightsError, match="a text tower, and no visual one"):
        built(f"transformers:{tmp_path / 'text'}")


@pytest.mark.parametrize("full", [SMALL, FULL])
@pytest.mark.parametrize("whole", [False, True], ids=["vision alone", "both towers"])
def test_transformers_siglip(full: bool, whole: bool, tmp_path: Path) -> None:
    if whole and full:
        pytest.skip("the text tower is not read")
    sizes: dict[str, Any] = {} if full else SMALL_VISION
    if whole:
        text = {**SMALL_TEXT, "vocab_size": 100, "projection_size": 32}
        siglip = shaken(SiglipModel(SiglipConfig(vision_config=sizes, text_config=text)))
        tower = siglip.vision_model
    else:
        siglip = tower = shaken(SiglipVisionModel(SiglipVisionConfig(**sizes)))
    siglip.save_pretrained(tmp_path)
    adopted, models = built(f"transformers:{tmp_path}")
    assert adopted.preprocessing.vision.mean == (0.5, 0.5, 0.5)
    assert_same_features(adopted, models, lambda x: tower(pixel_values=x).pooler_output)


def test_other_models_of_transformers_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip2"}))
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(WeightsError, match="a model 'siglip2'; there are clip and siglip"):
        built(f"transformers:{tmp_path}")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="holds none of"):
        built(f"transformers:{tmp_path}")
    with pytest.raises(WeightsError, match=r"run `hf download nobody/has-it config.json"):
        built("transformers:nobody/has-it")


@pytest.mark.parametrize(
    "name",
    [
        "vit_small_patch14_dinov2.lvd142m@56",
        "vit_small_patch16_dinov3.lvd1689m@64",
        "eva02_tiny_patch14_224.mim_in22k@56",
        "convnext_atto.d2_in1k@64",
        "beit_base_patch16_224.in22k_ft_in22k@32",
        "tf_efficientnet_b0.ns_jft_in1k",
    ],
)
def test_towers_of_timm(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    architecture, _, size = name.partition("@")
    options = {"img_size": int(size)} if (size and "vit" in name) or "eva" in name or "beit" in name else {}
    published = shaken(timm.create_model(architecture, **options))
    torch.save(published.state_dict(), tmp_path / "weights.pth")
    adopted, models = built(f"timm:{name}={tmp_path / 'weights.pth'}")
    own = published.pretrained_cfg
    assert adopted.preprocessing.vision.mean == tuple(own["mean"])
    assert adopted.vision.image_size == int(size or own["input_size"][-1])
    assert "has no text tower" in capsys.readouterr().err
    published.reset_classifier(0)
    assert_same_features(adopted, models, published)


def test_a_pickled_module_is_read_and_not_run(tmp_path: Path) -> None:
    """EmotiEffNet's files are whole modules of timm with a classifier of their own."""
    published = timm.create_model("tf_efficientnet_b0.ns_jft_in1k")
    published.classifier = nn.Sequential(nn.Linear(1280, 8))
    shaken(published)
    torch.save(published, tmp_path / "enet_b0_8_best_vgaf.pt")
    adopted, models = built(f"timm:tf_efficientnet_b0={tmp_path / 'enet_b0_8_best_vgaf.pt'}")
    published.reset_classifier(0)
    assert_same_features(adopted, models, published)


class Evil:
    """Calls something when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise AssertionError('code of a file was run')",))


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2), "evil": Evil()}, tmp_path / "evil.pt")
    assert read_tensors(tmp_path / "evil.pt", "evil").keys() == {"weight"}
    (tmp_path / "old.pt").write_bytes(pickle.dumps({"evil": Evil()}))
    with pytest.raises(WeightsError, match="which is never run"):
        read_tensors(tmp_path / "old.pt", "old")


def test_what_is_wrong_with_weights_of_timm_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="timm has no model resnet5000"):
        built("timm:resnet5000")
    with pytest.raises(UsageError, match="@big is not a size"):
        built("timm:resnet10t@big")
    with pytest.raises(WeightsError, match=r"run `hf download timm/resnet10t.*--vision timm:resnet10t"):
        built("timm:resnet10t.c3_in1k")
    state = timm.create_model("resnet10t").state_dict()
    del state["layer1.0.conv1.weight"]
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(WeightsError, match=r"lacks 1 weights of resnet10t: layer1.0.conv1.weight"):
        built(f"timm:resnet10t={tmp_path / 'part.pth'}")


def test_a_folder_of_timm(tmp_path: Path) -> None:
    published = shaken(timm.create_model("resnet10t", num_classes=8))
    torch.save(published.state_dict(), tmp_path / "pytorch_model.bin")
    content = {"architecture": "resnet10t", "num_classes": 8, "pretrained_cfg": {"mean": [0.1, 0.2, 0.3]}}
    (tmp_path / "config.json").write_text(json.dumps(content))
    adopted, models = built(f"timm:{tmp_path}")
    assert adopted.preprocessing.vision.mean == (0.1, 0.2, 0.3)
    published.reset_classifier(0)
    assert_same_features(adopted, models, published)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm", "unispeech-sat", "data2vec-audio"])
def test_sound_encoders_of_full_size(kind: str, tmp_path: Path) -> None:
    classes = {**KIN, "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model)}
    config_class, model_class = classes[kind]
    published = shaken(model_class(config_class()))
    published.save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path)
    model = config()
    named = msgspec.structs.replace(
        model, audio=msgspec.structs.replace(model.audio, pretrained=str(tmp_path))
    )
    adopted = adopt_pretrained(named, offline=True)
    audio = build_models(adopted, offline=True).audio.eval()
    samples = torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(audio(samples), published(samples).last_hidden_state, **CLOSE)
