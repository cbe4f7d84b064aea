"""An engine against its graph in ONNX Runtime.

Compilers have miscompiled attention and FP16 graphs without a word, so what they make is compared before it
is kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Precision, TensorSpec
from emorec_rt.engines.base import Engine, Tensors
from emorec_rt.errors import MismatchError

SEED: Final = 20_240
RUNS: Final = 3
"""The plain run, the one that captures the CUDA graph, and one from the graph."""
BATCHES: Final = (1, 3, 8)
LATENCY_RUNS: Final = 5


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Tolerance of an engine against its graph in ONNX Runtime.

    Attributes:
        cosine: Least cosine of one item's output with the reference.
        norm: Most by which the output's norm may differ, as a share of the reference's.
    """

    cosine: float
    norm: float


TOLERANCES: Final[dict[Precision, Tolerance]] = {
    "fp32": Tolerance(cosine=0.999, norm=0.02),  # TF32 keeps 10 bits of mantissa
    "fp16": Tolerance(cosine=0.995, norm=0.05),
    "int8": Tolerance(cosine=0.98, norm=0.10),
    "int8-fp16": Tolerance(cosine=0.98, norm=0.10),
    "fp8": Tolerance(cosine=0.98, norm=0.10),
}
"""Both round to the same 8 bits, but sums that were rounded otherwise fall on the other side of a step now
and then. Whether an 8-bit graph is *good* is for the export's parity report; this catches engines that
compute something else."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of the comparison.

    Attributes:
        cosine: Least cosine over items, outputs, batch sizes and runs.
        norm: Largest relative difference of norms.
        items: How many items were compared.
    """

    cosine: float
    norm: float
    items: int

    def as_dict(self) -> dict[str, float | int]:
        """For the record beside a plan."""
        return asdict(self)


def compare(
    name: str,
    engine: Engine,
    reference: Engine,
    precision: Precision,
    feeds: Tensors | None = None,
    *,
    largest: int = max(BATCHES),
) -> Verification:
    """Compare an engine with its reference on the same inputs.

    Args:
        name: What is compared, for the message.
        engine: What was made.
        reference: The same graph in ONNX Runtime.
        precision: The engine's; it sets the tolerance.
        feeds: Real inputs; ``None`` makes some up from a fixed seed.
        largest: Largest batch of made-up inputs.

    Raises:
        MismatchError: Outputs differ, or hold values that are not finite.
    """
    tolerance = TOLERANCES[precision]
    cosine, norm, items = 1.0, 0.0, 0
    for batch in (
        [feeds] if feeds else _made_up(engine.inputs, sorted({min(size, largest) for size in BATCHES}))
    ):
        expected = reference.run(batch)
        for _ in range(RUNS):
            for tensor, found in engine.run(batch).items():
                _check_finite(name, tensor, found)
                pair = _distance(found, expected[tensor])
                cosine, norm, items = min(cosine, pair[0]), max(norm, pair[1]), items + len(found)
    if cosine < tolerance.cosine or norm > tolerance.norm:
        raise MismatchError(
            f"{name}: its outputs differ from its graph's in ONNX Runtime (cosine {cosine:.4f}, at least "
            f"{tolerance.cosine} wanted; norm off by {norm:.1%}, at most {tolerance.norm:.0%} wanted), so it "
            f"is not used; {_ADVICE}"
        )
    return Verification(cosine=cosine, norm=norm, items=items)


def latency_ms(engine: Engine, batch: int) -> float:
    """Median time of one batch of made-up inputs, copies included, in milliseconds."""
    feeds = next(_made_up(engine.inputs, [batch]))
    seconds = []
    for _ in range(LATENCY_RUNS):
        started = time.perf_counter()
        engine.run(feeds)
        seconds.append(time.perf_counter() - started)
    return round(float(np.median(seconds)) * 1e3, 3)


_ADVICE: Final = "take another precision, another release of the library, or the onnxruntime backend"


def _made_up(inputs: tuple[TensorSpec, ...], batches: Iterable[int]) -> Iterator[dict[str, NDArray[Any]]]:
    generator = np.random.default_rng(SEED)
    for batch in batches:
        yield {spec.name: _tensor(generator, spec, batch) for spec in inputs}


def _tensor(generator: np.random.Generator, spec: TensorSpec, batch: int) -> NDArray[Any]:
    shape = (batch, *spec.shape[1:])
    if spec.dtype == "uint8":
        return generator.integers(0, 256, shape, np.uint8)
    if spec.name.endswith("mask"):
        # Item 0 has all, later ones lose their end: masks reach the attention's softmax.
        keep = np.linspace(1.0, 0.25, batch)[:, None] * shape[1]
        return (np.arange(shape[1])[None] < keep).astype(np.float32)
    return generator.standard_normal(shape, np.float32)


def _check_finite(name: str, tensor: str, found: NDArray[Any]) -> None:
    if bad := int(np.count_nonzero(~np.isfinite(found))):
        raise MismatchError(
            f"{name}: output {tensor} has {bad} of {found.size} values that are not finite (overflow in "
            f"FP16?), so it is not used; {_ADVICE}"
        )


def _distance(found: NDArray[Any], expected: NDArray[Any]) -> tuple[float, float]:
    """Least cosine and largest relative difference of norms over the items of a batch."""
    a, b = (array.reshape(len(array), -1).astype(np.float64) for array in (found, expected))
    norms_a, norms_b = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    smallest = np.finfo(np.float32).tiny
    cosines = (a * b).sum(axis=1) / np.maximum(norms_a * norms_b, smallest)
    cosines[(norms_a == 0) & (norms_b == 0)] = 1.0
    return float(cosines.min()), float((np.abs(norms_a - norms_b) / np.maximum(norms_b, smallest)).max())
