"""Settings of the training of small towers by a large model."""

from __future__ import annotations

from typing import Annotated

import msgspec

from emorec_rt.bundle.manifest import Positive, Share
from emorec_train.settings.fields import EncoderSettings, FusionSettings

Amount = Annotated[float, msgspec.Meta(ge=0.0)]


class StudentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Training of students.

    Attributes:
        visual: Of the visual tower, on frames.
        audio: Of the sound tower, on chunks.
        cosine_weight: Weight of the angle between embeddings beside their distance.
        importance: Share of a dimension's weight that follows how much it moves the teacher's logits.
        fusion: Of the fusion on the students' embeddings, with the teacher's probabilities as targets.
        importance_windows: Largest number of training windows that importance is measured on.
    """

    visual: EncoderSettings = EncoderSettings(steps=3000, batch=64, learning_rate=2e-3, weight_decay=0.02)
    audio: EncoderSettings = EncoderSettings(steps=2000, batch=8, learning_rate=2e-3, weight_decay=0.02)
    cosine_weight: Amount = 0.5
    importance: Share = 0.5
    fusion: FusionSettings = FusionSettings(epochs=6, batch=32, learning_rate=5e-4, average_decay=0.99)
    importance_windows: Positive = 256

    def scaled(self, effort: float) -> StudentSettings:
        """The same with more or fewer steps."""
        replace = msgspec.structs.replace
        return replace(
            self,
            visual=replace(self.visual, steps=max(1, round(self.visual.steps * effort))),
            audio=replace(self.audio, steps=max(1, round(self.audio.steps * effort))),
            fusion=replace(self.fusion, epochs=max(1, round(self.fusion.epochs * effort))),
        )
