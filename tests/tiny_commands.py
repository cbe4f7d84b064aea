"""The training programs with one more preset, ``tiny``, whose encoders are frozen and small.

python tests/tiny_commands.py run.py --preset tiny ...
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from unittest.mock import patch

import msgspec

from emorec_train.features.cache import store
from emorec_train.settings import presets
from emorec_train.settings.fields import EncoderSettings, FusionSettings, Preset
from small_model import config

PROGRAMS = Path(__file__).parents[1] / "train"
FROZEN = EncoderSettings(steps=0, batch=2, learning_rate=1e-3)
TINY = Preset(
    model=config(),
    clips=2,
    clip_seconds=1.0,
    vision=FROZEN,
    audio=FROZEN,
    fusion=FusionSettings(epochs=2, batch=8, learning_rate=1e-3),
)
TRAINED = msgspec.structs.replace(
    TINY,
    vision=msgspec.structs.replace(FROZEN, steps=2),
    audio=msgspec.structs.replace(FROZEN, steps=2),
)


def call(*arguments: str) -> int:
    """Run a program of ``train/`` in this process; its exit code."""
    with (
        patch.dict(presets.PRESETS, {"tiny": TINY, "tiny-trained": TRAINED}),
        patch.object(sys, "argv", list(arguments)),
        patch.object(store, "SHARD_SECONDS", 0.0),  # each clip is a shard
    ):
        try:
            runpy.run_path(str(PROGRAMS / arguments[0]), run_name="__main__")
        except SystemExit as ended:
            return int(ended.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(call(*sys.argv[1:]))
