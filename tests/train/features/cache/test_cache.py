"""What goes into the cache comes out of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from emorec_rt.errors import OutputError
from emorec_rt.windows.window import Window
from emorec_train.data.labels import IGNORED
from emorec_train.features.cache import CacheError, CacheSettings, FeatureCache, fingerprint_of, store
from emorec_train.features.cache.settings import difference
from emorec_train.features.windows import ClipWindows, stack_windows
from emorec_train.model.build import build_models
from small_model import FRAME_WIDTH, PER_STEP, STEPS, TOKEN_WIDTH, config

SPEC = config().preprocessing
SETTINGS = CacheSettings(preprocessing=SPEC, vision="v", audio="a")
STRIDE = SPEC.window.stride


def clip_windows(seed: int, steps: int = 30) -> list[Window]:
    """Overlapping windows of one clip, with gaps in both streams and padding at the end."""
    rng = np.random.default_rng(seed)
    faces = rng.normal(size=(steps, FRAME_WIDTH)).astype(np.float32)
    tokens = rng.normal(size=(steps * PER_STEP, TOKEN_WIDTH)).astype(np.float32)
    seen, heard = rng.random(steps) < 0.7, rng.random(steps * PER_STEP) < 0.7
    windows = []
    for first in range(0, steps, STRIDE):
        count = min(STEPS, steps - first)
        own, own_tokens = slice(first, first + count), slice(first * PER_STEP, (first + count) * PER_STEP)
        windows.append(
            Window(
                first,
                count,
                min(first + STRIDE, steps),
                0.04 * (first + np.arange(STEPS)) + 0.01 * seed,
                _padded(faces[own] * seen[own, None], STEPS),
                _padded(seen[own].astype(np.float32), STEPS),
                _padded(tokens[own_tokens] * heard[own_tokens, None], STEPS * PER_STEP),
                _padded(heard[own_tokens].astype(np.float32), STEPS * PER_STEP),
            )
        )
    return windows


def _padded(rows: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    return np.concatenate([rows, np.zeros((length - len(rows), *rows.shape[1:]), np.float32)])


def assert_same(stored: Window, made: Window) -> None:
    assert (stored.first_step, stored.steps, stored.settles) == (made.first_step, made.steps, made.settles)
    assert stored.times_seconds.tobytes() == made.times_seconds.tobytes()
    for name, array in made.feeds().items():
        assert stored.feeds()[name].dtype == np.float32
        # A masked row of -0.0 and one of 0.0 are equal, and count for nothing.
        np.testing.assert_array_equal(stored.feeds()[name], array)


def test_windows_come_back_bit_for_bit(tmp_path: Path) -> None:
    made = {f"{seed:064x}": clip_windows(seed, steps=7 * seed + 2) for seed in range(4)}
    times = np.arange(5) / 25
    with FeatureCache(tmp_path / "c", SETTINGS) as cache:
        for key, windows in made.items():
            cache.add(key, windows, times)
            assert key in cache
    with FeatureCache(tmp_path / "c", SETTINGS) as cache:
        for key, windows in made.items():
            clip = cache.load(key)
            assert len(clip.windows) == len(windows)
            np.testing.assert_array_equal(clip.frame_times_seconds, times)
            for stored, window in zip(clip.windows, windows, strict=True):
                assert_same(stored, window)


def test_rows_are_kept_once(tmp_path: Path) -> None:
    windows = clip_windows(1, steps=60)
    with FeatureCache(tmp_path / "c", SETTINGS) as cache:
        cache.add("k", windows, np.zeros(0))
    (features,) = (tmp_path / "c").glob("shards/*/features.npy")
    rows = sum(
        window.frame_mask.sum() * FRAME_WIDTH + window.audio_mask.sum() * TOKEN_WIDTH for window in windows
    )
    assert features.stat().st_size < 0.65 * 4 * rows


def test_a_table_on_disk_selects_what_one_in_memory_does(tmp_path: Path) -> None:
    made = [clip_windows(seed) for seed in range(3)]
    labels = [tuple(np.full(STEPS, IGNORED) for _ in windows) for windows in made]
    with FeatureCache(tmp_path / "c", SETTINGS) as cache:
        for seed, windows in enumerate(made):
            cache.add(str(seed), windows, np.zeros(0))
    memory = stack_windows([ClipWindows("", *pair) for pair in zip(made, labels, strict=True)])
    disk = stack_windows([ClipWindows("", cache.load(str(k)).windows, labels[k]) for k in range(3)])
    index = torch.randperm(len(memory))[:7]
    one, other = memory.select(index), disk.select(index)
    for name in ("frame_embeddings", "frame_mask", "audio_tokens", "audio_mask", "labels"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_float16_takes_half_the_room_and_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    half = msgspec.structs.replace(SETTINGS, storage="float16")
    windows = clip_windows(0)
    sizes = []
    for name, settings in (("full", SETTINGS), ("half", half)):
        with FeatureCache(tmp_path / name, settings) as cache:
            cache.add("k", windows, np.zeros(0))
        (features,) = (tmp_path / name).glob("shards/*/features.npy")
        sizes.append(features.stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]
    stored = cache.load("k").windows[0]
    np.testing.assert_allclose(stored.frame_embeddings, windows[0].frame_embeddings, rtol=1e-3, atol=1e-4)
    assert store.storage_of(tmp_path / "half") == "float16"
    windows[0].frame_embeddings[windows[0].frame_mask > 0] = 1e5
    with (
        pytest.raises(CacheError, match="too large for float16"),
        FeatureCache(tmp_path / "c", half) as cache,
    ):
        cache.add("k", windows, np.zeros(0))


def test_an_added_clip_is_not_added_again(tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "c", SETTINGS) as cache:
        cache.add("k", clip_windows(0), np.zeros(0))
        cache.add("k", clip_windows(1), np.zeros(0))
        cache.flush()
        cache.add("k", clip_windows(1), np.zeros(0))
    assert len(list((tmp_path / "c" / "shards").iterdir())) == 1
    assert_same(cache.load("k").windows[0], clip_windows(0)[0])


def test_one_writes_at_a_time(tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "c", SETTINGS) as first, FeatureCache(tmp_path / "c", SETTINGS) as second:
        first.add("k", clip_windows(0), np.zeros(0))
        with pytest.raises(CacheError, match="another process is writing"):
            second.add("other", clip_windows(0), np.zeros(0))
    with FeatureCache(tmp_path / "c", SETTINGS) as later:
        later.add("other", clip_windows(0), np.zeros(0))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't be written"):
        FeatureCache(tmp_path / "file" / "c", SETTINGS)


def test_settings_of_no_known_form_are_refused(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"format": "emorec-features", "schema_version": 1}')
    with pytest.raises(CacheError, match="not a cache that this version reads"):
        FeatureCache(tmp_path, SETTINGS)


def test_the_difference_is_named() -> None:
    window = msgspec.structs.replace(SPEC.window, stride=3)
    other = msgspec.structs.replace(SPEC, window=window)
    theirs = msgspec.structs.replace(SETTINGS, preprocessing=other)
    assert difference(SETTINGS, theirs) == "its preprocessing.window.stride is 3, not 6"
    assert "another audio encoder" in difference(SETTINGS, msgspec.structs.replace(SETTINGS, audio="b"))
    assert difference(SETTINGS, SETTINGS) == ""


def test_weights_make_the_fingerprint() -> None:
    torch.manual_seed(0)
    models = build_models(config())
    before = fingerprint_of(models.vision)
    torch.manual_seed(0)
    assert fingerprint_of(build_models(config()).vision) == before
    with torch.no_grad():
        next(models.vision.parameters()).view(-1)[0] += 1e-3
    assert fingerprint_of(models.vision) != before
