"""The stage for still pictures: sampling, training, going on, colour, and what it leaves."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from emorec_rt.errors import UsageError
from emorec_train.data.pictures.opening import picture_request
from emorec_train.data.pictures.types import Pictures, PictureSet, as_grey, as_rgb, one_hot
from emorec_train.evaluation.stills import still_logits
from emorec_train.model.build import build_models
from emorec_train.model.checkpoint_parts import CheckpointError
from emorec_train.model.config import ConvConfig, TextConfig, VisionConfig
from emorec_train.model.pretrained import adopt_pretrained
from emorec_train.model.stills_files import load_stills
from emorec_train.settings.fields import Preset
from emorec_train.settings.presets import PRESETS
from emorec_train.training.state import state_folder
from emorec_train.training.stills import run as stage
from emorec_train.training.stills.fit import StillFit
from emorec_train.training.stills.grey import fold_grey
from emorec_train.training.stills.run import StillsRun, build_still_model, train_stills
from emorec_train.training.stills.sampling import chances, jpeg_copies, still_batches

LABELS = ("Neutral", "Happiness", "Surprise")
SIDE = 16


def preset(**stills: object) -> Preset:
    """The people preset with a tiny tower that learns in seconds."""
    replace, own = msgspec.structs.replace, PRESETS["people"]
    vision = VisionConfig(image_size=SIDE, embed_dim=8, conv=ConvConfig(channels=(8, 8), depths=(1, 1)))
    crops = replace(own.model.preprocessing.vision, crop_size=SIDE, embedding_dim=8)
    model = replace(
        own.model,
        labels=LABELS,
        vision=vision,
        preprocessing=replace(own.model.preprocessing, vision=crops),
        text=TextConfig(context_length=16, width=8, layers=1, heads=2),
    )
    settings = replace(own.stills, epochs=4, batch=16, learning_rate=1e-2, mixup=0.0)
    return replace(own, model=model, stills=replace(settings, **stills))


def stripes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of three kinds: flat, striped across, striped down."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    pixels = np.full((count, SIDE, SIDE), 120.0)
    pixels[labels == 1, ::4] += 90
    pixels[labels == 2, :, ::4] += 90
    return np.clip(pixels + rng.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8), labels


def picture_set(name: str = "stripes") -> PictureSet:
    parts = []
    for count, seed in ((96, 0), (30, 1)):
        pixels, labels = stripes(count, seed)
        parts.append(Pictures(pixels, one_hot(labels, 3)))
    return PictureSet(name, *parts)


def on_disk(folder: Path) -> Path:
    """The same as class folders."""
    for split, count, seed in (("train", 96, 0), ("val", 30, 1)):
        for number, (pixels, label) in enumerate(zip(*stripes(count, seed), strict=True)):
            path = folder / split / LABELS[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), pixels)
    return folder


def stills_run(tmp_path: Path, **changes: object) -> StillsRun:
    data = tmp_path / "pictures"
    if not data.exists():
        on_disk(data)
    settings: dict[str, object] = {"preset": preset(), "out": tmp_path / "out", **changes}
    return StillsRun(data=(picture_request(f"folder:{data}"),), **settings)  # type: ignore[arg-type]


def fit_of(chosen: Preset, seed: int = 0) -> StillFit:
    torch.manual_seed(seed)
    run = StillsRun(preset=chosen, data=(), out=Path())
    return StillFit(build_still_model(run), LABELS, [picture_set()], chosen.stills, seed, torch.device("cpu"))


def test_rare_classes_are_drawn_by_the_root_of_their_frequency() -> None:
    targets = one_hot(np.array([0] * 90 + [1] * 10), 2)
    drawn = chances(targets, np.ones(100), 0.5)
    by_class = np.array([drawn[:90].sum(), drawn[90:].sum()])
    np.testing.assert_allclose(by_class[0] / by_class[1], 3.0, rtol=1e-5)
    assert np.unique(chances(targets, np.ones(100), 0.0)).size == 1


def test_a_set_of_less_weight_is_drawn_less() -> None:
    one, other = picture_set("one"), picture_set("two")
    light = PictureSet("light", other.train, other.validation, 0.25)
    batches = still_batches([one, light], balance=0.0, grey=True, seed=0, device=torch.device("cpu"))
    assert batches.epoch_pictures == len(one.train)
    torch.testing.assert_close(batches.chances[:96].sum(), 4 * batches.chances[96:].sum())


def test_compressed_copies_differ_a_little() -> None:
    pixels, _ = stripes(8, 0)
    copies = jpeg_copies(pixels, 0)
    difference = np.abs(copies.astype(int) - pixels)
    assert 0.5 < difference.mean() < 12
    np.testing.assert_array_equal(copies, jpeg_copies(pixels, 0))


def test_it_learns_and_the_seed_decides() -> None:
    fit, again = fit_of(preset()), fit_of(preset())
    while not fit.finished:
        fit.epoch()
        again.epoch()
    assert fit.fitted().validation.macro_f1 > 0.9
    assert fit.log == again.log


@pytest.mark.parametrize(
    "changes",
    [{"mixup": 0.5}, {"grey": False}, {"label_smoothing": 0.1}, {"text_weight": 0.0}],
)
def test_settings_that_change_what_is_learnt(changes: dict[str, object]) -> None:
    plain, other = fit_of(preset()).epoch(), fit_of(preset(**changes)).epoch()
    assert np.isfinite(other.loss)
    assert other.loss != plain.loss


def test_patience_ends_training() -> None:
    fit = fit_of(preset(patience=1, epochs=40, learning_rate=1e-9))
    while not fit.finished:
        fit.epoch()
    assert len(fit.log) < 40


def test_folded_grey_sees_the_luma_of_colour() -> None:
    model = build_still_model(StillsRun(preset=preset(), data=(), out=Path()))
    colour = np.random.default_rng(0).integers(0, 256, (12, SIDE, SIDE, 3)).astype(np.uint8)
    targets = one_hot(np.zeros(12, np.int64), 3)
    grey = Pictures(as_rgb(as_grey(colour)), targets)
    before = still_logits(model, grey, grey=False)
    fold_grey(model.vision)
    np.testing.assert_allclose(still_logits(model, grey, grey=False), before, atol=1e-4)
    # A luma is rounded to whole numbers, so colour differs by that much.
    np.testing.assert_allclose(still_logits(model, Pictures(colour, targets), grey=False), before, atol=0.02)


def test_grey_needs_equal_channels(tmp_path: Path) -> None:
    own = preset()
    crops = msgspec.structs.replace(own.model.preprocessing.vision, mean=(0.4, 0.5, 0.6))
    spec = msgspec.structs.replace(own.model.preprocessing, vision=crops)
    chosen = msgspec.structs.replace(own, model=msgspec.structs.replace(own.model, preprocessing=spec))
    with pytest.raises(UsageError, match="the same mean and std for each channel"):
        train_stills(stills_run(tmp_path, preset=chosen))


def test_the_folder_gives_the_scores_again(tmp_path: Path) -> None:
    run = stills_run(tmp_path)
    scores = train_stills(run)
    stills = load_stills(run.out)
    assert stills.file.training.metrics["validation"]["pictures"]["accuracy"] == scores["pictures"].accuracy
    pixels, labels = stripes(30, 1)
    logits = still_logits(stills.model, Pictures(pixels, one_hot(labels, 3)), grey=False)
    assert np.mean(logits.argmax(axis=1) == labels) == pytest.approx(scores["pictures"].accuracy)
    assert (run.out / "log.csv").read_text().count("stills,") == 4
    assert not state_folder(run.out).exists()


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stills_run(tmp_path, out=tmp_path / "whole")
    train_stills(whole)
    stopped = stills_run(tmp_path)
    epoch = StillFit.epoch

    def interrupted(fit: StillFit) -> object:
        if len(fit.log) == 2:
            raise KeyboardInterrupt
        return epoch(fit)

    with monkeypatch.context() as patch:
        patch.setattr(StillFit, "epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_stills(stopped)
    assert not stopped.out.exists()
    train_stills(stills_run(tmp_path, resume=True))
    for name in ("vision", "head", "text_prototypes"):
        one, other = (load_file(out / f"{name}.safetensors") for out in (whole.out, stopped.out))
        assert all(torch.equal(one[key], other[key]) for key in one), name
    assert train_stills(stills_run(tmp_path, resume=True)) == {}


def test_another_run_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "_scores", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train_stills(stills_run(tmp_path))
    with pytest.raises(CheckpointError, match="other settings, data or seed"):
        train_stills(stills_run(tmp_path, resume=True, seed=1))


def test_a_new_model_starts_from_the_folder(tmp_path: Path) -> None:
    run = stills_run(tmp_path)
    train_stills(run)
    own = PRESETS["people"].model
    named = msgspec.structs.replace(
        own, labels=LABELS, vision=msgspec.structs.replace(own.vision, pretrained=f"stills:{run.out}")
    )
    config = adopt_pretrained(named)
    assert config.preprocessing.vision.crop_size == config.vision.image_size == SIDE
    models = build_models(config)
    expected = load_stills(run.out).model
    assert models.text is not None
    assert expected.text_head is not None
    for one, other in ((models.vision, expected.vision), (models.text, expected.text_head.text)):
        weights, wanted = one.state_dict(), other.state_dict()
        assert all(torch.equal(weights[key], wanted[key]) for key in wanted)


def test_a_run_begins_with_an_earlier_ones_weights(tmp_path: Path) -> None:
    earlier = stills_run(tmp_path, out=tmp_path / "earlier")
    train_stills(earlier)
    model, found = build_still_model(stills_run(tmp_path, start=earlier.out)), load_stills(earlier.out).model
    pixels, labels = stripes(12, 1)
    pictures = Pictures(as_rgb(pixels), one_hot(labels, 3))
    expected = still_logits(found.eval(), pictures, grey=False)
    np.testing.assert_allclose(still_logits(model.eval(), pictures, grey=False), expected, atol=1e-5)
    other = msgspec.structs.replace(
        preset(), model=msgspec.structs.replace(preset().model, labels=("a", "b", "c"))
    )
    with pytest.raises(CheckpointError, match="another tower, other crops or other labels"):
        build_still_model(stills_run(tmp_path, start=earlier.out, preset=other))


def test_a_folder_without_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"run train/pictures\.py"):
        load_stills(tmp_path)
