"""A memory plan for a module: precision, batch, workspace, one context, each with its reason.

A Jetson has one memory for Linux, CPU and GPU. A builder left to its default may take all of it, and the
kernel then ends whatever it likes. The plan adds up what must fit at two moments, building and running, and
takes the first choice that fits. The figures are arithmetic and estimates (each says which), not
measurements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Precision = Literal["fp16", "int8"]

PARAMETERS_MILLION = 88 + 95 + 6
"""CLIP ViT-B/32's visual encoder, wav2vec 2.0 base, and the trained part."""
LARGEST_GRAPH_MIB = 95 * 4 * 1_000_000 // 2**20
"""wav2vec 2.0 base in FP32, as the builder's parser reads it."""
WEIGHTS_MIB: dict[Precision, int] = {
    "fp16": PARAMETERS_MILLION * 2 * 1_000_000 // 2**20,
    "int8": PARAMETERS_MILLION * 1_200_000 // 2**20,  # one byte a weight, and a fifth of them left in FP16
}
AUDIO_ACTIVATIONS_MIB = 150
"""Estimate: the convolutions over one chunk of some ten seconds dominate."""
FRAME_ACTIVATIONS_MIB = 3
"""Estimate: 50 tokens, 3072 wide, FP16, a few of them alive at once, and the uint8 crop."""
CUDA_CONTEXT_MIB = 350
"""Estimate: driver, TensorRT's libraries, kernels."""
PROCESS_MIB = 500
"""Estimate: Python, decoder, queues of frames."""
SYSTEM_MIB = {"headless": 900, "desktop": 1700}
"""Estimate: Linux and the services of a freshly flashed module."""
SPARE_SHARE = 0.1
"""Kept free: fragments, page cache, the first frames of a 4K camera."""

BATCHES = (16, 8, 4, 2, 1)
WORKSPACES_MIB = (2048, 1024, 512, 256, 128)
WORKSPACE_SHARE = 1 / 8


@dataclass(frozen=True)
class MemoryPlan:
    """What to build and run.

    Attributes:
        fits: Whether even the smallest choice fits; the plan is that choice where it doesn't.
        precision: Variant of the bundle.
        batch: Frames in a batch, and the most that the plan's profile takes.
        workspace_mib: Cap on TensorRT's workspace pool.
        contexts: Execution contexts for each engine.
        build_mib: Memory in use at the height of a build, estimated.
        run_mib: Memory in use while it runs, estimated.
        reasons: A line for each choice.
    """

    fits: bool
    precision: Precision
    batch: int
    workspace_mib: int
    contexts: int
    build_mib: int
    run_mib: int
    reasons: tuple[str, ...]


def plan_memory(total_mib: int, *, desktop: bool = False) -> MemoryPlan:
    """Choose for a module with ``total_mib`` of memory as Linux counts it (somewhat less than is sold).

    Args:
        total_mib: ``MemTotal`` of ``/proc/meminfo`` in MiB.
        desktop: A graphical desktop runs beside it.
    """
    budget = int(total_mib * (1 - SPARE_SHARE))
    system = SYSTEM_MIB["desktop" if desktop else "headless"]
    workspace = _workspace(total_mib, budget - _build_mib(system, 0))
    choices: list[tuple[Precision, int]] = [(p, b) for p in ("fp16", "int8") for b in BATCHES]
    # A batch below 4 starves the GPU, so INT8 is tried before the smallest batches.
    choices.sort(key=lambda choice: (choice[1] < 4, choice[0] == "int8"))
    fitting = (c for c in choices if _run_mib(system, *c, workspace) <= budget)
    best = next(fitting, None)
    precision, batch = best or choices[-1]
    build, running = _build_mib(system, workspace), _run_mib(system, precision, batch, workspace)
    fits = best is not None and build <= budget
    reasons = _reasons(total_mib, system, precision, batch, workspace, desktop=desktop)
    if not fits:
        reasons += (
            f"does not fit: {max(build, running)} MiB needed of {budget}; use a smaller backbone or swap",
        )
    return MemoryPlan(fits, precision, batch, workspace, 1, build, running, reasons)


def _workspace(total_mib: int, left_mib: int) -> int:
    cap = min(total_mib * WORKSPACE_SHARE, left_mib)
    return next((size for size in WORKSPACES_MIB if size <= cap), WORKSPACES_MIB[-1])


def _build_mib(system_mib: int, workspace_mib: int) -> int:
    # Parser and builder each hold the weights of the one graph that is being built.
    return system_mib + CUDA_CONTEXT_MIB + PROCESS_MIB // 2 + 2 * LARGEST_GRAPH_MIB + workspace_mib


def _run_mib(system_mib: int, precision: Precision, batch: int, workspace_mib: int) -> int:
    engines = WEIGHTS_MIB[precision] + AUDIO_ACTIVATIONS_MIB + FRAME_ACTIVATIONS_MIB * batch
    return system_mib + CUDA_CONTEXT_MIB + PROCESS_MIB + engines + workspace_mib


def _reasons(
    total_mib: int, system_mib: int, precision: Precision, batch: int, workspace_mib: int, *, desktop: bool
) -> tuple[str, ...]:
    screen = "desktop" if desktop else "no desktop"
    precisions = {
        "fp16": "fp16: it fits, and int8 is often no faster for a ViT; measure both",
        "int8": f"int8: saves {WEIGHTS_MIB['fp16'] - WEIGHTS_MIB['int8']} MiB of weights, too many for fp16",
    }
    return (
        f"{total_mib} MiB in all: {system_mib} for the system ({screen}), {SPARE_SHARE:.0%} kept free",
        precisions[precision],
        f"batch {batch}: {FRAME_ACTIVATIONS_MIB * batch} MiB of activations",
        f"workspace {workspace_mib} MiB: at most an eighth of memory; without a cap the builder may take all",
        "one context for each engine: a second one doubles activations and gains nothing for one camera",
    )
