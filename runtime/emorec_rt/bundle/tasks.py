"""Tasks beside the classes: valence and arousal, and action units, those of the ABAW challenge."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

ActionUnit = Literal[
    "AU01", "AU02", "AU04", "AU06", "AU07", "AU10", "AU12", "AU15", "AU23", "AU24", "AU25", "AU26"
]
ACTION_UNITS: Final[tuple[ActionUnit, ...]] = (
    "AU01",
    "AU02",
    "AU04",
    "AU06",
    "AU07",
    "AU10",
    "AU12",
    "AU15",
    "AU23",
    "AU24",
    "AU25",
    "AU26",
)
"""The twelve of ABAW's detection track, in its order."""

VALENCE_AROUSAL: Final = ("valence", "arousal")
"""How pleasant and how excited, each from -1 to 1."""

MEASURES: Final[tuple[str, ...]] = (*VALENCE_AROUSAL, *ACTION_UNITS)
"""Everything that a frame can be measured by beside its class: the columns of annotations."""


class Tasks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tasks of the fusion beside the classes; none by default.

    Attributes:
        valence_arousal: Whether it gives valence and arousal.
        action_units: Which action units it gives.
    """

    valence_arousal: bool = False
    action_units: tuple[ActionUnit, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an action unit that is named twice."""
        if len(set(self.action_units)) < len(self.action_units):
            raise ValueError("action_units names one twice")

    def __bool__(self) -> bool:
        return bool(self.outputs)

    @property
    def outputs(self) -> dict[str, int]:
        """Outputs of the fusion graph past the logits, by name, and how wide each is."""
        widths = {"valence_arousal": 2 * self.valence_arousal, "action_units": len(self.action_units)}
        return {name: width for name, width in widths.items() if width}

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what those outputs hold, in order."""
        return (*(VALENCE_AROUSAL if self.valence_arousal else ()), *self.action_units)


NO_TASKS: Final = Tasks()
"""Classes alone."""
