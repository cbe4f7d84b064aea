"""Labels in words: CLIP's own similarities come out of the checkpoint and of the bundle."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import open_clip
import pytest
import torch

import emorec_rt
from emorec_export.build import Console, Request, build
from emorec_rt.bundle import open_bundle
from emorec_train.model.checkpoint import load_checkpoint
from emorec_train.training.zero_shot import NOTICE
from random_weights import MEAN, STD, TIMM, TOWERS, write_clip
from tiny_commands import call

LABELS = ("bored", "confused", "Happiness")
PROMPT = "a photo of someone who is {}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zero")
    write_clip(folder / "clip", TOWERS["transformer"])
    arguments = (
        "--labels",
        ", ".join(LABELS),
        "--prompt",
        PROMPT,
        "--vision",
        f"local-dir:{folder / 'clip'}",
    )
    assert call("zero_shot.py", *arguments, "--offline", "--out", str(folder / "run")) == 0
    return folder


@torch.no_grad()
def test_logits_are_clips_similarities(made: Path) -> None:
    clip = write_clip(made / "again", TOWERS["transformer"])
    checkpoint = load_checkpoint(made / "run")
    pixels = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    scaled = (pixels.float() / 255.0 - torch.tensor(MEAN)) / torch.tensor(STD)
    images = clip.encode_image(scaled.permute(0, 3, 1, 2), normalize=True)
    texts = [PROMPT.format(word) for word in ("bored", "confused", "happy")]
    tokens = open_clip.SimpleTokenizer(context_length=16)(texts)
    expected = 100.0 * images @ clip.encode_text(tokens, normalize=True).T
    actual = checkpoint.vision.eval()(pixels)
    torch.testing.assert_close(actual, expected, atol=1e-3, rtol=1e-4)
    steps, sound = torch.ones(1, 3), torch.zeros(1, 6, 16)
    fused = checkpoint.fusion(actual[None], steps, sound, torch.zeros(1, 6))
    torch.testing.assert_close(fused[0], expected, atol=1e-3, rtol=1e-4)


def test_a_bundle_gives_rows_and_says_what_it_is(made: Path) -> None:
    request = Request(out=made / "bundle", name="zero", precisions=("fp32",), test_clips=1)
    quiet = Console(say=lambda _: None, track=lambda items, *_: nullcontext(items))
    build(load_checkpoint(made / "run"), request, quiet)
    manifest = open_bundle(made / "bundle").manifest
    assert manifest.labels == LABELS
    assert manifest.notice == NOTICE
    assert emorec_rt.load(made / "bundle", backend="onnxruntime", face="off", threads=1).labels == LABELS


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--labels", "bored"), "give two or more, each once"),
        (("--labels", "bored,bored"), "give two or more, each once"),
        (("--labels", "bored,tired", "--prompt", "no place"), "put {} where the class goes"),
    ],
)
def test_wrong_usage(
    options: tuple[str, ...], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("zero_shot.py", *options, "--random-encoders", "--out", str(tmp_path / "x")) == 2
    assert reason in capsys.readouterr().err


def test_weights_without_texts_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = {"context_length": 16, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1}
    write_clip(tmp_path / "clip", TIMM, text={**text, "hf_tokenizer_name": "nobody/has-it"})
    weights = ("--vision", f"local-dir:{tmp_path / 'clip'}", "--out", str(tmp_path / "x"))
    assert call("zero_shot.py", "--labels", "bored,tired", *weights) == 2
    assert "has no text tower, and zero-shot labels are texts" in capsys.readouterr().err
