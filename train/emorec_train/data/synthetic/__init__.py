"""Generated training clips: drawn faces and synthetic voices with a label for every frame, from a seed alone.

``design`` says what tells the classes apart and why neither stream alone can be right.
"""

from __future__ import annotations

from emorec_train.data.synthetic.draw import ClipPlan, draw_clip, plan_clip
from emorec_train.data.synthetic.types import SPLITS, Clip, ClipSpec, Split, clip_seeds
from emorec_train.data.synthetic.write import write_clip, write_labels, write_sheet

__all__ = [
    "SPLITS",
    "Clip",
    "ClipPlan",
    "ClipSpec",
    "Split",
    "clip_seeds",
    "draw_clip",
    "plan_clip",
    "write_clip",
    "write_labels",
    "write_sheet",
]
