"""Numbers that the pages take from the code are still the code's."""

from __future__ import annotations

import re

import pytest

from emorec_rt.bundle.manifest import Audio, Grid, Preprocessing, Vision, Window
from emorec_rt.constants import TOKEN_RATE_HZ
from emorec_rt.faces import tracker
from emorec_rt.media import MediaLimits
from emorec_rt.media.sources import SourceOptions
from emorec_rt.windows import grid, schedule
from emorec_train.data.datasets.splits import SHARES
from emorec_train.model.config import FusionConfig
from emorec_train.settings.fields import FusionSettings
from emorec_train.settings.presets import PRESETS, REFERENCE
from pages import ROOT

SPEC = Preprocessing(
    grid=Grid(),
    window=Window(),
    vision=Vision(mean=(0, 0, 0), std=(1, 1, 1), embedding_dim=512),
    audio=Audio(embedding_dim=768),
)
PEOPLE = PRESETS["people"]
LIVE = schedule.live_schedule(SPEC)
FUSION = FusionConfig()
WORDS = {0.5: "half a second", 4: "four"}
PHRASES = {
    "how-it-works.md": (
        f"every {tracker.DETECT_EVERY_SECONDS:g} s, every {tracker.UNSETTLED_EVERY_SECONDS:g} s while",
        f"gone for {tracker.HOLD_SECONDS:g} s",
        f"one is within {grid.HOLD_SECONDS:g} s",
        f"({SPEC.grid.rate_hz:g} by default)",
        f"Audio tokens lie at {TOKEN_RATE_HZ} a second",
        f"`tokens_per_step` ({SPEC.window.tokens_per_step})",
        f"chunks of {SPEC.audio.chunk_tokens / TOKEN_RATE_HZ:g} s, "
        f"{REFERENCE.model.preprocessing.audio.chunk_tokens / TOKEN_RATE_HZ:g} s in the reference preset",
        f"a window ends every {schedule.LIVE_HOP_SECONDS:g} s",
        f"all but its last {schedule.LIVE_LOOKAHEAD_SECONDS:g} s",
        f"{LIVE.right_tokens / TOKEN_RATE_HZ:g} s ahead",
        f"by more than {WORDS[LIVE.patience_seconds]}",
        f"both streams to width {FUSION.width}",
        f"({REFERENCE.model.vision.embed_dim} wide for ViT-B/32)",
        f"({REFERENCE.model.audio.width} wide for the base model)",
    ),
    "run.md": (
        f"a frame without a face; {SourceOptions().fps:g} frames a second",
        f"tried again for {SourceOptions().reconnect_seconds:g} seconds",
    ),
    "train.md": (
        "are {:.0f}, {:.0f} and {:.0f} per cent".format(*(100 * share for share in SHARES.values())),
        f"kernel {FUSION.tcn_kernel}, {WORDS[FUSION.tcn_layers]} blocks",
        f"width {FUSION.width}, {WORDS[FUSION.heads]} heads",
        f"one hidden layer of {FUSION.head_width}",
        f"weight {FusionSettings(epochs=1, batch=1, learning_rate=1.0).text_weight:g}, prompts",
        f"windows of {SPEC.window.steps} frames",
        f"stride {SPEC.window.stride}, {SPEC.grid.rate_hz:g} Hz grid",
        str(REFERENCE.model.audio.pretrained),
    ),
    "troubleshooting.md": (f"over the limit of {MediaLimits().max_pixels} pixels",),
    "model-card.md": (f"face crop of {PEOPLE.model.vision.image_size}x{PEOPLE.model.vision.image_size}",),
}


@pytest.mark.parametrize(("page", "phrase"), [(page, phrase) for page in PHRASES for phrase in PHRASES[page]])
def test_a_number_is_the_codes(page: str, phrase: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert phrase in re.sub(r"\s+", " ", text), f"docs/{page} should say: {phrase}"
