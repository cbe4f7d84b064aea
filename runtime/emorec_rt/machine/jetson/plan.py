"""A memory plan for a module: precision, batch, workspace, one context, each with its reason.

A Jetson has one memory for Linux, CPU and GPU. A builder left to its default may take all of it, and the
kernel then ends whatever it likes. The plan adds up what must fit at two moments, building and running, and
takes the first choice that fits. The figures are arithmetic and estimates (each says which), not
measurements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from emorec_rt.bundle.manifest import Manifest, Precision
from emorec_rt.constants import chunks_beside
from emorec_rt.machine.jetson.module import desktop_runs, read_memory

Kind = Literal["fp16", "int8"]
VARIANTS: Final[dict[Kind, Precision]] = {"fp16": "fp16", "int8": "int8-fp16"}
"""The bundle's variant for TensorRT of each: its INT8 has FP16 scales."""

_MIB: Final = 2**20


@dataclass(frozen=True)
class ModelSize:
    """Memory of a model's weights.

    Attributes:
        weights_mib: Of all graphs, in each kind.
        largest_mib: Of the largest graph in FP32, as the builder's parser reads it.
    """

    weights_mib: Mapping[Kind, int]
    largest_mib: int

    @classmethod
    def of(cls, sizes: Iterable[float]) -> ModelSize:
        """From the bytes of each graph in FP32.

        INT8 takes one byte a weight, and leaves a fifth of the weights in FP16.
        """
        graphs = list(sizes)
        whole = sum(graphs)
        return cls({"fp16": int(whole / 2 / _MIB), "int8": int(whole * 0.3 / _MIB)}, int(max(graphs) / _MIB))

    @classmethod
    def of_bundle(cls, manifest: Manifest) -> ModelSize:
        """From the sizes that a bundle names; a bundle without FP32 is taken for the reference model."""
        variants = [graph.variants for graph in manifest.graphs.values()]
        if not all("fp32" in found for found in variants):
            return REFERENCE
        return cls.of(found["fp32"].size_bytes for found in variants)


REFERENCE: Final = ModelSize.of(million * 4_000_000 for million in (88, 95, 6))
"""CLIP ViT-B/32's visual encoder, wav2vec 2.0 base, and the trained part."""
CHUNK_ACTIVATIONS_MIB = 150
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
    """Plan of a build and of its run.

    Attributes:
        fits: Whether even the smallest choice fits; the plan is that choice where it doesn't.
        kind: How the weights are kept, see ``VARIANTS``.
        batch: Frames in a batch, and the most that a plan's profile takes; of chunks a quarter.
        workspace_mib: Cap on TensorRT's workspace pool.
        contexts: Execution contexts for each engine.
        build_mib: Memory in use at the height of a build, estimated.
        run_mib: Memory in use while it runs, estimated.
        reasons: A line for each choice.
    """

    fits: bool
    kind: Kind
    batch: int
    workspace_mib: int
    contexts: int
    build_mib: int
    run_mib: int
    reasons: tuple[str, ...]


def plan_memory(total_mib: int, *, desktop: bool = False, model: ModelSize = REFERENCE) -> MemoryPlan:
    """Choose for a module with ``total_mib`` of memory as Linux counts it (somewhat less than is sold).

    Args:
        total_mib: ``MemTotal`` of ``/proc/meminfo`` in MiB.
        desktop: A graphical desktop runs beside it.
        model: What is to be run.
    """
    budget = int(total_mib * (1 - SPARE_SHARE))
    system = SYSTEM_MIB["desktop" if desktop else "headless"]
    workspace = _workspace(total_mib, budget - _build_mib(system, 0, model))
    choices: list[tuple[Kind, int]] = [(kind, batch) for kind in VARIANTS for batch in BATCHES]
    # A batch below 4 starves the GPU, so INT8 is tried before the smallest batches.
    choices.sort(key=lambda choice: (choice[1] < 4, choice[0] == "int8"))
    fitting = (choice for choice in choices if _run_mib(system, *choice, workspace, model) <= budget)
    best = next(fitting, None)
    kind, batch = best or choices[-1]
    build = _build_mib(system, workspace, model)
    running = _run_mib(system, kind, batch, workspace, model)
    fits = best is not None and build <= budget
    reasons = (
        f"{total_mib} MiB in all: {system} for the system ({'desktop' if desktop else 'no desktop'}), "
        f"{SPARE_SHARE:.0%} kept free",
        *_reasons(kind, batch, workspace, model),
    )
    if not fits:
        needed = max(build, running)
        reasons += (f"does not fit: {needed} MiB needed of {budget}; {_advice(desktop)}",)
    return MemoryPlan(fits, kind, batch, workspace, 1, build, running, reasons)


def _advice(desktop: bool) -> str:
    if desktop:
        return "end the desktop (sudo systemctl isolate multi-user.target)"
    return "use a smaller backbone or swap"


def _workspace(total_mib: int, left_mib: int) -> int:
    cap = min(total_mib * WORKSPACE_SHARE, left_mib)
    return next((size for size in WORKSPACES_MIB if size <= cap), WORKSPACES_MIB[-1])


def _build_mib(system_mib: int, workspace_mib: int, model: ModelSize) -> int:
    # Parser and builder each hold the weights of the one graph that is being built.
    return system_mib + CUDA_CONTEXT_MIB + PROCESS_MIB // 2 + 2 * model.largest_mib + workspace_mib


def _run_mib(system_mib: int, kind: Kind, batch: int, workspace_mib: int, model: ModelSize) -> int:
    engines = model.weights_mib[kind] + _activations_mib(batch)
    return system_mib + CUDA_CONTEXT_MIB + PROCESS_MIB + engines + workspace_mib


def _activations_mib(batch: int) -> int:
    return FRAME_ACTIVATIONS_MIB * batch + CHUNK_ACTIVATIONS_MIB * chunks_beside(batch)


def _reasons(kind: Kind, batch: int, workspace_mib: int, model: ModelSize) -> tuple[str, ...]:
    saved = model.weights_mib["fp16"] - model.weights_mib["int8"]
    kinds: dict[Kind, str] = {
        "fp16": "fp16: it fits, and int8 is often no faster for a ViT; measure both",
        "int8": f"int8: saves {saved} MiB of weights, too many for fp16",
    }
    return (
        kinds[kind],
        f"batch {batch}: {_activations_mib(batch)} MiB of activations, {chunks_beside(batch)} chunks of "
        "sound among them",
        f"workspace {workspace_mib} MiB: at most an eighth of memory; without a cap the builder may take all",
        "one context for each engine: a second one doubles activations and gains nothing for one camera",
    )


def variant_for(manifest: Manifest, root: Path = Path("/")) -> Precision:
    """The variant of a bundle that this module should run.

    The memory plan's, if every graph has it; the bundle's own otherwise.
    """
    plan = plan_memory(
        read_memory(root).total_mib, desktop=desktop_runs(root), model=ModelSize.of_bundle(manifest)
    )
    wanted = VARIANTS[plan.kind]
    there = all(wanted in graph.variants for graph in manifest.graphs.values())
    return wanted if there else manifest.precision
