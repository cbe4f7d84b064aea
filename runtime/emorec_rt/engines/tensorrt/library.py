"""The seam between TensorRT and TensorRT for RTX: what differs between the two; all else here is shared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Final

from emorec_rt.bundle.manifest import Precision
from emorec_rt.engines.tensorrt.api import (
    IBuilderConfig,
    ICudaEngine,
    IExecutionContext,
    TensorRT,
    import_tensorrt,
)
from emorec_rt.engines.tensorrt.cuda import Device, current_device, free_memory_bytes
from emorec_rt.engines.tensorrt.log import Log, shared_log
from emorec_rt.engines.tensorrt.options import BuildOptions
from emorec_rt.errors import EngineError, UsageError

WORKSPACE_SHARE: Final = 1 / 2
INTEGRATED_WORKSPACE_SHARE: Final = 1 / 8
"""A Jetson's memory is also the system's, and TensorRT's own default may take all of it."""
INTEGRATED_WORKSPACE_BYTES: Final = 2 << 30


FP8_FROM: Final = (8, 9)
"""First compute capability with FP8 (Ada); an Orin has 8.7."""


class Contexts:
    """Makes the execution contexts of one engine."""

    def __init__(self, engine: ICudaEngine) -> None:
        self._engine: ICudaEngine = engine

    def make(self) -> IExecutionContext:
        """A context with memory of its own; ``None`` where there is none left."""
        return self._engine.create_execution_context()

    def settled(self) -> None:
        """Take note that a batch of a new size has run."""


class Library(ABC):
    """A builder and runtime of NVIDIA's.

    Attributes:
        title: Its name, for messages.
        captures: Whether it captures CUDA graphs itself.
        keeps_timings: Whether its builds time kernels, which the next build can use.
        patience: How long a build takes, for messages.
    """

    title: ClassVar[str]
    captures: ClassVar[bool] = False
    keeps_timings: ClassVar[bool] = True
    patience: ClassVar[str] = "this takes minutes"

    @abstractmethod
    def module(self) -> TensorRT:
        """The Python module.

        Raises:
            BackendUnavailableError: It is missing, incomplete or too old.
        """

    @abstractmethod
    def log(self) -> Log:
        """The process's one log of this library, which keeps the first logger that it is given.

        Raises:
            BackendUnavailableError: The library is missing.
        """

    @abstractmethod
    def configure(
        self, trt: TensorRT, config: IBuilderConfig, options: BuildOptions, device: Device | None, log: Log
    ) -> None:
        """Set what only this library has; every option is read back, for some setters only log a refusal.

        Raises:
            EngineError: The library refuses an option.
        """

    @abstractmethod
    def device(self) -> Device | None:
        """The GPU that plans are built for; ``None`` where they are built for several.

        Raises:
            BackendUnavailableError: One is needed, and there is none.
        """

    @abstractmethod
    def options_for(self, options: BuildOptions, precision: Precision, device: Device | None) -> BuildOptions:
        """The options that a precision takes on a GPU.

        Raises:
            UsageError: They are not this library's.
            EngineError: The GPU has no hardware for the precision.
        """

    @abstractmethod
    def runs_here(self) -> bool:
        """Say whether this machine can also run what it builds."""

    @abstractmethod
    def folder(self, device: Device | None, options: BuildOptions, version: str) -> str:
        """Name of the folder of plans that are built alike."""

    def contexts(self, engine: ICudaEngine, plan: Path, *, eager: bool) -> Contexts:
        """Maker of the contexts of a loaded plan.

        Args:
            engine: The engine.
            plan: Its file.
            eager: Compile kernels for each batch size before its first run, not beside it.
        """
        return Contexts(engine)


class TensorRTLibrary(Library):
    """TensorRT itself, which builds for the GPU at hand."""

    title = "TensorRT"

    def module(self) -> TensorRT:
        """The module ``tensorrt``."""
        return import_tensorrt()

    def log(self) -> Log:
        """The log of ``tensorrt``."""
        return shared_log()

    def configure(
        self, trt: TensorRT, config: IBuilderConfig, options: BuildOptions, device: Device | None, log: Log
    ) -> None:
        """Set workspace, flags and hardware level."""
        workspace = options.workspace_bytes or default_workspace_bytes(device)
        pool = trt.MemoryPoolType.WORKSPACE
        config.set_memory_pool_limit(pool, workspace)
        if not 0 < config.get_memory_pool_limit(pool) <= workspace:
            raise log.error(f"limiting the workspace to {workspace} bytes", "choose another limit")
        for flag, wanted in (
            (trt.BuilderFlag.REFIT, options.refit),
            (trt.BuilderFlag.VERSION_COMPATIBLE, options.version_compatible),
        ):
            set_flag(config, flag, wanted, log)
        if options.ampere_plus:
            wanted_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
            config.hardware_compatibility_level = wanted_level
            expect("hardware compatibility", wanted_level, config.hardware_compatibility_level, log)

    def device(self) -> Device:
        """The current GPU."""
        return current_device()

    def options_for(self, options: BuildOptions, precision: Precision, device: Device | None) -> BuildOptions:
        """FP8 is in the hardware of Ada, Hopper and later; TensorRT would say so less plainly."""
        if options.targets:
            raise UsageError(
                "--sm is for TensorRT for RTX; TensorRT builds for the GPU at hand, leave it out"
            )
        if precision == "fp8" and device and device.compute_capability < FP8_FROM:
            raise EngineError(
                f"FP8 needs a GPU of compute capability {'.'.join(map(str, FP8_FROM))} or later, "
                f"{device.name} has {'.'.join(map(str, device.compute_capability))}; take int8-fp16 or fp16"
            )
        return options

    def runs_here(self) -> bool:
        """It builds on the GPU that runs the plan."""
        return True

    def folder(self, device: Device | None, options: BuildOptions, version: str) -> str:
        """GPU and version: a plan runs on no other."""
        return f"{device.slug if device else 'gpu'}-trt{version}"


TENSORRT: Final = TensorRTLibrary()


def default_workspace_bytes(device: Device | None) -> int:
    """Scratch memory that kernels may take: a share of what is free now, small where the system shares it."""
    free = free_memory_bytes()
    if device and device.integrated:
        return max(1, min(INTEGRATED_WORKSPACE_BYTES, int(free * INTEGRATED_WORKSPACE_SHARE)))
    return max(1, int(free * WORKSPACE_SHARE))


def set_flag(config: IBuilderConfig, flag: object, wanted: bool, log: Log) -> None:
    """Set or clear a builder flag, and read it back.

    Raises:
        EngineError: The library refuses it.
    """
    (config.set_flag if wanted else config.clear_flag)(flag)
    expect(str(flag), wanted, bool(config.get_flag(flag)), log)


def expect(option: str, wanted: object, found: object, log: Log) -> None:
    """Compare an option with what was set.

    Raises:
        EngineError: It is something else.
    """
    if wanted != found:
        raise log.error(f"setting {option} to {wanted} left it at {found}", "choose another value")
