"""The one protocol behind which every inference library stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from emorec_rt.errors import EngineError
from emorec_rt.manifest import TensorSpec

Tensors = Mapping[str, NDArray[Any]]


class Engine(Protocol):
    """A loaded graph that maps named arrays to named arrays; the batch is the first dimension of each."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """Run one batch.

        Args:
            feeds: One array for each input, with the input's dtype and shape.

        Returns:
            One array for each output; the caller owns them.

        Raises:
            EngineError: A wrong tensor, or the library failed.
        """
        ...


def check_feeds(inputs: tuple[TensorSpec, ...], feeds: Tensors) -> None:
    """Refuse wrong tensors at the boundary, saying what came and what was expected.

    Raises:
        EngineError: A tensor is missing, unknown, or has the wrong dtype or shape.
    """
    if set(feeds) != {spec.name for spec in inputs}:
        raise EngineError(f"expected inputs {[spec.name for spec in inputs]}, got {sorted(feeds)}")
    for spec in inputs:
        array = feeds[spec.name]
        fits = len(array.shape) == len(spec.shape) and all(
            want in (-1, have) for want, have in zip(spec.shape, array.shape, strict=True)
        )
        if array.dtype.name != spec.dtype or not fits:
            raise EngineError(
                f"input {spec.name}: expected {spec.dtype}{list(spec.shape)}, "
                f"got {array.dtype.name}{list(array.shape)}"
            )
