"""ONNX to plan. Precision lives in the graph: the network is strongly typed, no precision flag is set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from emorec_rt.engines.tensorrt import timing_cache
from emorec_rt.engines.tensorrt.api import (
    Builder,
    IBuilderConfig,
    IHostMemory,
    INetworkDefinition,
    IOptimizationProfile,
    ITensor,
    OnnxParser,
    ParserError,
    TensorRT,
    import_tensorrt,
)
from emorec_rt.engines.tensorrt.cuda import Device, free_memory_bytes
from emorec_rt.engines.tensorrt.errors import BuildCancelledError
from emorec_rt.engines.tensorrt.log import Log, shared_log
from emorec_rt.engines.tensorrt.options import BatchRange, BuildOptions
from emorec_rt.engines.tensorrt.progress import Progress, ProgressRelay, make_monitor
from emorec_rt.errors import BundleError, EngineError
from emorec_rt.manifest import TensorSpec

WORKSPACE_SHARE: Final = 1 / 2
INTEGRATED_WORKSPACE_SHARE: Final = 1 / 8
"""A Jetson's memory is also the system's, and TensorRT's own default may take all of it."""
INTEGRATED_WORKSPACE_BYTES: Final = 2 << 30

_NULL = (TypeError, RuntimeError)
"""What the bindings raise when a factory gives a null pointer: the first; the second is a C++ exception."""
_REFUSED = (*_NULL, ValueError)


def build_plan(
    onnx_file: Path,
    inputs: tuple[TensorSpec, ...],
    batch: BatchRange,
    options: BuildOptions,
    *,
    device: Device,
    timings: Path | None = None,
    progress: Progress | None = None,
) -> bytes:
    """Build a plan for the GPU at hand. Takes minutes, and the GPU to itself if timings are to be right.

    Args:
        onnx_file: The graph; external weights lie next to it.
        inputs: The graph's inputs; the batch is the first dimension of each.
        batch: Batch sizes that the plan takes.
        options: The rest.
        device: The GPU, from ``current_device``.
        timings: File that keeps kernel timings between builds; ``None`` keeps none.
        progress: Told every step; returning False stops the build.

    Returns:
        The serialised plan.

    Raises:
        BackendUnavailableError: TensorRT is not installed.
        BundleError: TensorRT can't parse the graph, or its inputs are not the manifest's.
        BuildCancelledError: ``progress`` stopped it.
        OutOfMemoryError: The GPU's memory is full.
        EngineError: Anything else that TensorRT refuses, with its reason.
    """
    trt = import_tensorrt()
    log = shared_log()
    log.complaints.clear()
    try:
        builder: Builder = trt.Builder(log.logger)
    except _NULL as error:
        raise log.error("starting TensorRT's builder", "check the driver with nvidia-smi") from error
    network, parser = parse(trt, builder, onnx_file, log)
    _check_inputs(onnx_file, network, inputs)
    config = configure(trt, builder, options, device, log)
    _add_profile(builder, config, inputs, batch, log)
    if timings:
        timing_cache.attach(config, timings, log)
    plan = _serialize(trt, builder, network, config, onnx_file, log, progress)
    del parser  # it owns the network's weights, so it had to live until here
    if timings:
        timing_cache.keep(config, timings)
    return plan


def parse(
    trt: TensorRT, builder: Builder, onnx_file: Path, log: Log
) -> tuple[INetworkDefinition, OnnxParser]:
    """The graph as a strongly typed network, and the parser, which owns the network's weights.

    Raises:
        BundleError: TensorRT can't parse it; the message names node and operator.
        EngineError: No network or parser could be made.
    """
    # The bit's number differs between releases, so it comes from the enum.
    strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network: INetworkDefinition = _require(lambda: builder.create_network(strongly_typed), "a network", log)
    parser: OnnxParser = _require(lambda: trt.OnnxParser(network, log.logger), "the ONNX parser", log)
    try:
        parsed = parser.parse_from_file(str(onnx_file))
    except RuntimeError as error:
        raise BundleError(onnx_file, f"TensorRT's parser failed: {error}") from error
    if not parsed:
        log.complaints.clear()
        raise BundleError(onnx_file, f"TensorRT {trt.__version__} can't parse it: {_parser_errors(parser)}")
    return network, parser


def _parser_errors(parser: OnnxParser) -> str:
    count = parser.num_errors
    if not count:
        return "it gave no reason; check the file with onnx.checker"
    error: ParserError = parser.get_error(0)
    node = (
        f"node {error.node()} {error.node_name()} ({error.node_operator()})" if error.node() >= 0 else "model"
    )
    more = f" (and {count - 1} more)" if count > 1 else ""
    return f"{node}: {' '.join(error.desc().split())}{more}"


def _check_inputs(onnx_file: Path, network: INetworkDefinition, inputs: tuple[TensorSpec, ...]) -> None:
    found = set()
    for index in range(network.num_inputs):
        tensor: ITensor = network.get_input(index)
        found.add(tensor.name)
    if found != (expected := {spec.name for spec in inputs}):
        raise BundleError(
            onnx_file, f"the manifest says inputs {sorted(expected)}, the graph has {sorted(found)}"
        )


def configure(
    trt: TensorRT, builder: Builder, options: BuildOptions, device: Device, log: Log
) -> IBuilderConfig:
    """A builder configuration with every option read back: some setters only log that they refuse.

    Raises:
        EngineError: TensorRT refuses an option.
    """
    config: IBuilderConfig = _require(builder.create_builder_config, "a builder configuration", log)
    workspace = options.workspace_bytes or default_workspace_bytes(device)
    pool = trt.MemoryPoolType.WORKSPACE
    config.set_memory_pool_limit(pool, workspace)
    if not 0 < config.get_memory_pool_limit(pool) <= workspace:
        raise log.error(f"limiting the workspace to {workspace} bytes", "choose another limit")
    config.builder_optimization_level = options.optimization_level
    _expect("optimisation level", options.optimization_level, config.builder_optimization_level, log)
    for flag, wanted in (
        (trt.BuilderFlag.TF32, options.tf32),
        (trt.BuilderFlag.REFIT, options.refit),
        (trt.BuilderFlag.VERSION_COMPATIBLE, options.version_compatible),
    ):
        (config.set_flag if wanted else config.clear_flag)(flag)
        _expect(str(flag), wanted, bool(config.get_flag(flag)), log)
    if options.detailed:
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if options.ampere_plus:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
        wanted_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
        _expect("hardware compatibility", wanted_level, config.hardware_compatibility_level, log)
    return config


def default_workspace_bytes(device: Device) -> int:
    """Scratch memory that kernels may take: a share of what is free now, small where the system shares it."""
    free = free_memory_bytes()
    if device.integrated:
        return max(1, min(INTEGRATED_WORKSPACE_BYTES, int(free * INTEGRATED_WORKSPACE_SHARE)))
    return max(1, int(free * WORKSPACE_SHARE))


def _add_profile(
    builder: Builder, config: IBuilderConfig, inputs: tuple[TensorSpec, ...], batch: BatchRange, log: Log
) -> None:
    profile: IOptimizationProfile = _require(
        builder.create_optimization_profile, "an optimisation profile", log
    )
    try:
        for spec in inputs:
            profile.set_shape(spec.name, *batch.shapes(spec))
    except _REFUSED as error:
        raise EngineError(f"TensorRT refuses {batch} for input {spec.name}: {error}") from error
    if config.add_optimization_profile(profile) < 0:
        raise log.error("adding the optimisation profile", "check the batch sizes against the graph's shapes")


def _serialize(
    trt: TensorRT,
    builder: Builder,
    network: INetworkDefinition,
    config: IBuilderConfig,
    onnx_file: Path,
    log: Log,
    progress: Progress | None,
) -> bytes:
    relay = ProgressRelay(progress or _go_on)
    config.progress_monitor = make_monitor(trt, relay)
    plan: IHostMemory = builder.build_serialized_network(network, config)
    relay.finish()
    if relay.stopped:
        log.complaints.clear()
        raise BuildCancelledError(f"{onnx_file}: the build was stopped; nothing was written")
    if plan is None:
        raise log.error(f"{onnx_file}: building a plan with TensorRT {trt.__version__}", _BUILD_ADVICE)
    return bytes(plan)


_BUILD_ADVICE = "try a smaller largest batch, more free memory, or another precision"


def _go_on(phase: str, done: int, steps: int) -> bool:  # noqa: ARG001 - the callback's signature
    return True


def _require(make: Callable[[], Any], what: str, log: Log) -> Any:
    """A factory gives an object, or gives None, or raises."""
    try:
        made = make()
    except _REFUSED as error:
        raise log.error(f"creating {what} ({error})", "check the driver with nvidia-smi") from error
    if made is None:
        raise log.error(f"creating {what}", "check the driver with nvidia-smi")
    return made


def _expect(option: str, wanted: object, found: object, log: Log) -> None:
    if wanted != found:
        raise log.error(f"setting {option} to {wanted} left it at {found}", "choose another value")
