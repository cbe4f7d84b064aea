"""The features that the benchmark trains on come through the real cache."""

from __future__ import annotations

from pathlib import Path

import head_training
import numpy as np

from emorec_train.features.cache.rows import StoredWindows
from emorec_train.settings.presets import PRESETS


def test_windows_come_through_the_cache(tmp_path: Path) -> None:
    clips = head_training.cached_clips(tmp_path / "cache", 3)
    (clip,) = clips
    assert isinstance(clip.windows, StoredWindows)
    spec = PRESETS["affwild2"].model.preprocessing
    made = list(head_training.random_windows(spec, np.random.default_rng(0), 3))
    for stored, window in zip(clip.windows, made, strict=True):
        np.testing.assert_array_equal(stored.frame_embeddings, window.frame_embeddings)
        np.testing.assert_array_equal(stored.audio_tokens, window.audio_tokens)
