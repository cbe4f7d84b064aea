from __future__ import annotations

import re
from pathlib import Path

import pytest

from emorec_rt.errors import UsageError
from emorec_train.settings.changes import change
from emorec_train.settings.presets import DEMO, PRESETS, REFERENCE, find_preset


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("fusion.epochs=20", 20),
        ("fusion.learning_rate=3e-4", 3e-4),
        ("fusion.precision=bfloat16", "bfloat16"),
        ("model.fusion.causal=true", True),
        ("model.preprocessing.grid.rate_hz=null", None),
        ("model.vision.revision=1234567", "1234567"),
        ("model.audio.extra.layerdrop=0.0", 0.0),
    ],
)
def test_values_have_the_type_of_their_field(text: str, value: object) -> None:
    found: object = change(REFERENCE, [text])
    for name in text.partition("=")[0].split("."):
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    assert found == value
    assert type(found) is type(value)


def test_text_guidance_can_be_taken_away() -> None:
    assert change(DEMO, ["model.text=null"]).model.text is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fusion.learning_rat=1", "the nearest is fusion.learning_rate"),
        ("epoch=1", "the nearest is fusion.epochs"),
        ("demo.x=1", "the nearest is"),
        ("fusion.epochs=0.5", "Expected `int`"),
        ("fusion.epochs=0", r"\$.fusion.epochs"),
        ("fusion.precision=float8", "float8"),
        ("fusion=1", "fusion.epochs"),
        ("fusion.epochs", "KEY=VALUE"),
        ("model.fusion.tcn_kernel=4", "needs an odd one"),
    ],
)
def test_what_does_not_fit_is_told(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        change(DEMO, [text])


def test_presets_by_name_and_by_file(tmp_path: Path) -> None:
    assert {"demo", "reference", "affwild2", "edge"} <= PRESETS.keys()
    assert find_preset("demo") is DEMO
    file = tmp_path / "mine.toml"
    file.write_text('extends = "reference"\n[fusion]\nepochs = 3\n')
    mine = find_preset(str(file))
    assert mine.fusion.epochs == 3
    assert mine.model == REFERENCE.model
    (tmp_path / "next.toml").write_text('extends = "mine.toml"\nclips = 7\n')
    assert find_preset(str(tmp_path / "next.toml")).fusion == mine.fusion
    (tmp_path / "last.toml").write_text('extends = "mine"\n')  # a file beside it, by its name alone
    assert find_preset(str(tmp_path / "last.toml")) == mine


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('extends = "reference"\n[fusion]\nepoch = 3\n', "unknown field `epoch`"),
        ('extends = "referenze"\n', "neither a preset nor a file"),
        ('extends = "mine.toml"\n', "extends itself"),
        ("clips = \n", "mine.toml"),
        ("clips = 3\n", "missing required field"),
    ],
)
def test_a_bad_file_is_told(content: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(content)
    with pytest.raises(UsageError, match=reason) as caught:
        find_preset(str(file))
    assert "mine.toml" in str(caught.value)


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean affwild2"):
        find_preset("affwild")


def test_the_papers_windows_and_encoders() -> None:
    paper = PRESETS["affwild2"].model
    assert paper.preprocessing.window.steps == 60
    assert paper.vision.pretrained == "ViT-B-32:openai"
    assert paper.audio.pretrained == "facebook/wav2vec2-base-960h"


@pytest.mark.parametrize("name", ["reference", "affwild2", "edge"])
def test_published_weights_are_pinned_to_a_commit(name: str) -> None:
    model = PRESETS[name].model
    for encoder in (model.vision, model.audio):
        assert re.fullmatch(r"[0-9a-f]{40}", encoder.revision)
    newest = change(PRESETS[name], ("model.vision.revision=",))
    assert newest.model.vision.revision == ""
