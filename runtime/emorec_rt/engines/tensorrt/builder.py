"""ONNX to plan. Precision lives in the graph: the network is strongly typed, no precision flag is set."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emorec_rt.bundle.manifest import TensorSpec
from emorec_rt.engines.base import Progress
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
)
from emorec_rt.engines.tensorrt.cuda import Device
from emorec_rt.engines.tensorrt.errors import BuildCancelledError
from emorec_rt.engines.tensorrt.library import TENSORRT, Library, expect, set_flag
from emorec_rt.engines.tensorrt.log import Log
from emorec_rt.engines.tensorrt.options import BatchRange, BuildOptions
from emorec_rt.engines.tensorrt.progress import ProgressRelay, make_monitor
from emorec_rt.errors import BundleError, EngineError

_NULL = (TypeError, RuntimeError)
"""Errors of the bindings when a factory gives a null pointer: the first; the second is a C++ exception."""
_REFUSED = (*_NULL, ValueError)


@dataclass(frozen=True, slots=True)
class Built:
    """Result of a build.

    Attributes:
        plan: The serialised plan.
        layers: The builder's own layer table; empty where it wrote none.
        activation_bytes: Memory that a context takes; 0 where it didn't say.
    """

    plan: bytes
    layers: str = ""
    activation_bytes: int = 0


def build_plan(
    onnx_file: Path,
    inputs: tuple[TensorSpec, ...],
    batch: BatchRange,
    options: BuildOptions,
    *,
    library: Library = TENSORRT,
    device: Device | None = None,
    timings: Path | None = None,
    progress: Progress | None = None,
) -> Built:
    """Build a plan. TensorRT takes minutes, and the GPU to itself if timings are to be right.

    Args:
        onnx_file: The graph; external weights lie next to it.
        inputs: The graph's inputs; the batch is the first dimension of each.
        batch: Batch sizes that the plan takes.
        options: The rest.
        library: What builds.
        device: The GPU, from ``current_device``; ``None`` where the library needs none.
        timings: File that keeps kernel timings between builds; ``None`` keeps none.
        progress: Told every step; returning False stops the build.

    Returns:
        The serialised plan, and what the builder says about its layers.

    Raises:
        BackendUnavailableError: TensorRT is not installed.
        BundleError: TensorRT can't parse the graph, or its inputs are not the manifest's.
        BuildCancelledError: ``progress`` stopped it.
        OutOfMemoryError: The GPU's memory is full.
        EngineError: Anything else that TensorRT refuses, with its reason.
    """
    trt, log = library.module(), library.log()
    log.clear()
    try:
        builder: Builder = trt.Builder(log.logger)
    except _NULL as error:
        raise log.error(f"starting {library.title}'s builder", "check the driver with nvidia-smi") from error
    network, parser = parse(trt, builder, onnx_file, log, library.title)
    _check_inputs(onnx_file, network, inputs)
    config = configure(library, trt, builder, options, device, log)
    _add_profile(builder, config, inputs, batch, log)
    if timings:
        timing_cache.attach(config, timings, log)
    plan = _serialize(library, trt, builder, network, config, onnx_file, log, progress)
    del parser  # it owns the network's weights, so it had to live until here
    if timings:
        timing_cache.keep(config, timings)
    return Built(plan, log.notes.get("Layers:", ""), activation_bytes(log))


def activation_bytes(log: Log) -> int:
    """Memory that a context of the last build takes; 0 where the builder didn't say."""
    found = re.match(r"\s*(\d+) bytes", log.notes.get("Total Activation Memory:", ""))
    return int(found[1]) if found else 0


def parse(
    trt: TensorRT, builder: Builder, onnx_file: Path, log: Log, title: str = TENSORRT.title
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
        raise BundleError(onnx_file, f"{title}'s parser failed: {error}") from error
    if not parsed:
        log.complaints.clear()
        raise BundleError(onnx_file, f"{title} {trt.__version__} can't parse it: {_parser_errors(parser)}")
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
    library: Library,
    trt: TensorRT,
    builder: Builder,
    options: BuildOptions,
    device: Device | None,
    log: Log,
) -> IBuilderConfig:
    """A builder configuration with every option read back.

    Raises:
        EngineError: The library refuses an option.
    """
    config: IBuilderConfig = _require(builder.create_builder_config, "a builder configuration", log)
    config.builder_optimization_level = options.optimization_level
    expect("optimisation level", options.optimization_level, config.builder_optimization_level, log)
    set_flag(config, trt.BuilderFlag.TF32, options.tf32, log)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # without it there is no layer table
    library.configure(trt, config, options, device, log)
    return config


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
    library: Library,
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
        raise log.error(f"{onnx_file}: building a plan with {library.title} {trt.__version__}", _BUILD_ADVICE)
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
