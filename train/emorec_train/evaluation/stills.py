"""Scores of an encoder under its head, on still pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from emorec_train.data.pictures.types import Pictures, as_grey, as_rgb
from emorec_train.evaluation.metrics import Scores, score
from emorec_train.model.stills import StillModel

BATCH = 512


@torch.no_grad()
def still_logits(model: StillModel, pictures: Pictures, *, grey: bool) -> NDArray[np.float32]:
    """Logits of the head, float32 ``[N, C]``; the model is in eval mode afterwards."""
    model.eval()
    device = next(model.parameters()).device
    pixels = as_grey(pictures.pixels) if grey else pictures.pixels
    batches = [
        model(torch.from_numpy(as_rgb(pixels[start : start + BATCH])).to(device))[0]
        for start in range(0, len(pixels), BATCH)
    ]
    return np.asarray(torch.cat(batches).float().cpu().numpy(), np.float32)


def score_stills(model: StillModel, pictures: Pictures, labels: Sequence[str], *, grey: bool) -> Scores:
    """Accuracy and macro F1 against each picture's most likely class."""
    predicted = still_logits(model, pictures, grey=grey).argmax(axis=1)
    return score(pictures.labels, np.asarray(predicted, np.int64), labels)
