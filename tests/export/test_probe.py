"""What the largest numbers of a graph are looked for on."""

from __future__ import annotations

from typing import Any

import numpy as np

from emorec_export.probe import CLIP_BATCHES, PROBED_BATCHES, RecordingEngine


class Silent:
    """An engine that gives nothing."""

    inputs = outputs = ()

    def run(self, _: Any) -> dict[str, Any]:
        return {}


def test_every_clip_is_seen_until_there_are_enough() -> None:
    engine = RecordingEngine(Silent())
    for clip in range(10):
        engine.begin_clip()
        for _ in range(5):
            engine.run({"frames": np.full(1, clip)})
    seen = [int(batch["frames"][0]) for batch in engine.batches]
    assert seen == [clip for clip in range(PROBED_BATCHES // CLIP_BATCHES) for _ in range(CLIP_BATCHES)]
