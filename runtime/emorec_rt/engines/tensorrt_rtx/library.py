"""TensorRT for RTX, where it differs from TensorRT: imports, targets, runtime cache.

It builds ahead of time, without a GPU, for several generations of GPUs at once; the rest of the compilation
happens on the GPU that runs the engine, and is kept in a runtime cache.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeAlias

from emorec_rt.bundle.manifest import Precision
from emorec_rt.engines.tensorrt.api import (
    IBuilderConfig,
    ICudaEngine,
    IExecutionContext,
    TensorRT,
)
from emorec_rt.engines.tensorrt.cuda import Device, current_device
from emorec_rt.engines.tensorrt.library import Contexts, Library
from emorec_rt.engines.tensorrt.log import Log, make_log
from emorec_rt.engines.tensorrt.options import BuildOptions
from emorec_rt.engines.tensorrt.plans import release
from emorec_rt.engines.tensorrt_rtx.runtime_cache import CacheFile
from emorec_rt.engines.tensorrt_rtx.targets import check_options, options_for, runs_on
from emorec_rt.errors import BackendUnavailableError
from emorec_rt.machine.seal import user_cache

IRuntimeCache: TypeAlias = Any
IRuntimeConfig: TypeAlias = Any

NAME: Final = "tensorrt-rtx"
INSTALL: Final = "pip install 'emorec[tensorrt-rtx]'"
OLDEST: Final = (1, 4)
"""First release with INT8 activations."""


@lru_cache(maxsize=1)
def import_rtx() -> TensorRT:
    """The module ``tensorrt_rtx``.

    Raises:
        BackendUnavailableError: It is missing, incomplete or too old.
    """
    try:
        rtx: TensorRT = importlib.import_module("tensorrt_rtx")
    except ModuleNotFoundError as error:
        raise BackendUnavailableError(NAME, str(error.name), INSTALL) from error
    except (ImportError, OSError) as error:
        raise BackendUnavailableError(NAME, f"a whole TensorRT for RTX ({error})", INSTALL) from error
    if release(rtx.__version__)[:2] < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        found = f"TensorRT for RTX {wanted} or later (found {rtx.__version__})"
        raise BackendUnavailableError(NAME, found, INSTALL)
    return rtx


@lru_cache(maxsize=1)
def _log() -> Log:
    return make_log(import_rtx())


class RtxLibrary(Library):
    """TensorRT for RTX."""

    title = "TensorRT for RTX"
    captures = True
    keeps_timings = False
    patience = "this takes seconds"

    def module(self) -> TensorRT:
        """The module ``tensorrt_rtx``."""
        return import_rtx()

    def log(self) -> Log:
        """The log of ``tensorrt_rtx``."""
        return _log()

    def configure(
        self, trt: TensorRT, config: IBuilderConfig, options: BuildOptions, device: Device | None, log: Log
    ) -> None:
        """Set the targets. Workspace, timings and hardware level have no effect in this library."""
        check_options(options)
        if not options.targets:
            return  # its own choice: Ampere and later
        config.num_compute_capabilities = len(options.targets)
        for index, target in enumerate(options.targets):
            if not config.set_compute_capability(trt.ComputeCapability(target), index):
                raise log.error(f"choosing compute capability {target}", "choose other targets by --sm")

    def device(self) -> None:
        """Plans are built for several GPUs, of which none has to be here."""

    def options_for(self, options: BuildOptions, precision: Precision, device: Device | None) -> BuildOptions:
        """FP8 has targets of its own."""
        return options_for(options, precision)

    def runs_here(self) -> bool:
        """Say whether there is a GPU that the library knows."""
        try:
            return runs_on(current_device().compute_capability)
        except BackendUnavailableError:
            return False

    def folder(self, device: Device | None, options: BuildOptions, version: str) -> str:
        """Version and targets."""
        return "-".join([f"rtx{version}", *(f"sm{target}" for target in options.targets)])

    def contexts(self, engine: ICudaEngine, plan: Path, *, eager: bool) -> Contexts:
        """Contexts that keep what they compile."""
        device = current_device()
        folder = f"{device.slug}-rtx{import_rtx().__version__}-driver{device.driver}"
        return RtxContexts(engine, CacheFile.of_plan(plan, user_cache() / "runtime" / folder), eager=eager)


class RtxContexts(Contexts):
    """Makes contexts with one runtime cache.

    Args:
        engine: The engine.
        file: Where the cache is kept.
        eager: Compile for a batch size before it first runs.
    """

    def __init__(self, engine: ICudaEngine, file: CacheFile, *, eager: bool) -> None:
        super().__init__(engine)
        rtx = import_rtx()
        self._file = file
        config: IRuntimeConfig = engine.create_runtime_config()
        config.cuda_graph_strategy = rtx.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        strategies = rtx.DynamicShapesKernelSpecializationStrategy
        config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER if eager else strategies.LAZY
        cache: IRuntimeCache = config.create_runtime_cache()
        if data := file.read():
            cache.deserialize(data)  # one that doesn't fit is left out, and written anew
        config.set_runtime_cache(cache)
        self._config: IRuntimeConfig = config
        self._cache: IRuntimeCache = cache

    def make(self) -> IExecutionContext:
        """A context that shares the cache."""
        return self._engine.create_execution_context(runtime_config=self._config)

    def settled(self) -> None:
        """Keep what has been compiled."""
        memory = self._cache.serialize()
        if memory is not None:
            self._file.write(bytes(memory))


RTX: Final = RtxLibrary()
