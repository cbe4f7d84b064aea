"""ONNX Runtime on the CPU, and what its GPU providers share with that. Session options are set here alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Graph, TensorSpec
from emorec_rt.engines.base import (
    Backend,
    Engine,
    Progress,
    Tensors,
    check_feeds,
    check_results,
    common_batch,
    cpu_lanes,
    not_installed,
)
from emorec_rt.errors import BackendUnavailableError, BundleError, engine_error
from emorec_rt.machine.cores import usable_cores
from emorec_rt.machine.memory import require_address_space

INSTALL: Final = "pip install 'emorec[cpu]'"
ADDRESS_SPACE_MB: Final = 1000
"""950 MB were too few, on two cores with the default bundle."""

_FATAL_ONLY: Final = 4
"""Severity of what ONNX Runtime may write to stderr itself; its errors arrive as exceptions anyway."""

Provider = tuple[str, dict[str, str]]
"""An execution provider's name, and its options."""
CPU: Final[Provider] = ("CPUExecutionProvider", {})

_DTYPES: Final = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


class OrtEngine(Engine):
    """One graph in an ONNX Runtime session.

    Args:
        path: The ONNX file.
        inputs: What the manifest says goes in.
        outputs: What the manifest says comes out.
        threads: For all runs together; ``None`` takes one for each core that this process may use.

    Attributes:
        lanes: How many batches it runs at once.

    Raises:
        BackendUnavailableError: onnxruntime is not installed.
        EngineError: The file can't be loaded.
        BundleError: The graph's inputs or outputs are not the manifest's.
    """

    def __init__(
        self,
        path: str | Path,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        *,
        threads: int | None = None,
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._path = Path(path)
        self._errors = error_classes()
        self._output_names = [spec.name for spec in outputs]
        threads = threads or usable_cores()
        self.lanes = cpu_lanes(threads)
        self._session = open_session(self._path, inputs, outputs, threads=threads // self.lanes)

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """Run one batch; see ``Engine.run``."""
        check_feeds(self.inputs, feeds)
        try:
            results = self._session.run(self._output_names, dict(feeds))
        except self._errors as error:
            raise engine_error(f"{self._path}: onnxruntime failed", str(error), "") from error
        named = dict(zip(self._output_names, map(np.asarray, results), strict=True))
        check_results(self.outputs, named, common_batch(feeds))
        return named


def open_session(
    path: Path,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    *,
    threads: int | None = None,
    providers: Sequence[Provider] = (CPU,),
) -> Any:
    """An ``onnxruntime.InferenceSession`` whose tensors are the manifest's.

    Args:
        path: The ONNX file.
        inputs: What the manifest says goes in.
        outputs: What the manifest says comes out.
        threads: For one run; ``None`` takes one for each core that this process may use.
        providers: What runs the nodes, first choice first.

    Raises:
        BackendUnavailableError: onnxruntime is not installed.
        EngineError: The file can't be loaded.
        BundleError: The graph's inputs or outputs are not the manifest's.
    """
    try:
        session = _opened(path, threads, providers)
    except error_classes() as error:
        raise engine_error(f"{path}: onnxruntime can't load it", str(error), "") from error
    _check_signature(path, "input", inputs, session.get_inputs())
    _check_signature(path, "output", outputs, session.get_outputs())
    return session


def _opened(path: Path, threads: int | None, providers: Sequence[Provider]) -> Any:
    ort = import_onnxruntime()

    def opened(without: list[str]) -> Any:
        # Without enable_fallback=0 a failure is printed, and the session quietly made without a GPU.
        return ort.InferenceSession(
            os.fspath(path),
            session_options(threads),
            providers=list(providers),
            enable_fallback=0,
            disabled_optimizers=without,
        )

    try:
        return opened([])
    except error_classes() as error:
        # 1.23, the last for Python 3.10, moves quantisation across transposes, which it can't do in FP8.
        if "tensor(float8e4m3fn)" not in str(error):
            raise
    return opened(["QDQPropagationTransformer"])


def session_options(threads: int | None = None) -> Any:
    """The options of every session, an ``onnxruntime.SessionOptions``.

    Args:
        threads: As for ``open_session``.
    """
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # An explicit number keeps ONNX Runtime from pinning its threads, which fails in many containers.
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    # Idle threads sleep: decoding and the other engines need the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without 8-bit dot products (AVX2 alone), sums of products overflow 16 bits: at full size the embeddings'
    # cosine with FP32 is 0.991, and 0.9999 with this, which takes 7 % longer there and nothing elsewhere.
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = _FATAL_ONLY
    return options


def import_onnxruntime() -> Any:
    """The module, without its own messages and telemetry.

    Raises:
        BackendUnavailableError: It is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendUnavailableError("onnxruntime", "onnxruntime", INSTALL) from error
    onnxruntime.set_default_logger_severity(_FATAL_ONLY)
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def error_classes() -> tuple[type[Exception], ...]:
    """ONNX Runtime's exceptions share no base of their own, so they are listed."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found = (value for value in vars(state).values() if isinstance(value, type))
    return (
        *(value for value in found if issubclass(value, Exception)),
        RuntimeError,
        ValueError,
    )


def _check_signature(path: Path, kind: str, specs: tuple[TensorSpec, ...], actual: list[Any]) -> None:
    expected = [_show(spec.name, spec.dtype, spec.shape) for spec in specs]
    found = [_show(arg.name, _DTYPES.get(arg.type, arg.type), _shape(arg.shape)) for arg in actual]
    if found != expected:
        raise BundleError(
            path,
            f"the manifest says {kind}s {', '.join(expected)}; the graph has {', '.join(found)}; "
            "export the bundle again",
        )


def _shape(dimensions: list[int | str | None]) -> tuple[int, ...]:
    """A symbolic dimension is the batch, -1."""
    return tuple(dim if isinstance(dim, int) else -1 for dim in dimensions)


def _show(name: str, dtype: str, shape: tuple[int, ...]) -> str:
    return f"{name} {dtype}{list(shape)}"


def open_onnxruntime(
    path: Path,
    graph: Graph,
    *,
    threads: int | None = None,
    progress: Progress | None = None,  # noqa: ARG001 - nothing is built
) -> OrtEngine:
    """Run a graph of a bundle on the CPU; see ``Open``."""
    require_address_space("onnxruntime", ADDRESS_SPACE_MB)
    return OrtEngine(path, graph.inputs, graph.outputs, threads=threads)


BACKEND: Final = Backend(
    open=open_onnxruntime,
    unavailable=partial(not_installed, "onnxruntime", "onnxruntime", INSTALL),
    install=INSTALL,
    package="onnxruntime",
    on_cpu=True,
)
