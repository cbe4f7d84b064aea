"""Options of a build: batch sizes, memory, effort, and abilities that the plan needs later."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from emorec_rt.bundle.manifest import Graph, TensorSpec
from emorec_rt.errors import UsageError


class BatchRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Batch sizes of the optimisation profile.

    Attributes:
        smallest: Smallest that the plan takes.
        best: The one that kernels are chosen for.
        largest: Largest that the plan takes; it sets the memory that every context reserves.
    """

    smallest: int = 1
    best: int = 16
    largest: int = 32

    def __post_init__(self) -> None:
        if not 1 <= self.smallest <= self.best <= self.largest:
            sizes = f"{self.smallest}, {self.best}, {self.largest}"
            raise UsageError(f"batch sizes must be 1 <= smallest <= best <= largest, got {sizes}")

    def shapes(self, spec: TensorSpec) -> tuple[tuple[int, ...], ...]:
        """Smallest, best and largest shape of a tensor whose first dimension is the batch."""
        return tuple((batch, *spec.shape[1:]) for batch in (self.smallest, self.best, self.largest))


FRAMES = BatchRange(1, 16, 32)
SOUND = BatchRange(1, 1, 1)
"""The runtime asks for one chunk of sound at a time. A context of wav2vec 2.0 base reserves 84 MiB for one,
161 for two, 617 for eight (TensorRT for RTX, FP16)."""
WINDOWS = BatchRange(1, 4, 8)
"""The runtime asks for four windows at a time."""
BEST_FRAMES: Final = 16


def up_to(largest: int) -> BatchRange:
    """Batches up to ``largest``, with kernels for the usual one."""
    return BatchRange(1, min(BEST_FRAMES, largest), largest)


class BuildOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one build; they are part of the plan's identity.

    Attributes:
        batch: Batch sizes of frames; ``None`` takes ``FRAMES``.
        windows: Batch sizes of windows; ``None`` takes ``WINDOWS``. Those of sound are always ``SOUND``.
        workspace_bytes: Most scratch memory a kernel may take; ``None`` takes a share of what is free.
        optimization_level: 0 builds fast, 5 searches longest; 3 is TensorRT's own default.
        tf32: Let FP32 products round to TF32 on GPUs that have it (Ampere and later).
        refit: Weights can be exchanged later without a rebuild.
        version_compatible: The plan also loads in other TensorRT releases of the same major version. It then
            carries code for the host, which the engine must be told to allow.
        ampere_plus: The plan also runs on other GPUs from Ampere on (not on Jetson), slower.
        targets: Compute capabilities that TensorRT for RTX builds for, such as 86; empty takes its own
            choice, and TensorRT builds for the GPU at hand.
    """

    batch: BatchRange | None = None
    windows: BatchRange | None = None
    workspace_bytes: Annotated[int, Meta(gt=0)] | None = None
    optimization_level: Annotated[int, Meta(ge=0, le=5)] = 3
    tf32: bool = True
    refit: bool = False
    version_compatible: bool = False
    ampere_plus: bool = False
    targets: tuple[Annotated[int, Meta(ge=50, le=999)], ...] = ()

    def batch_for(self, graph: Graph) -> BatchRange:
        """The batch sizes; what goes in decides."""
        if graph.inputs[0].dtype == "uint8":
            return self.batch or FRAMES
        return SOUND if graph.inputs[0].name == "samples" else self.windows or WINDOWS


DEFAULTS: Final = BuildOptions()
