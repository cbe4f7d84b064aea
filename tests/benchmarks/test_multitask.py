"""Half of the labels are missing where the benchmark says so, and its verdict is about the right rows."""

from __future__ import annotations

from typing import Any

import multitask
import numpy as np

from emorec_rt.bundle.tasks import MEASURES
from emorec_train.data.labels import IGNORED
from emorec_train.features.windows import ClipWindows


def test_each_kind_of_label_is_missing_from_half_of_the_clips() -> None:
    measures = np.ones((4, len(MEASURES)), np.float32)
    clips = [ClipWindows(str(k), [], (np.zeros(4, np.int64),), measures=(measures,)) for k in range(40)]
    halved = multitask.halved(clips, seed=1)
    lacking = {
        "classes": [bool((clip.labels[0] == IGNORED).all()) for clip in halved],
        "affect": [bool(np.isnan(clip.measures[0][:, :2]).all()) for clip in halved],
        "units": [bool(np.isnan(clip.measures[0][:, 2:]).all()) for clip in halved],
    }
    assert {name: sum(flags) for name, flags in lacking.items()} == dict.fromkeys(lacking, 20)
    assert len({tuple(flags) for flags in lacking.values()}) == 3
    assert not np.isnan(measures).any()


def test_half_of_the_labels_are_held_against_all_of_them() -> None:
    def rows(last: float) -> dict[str, Any]:
        scores = dict(zip((row.name for row in multitask.ROWS), (0.9, 0.5, 0.95, last), strict=True))
        return {name: {"mean": {"macro_f1": score}} for name, score in scores.items()}

    assert multitask.keeps_up(rows(0.881))
    assert not multitask.keeps_up(rows(0.879))
