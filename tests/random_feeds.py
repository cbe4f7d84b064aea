"""Random inputs for a graph, for comparisons of the same graph with itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import TensorSpec


def random_feeds(inputs: tuple[TensorSpec, ...], batch: int, seed: int = 1) -> dict[str, NDArray[np.generic]]:
    """One array for each input; masks are ones."""
    rng = np.random.default_rng(seed)
    feeds: dict[str, NDArray[np.generic]] = {}
    for spec in inputs:
        shape = (batch, *spec.shape[1:])
        if spec.dtype == "uint8":
            feeds[spec.name] = rng.integers(0, 256, shape, dtype=np.uint8)
        elif spec.name.endswith("mask"):
            feeds[spec.name] = np.ones(shape, np.float32)
        else:
            feeds[spec.name] = rng.standard_normal(shape).astype(np.float32)
    return feeds
