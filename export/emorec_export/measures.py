"""Parity of what is told beside the classes: by CCC, and by the action units that are present."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emorec_export.report import MeasureParity
from emorec_rt.bundle.tasks import VALENCE_AROUSAL, Tasks
from emorec_train.evaluation.measures import compare_measures, concordance

REFERENCE = ""
"""The PyTorch model among the variants."""


@dataclass
class MeasuredRows:
    """What the reference and each variant said of the same rows.

    Attributes:
        tasks: The model's.
        given: By variant, float32 ``[R, K]`` a clip, action units as logits.
        truth: float32 ``[R, M]`` a clip.
    """

    tasks: Tasks
    given: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    truth: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, variant: str, given: NDArray[np.float32], truth: NDArray[np.float32]) -> None:
        """Take a clip's rows."""
        self.given.setdefault(variant, []).append(given)
        if variant == REFERENCE:
            self.truth.append(truth)

    def parity(self, variant: str) -> MeasureParity | None:
        """Compare a variant with the reference; ``None`` without tasks."""
        if not self.tasks:
            return None
        truth = np.concatenate(self.truth)
        expected, own = (np.concatenate(self.given[name]) for name in (REFERENCE, variant))
        before, after = (compare_measures(given, truth, self.tasks) for given in (expected, own))
        columns = dict(zip(self.tasks.measures, zip(expected.T, own.T, strict=True), strict=True))
        return MeasureParity(
            concordance={name: concordance(*columns[name]) for name in VALENCE_AROUSAL if name in columns},
            unit_agreement={
                name: float(np.mean((columns[name][0] > 0.0) == (columns[name][1] > 0.0)))
                for name in self.tasks.action_units
            },
            mean_ccc=after.mean_ccc,
            mean_ccc_change=after.mean_ccc - before.mean_ccc,
            unit_f1=after.macro_f1,
            unit_f1_change=after.macro_f1 - before.macro_f1,
        )
