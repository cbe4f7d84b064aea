"""OpenVINO: the fast backend on CPUs. It reads the bundle's ONNX files as they are, Q/DQ included.

The compiled form of a large graph is kept in the user's cache: at full size, reading it takes a third of the
time of compiling, and half of the memory. The library checks what it reads, and compiles a damaged one anew.
"""

from __future__ import annotations

import importlib.metadata
import logging
import mmap
import sys
import threading
from functools import lru_cache, partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Graph, Manifest, Precision, TensorSpec
from emorec_rt.engines.base import (
    Backend,
    Engine,
    Progress,
    Tensors,
    check_feeds,
    check_results,
    common_batch,
    cpu_lanes,
    first_variant,
    not_installed,
)
from emorec_rt.errors import BackendUnavailableError, BundleError, EngineError, engine_error
from emorec_rt.machine.cores import usable_cores
from emorec_rt.machine.cpu import has_int8_dot_products
from emorec_rt.machine.memory import require_address_space
from emorec_rt.machine.model_cache import compiled_folder

INSTALL: Final = "pip install 'emorec[openvino]'"
TELEMETRY: Final = "openvino_telemetry"
ADDRESS_SPACE_MB: Final = 2000
"""1,900 MB were too few now and then, on two cores with the default bundle."""

OV_DTYPES = {"u8": "uint8", "f32": "float32"}

BFLOAT16 = "BF16"
"""On a CPU with bfloat16, the parts that an INT8 graph leaves in FP32 use it: its rounding is far below
that of INT8 (smallest cosine of an audio token 0.9999 against 0.998, random weights at full size), and sound
takes a third less time. An FP32 graph stays FP32, though OpenVINO would round it by default; and so does what
makes the logits, whose rounding is a label here and there, and whose time is nothing."""

LOGITS: Final = "logits"

CACHED_BYTES: Final = 16 * 2**20
"""A smaller graph is compiled in less than 0.2 s."""

QUANTIZED: Final = b"QuantizeLinear"

OVERFLOW: Final = (
    "openvino: sums of 8-bit products overflow on this CPU, which has no VNNI, and labels may differ; "
    "--backend onnxruntime or --precision fp32 is exact"
)
"""At full size the embeddings' cosine with FP32 is 0.991 there, and it takes longer than FP32."""

_ONE_AT_A_TIME: Final = threading.Lock()
"""Held around arrays that go into the library and come out of it. Where two threads do that for the first
time at once, the binding hangs: it fills a table with the interpreter's lock released, the table's held."""

_IMPORTING: Final = threading.Lock()
_logger = logging.getLogger(__name__)


class OpenVinoEngine(Engine):
    """A graph in OpenVINO on the CPU.

    Args:
        path: The ONNX file.
        inputs: Inputs that the manifest promises.
        outputs: Outputs that the manifest promises.
        threads: Inference threads; ``None`` takes one for each core.
        cache: Folder for the compiled graph; ``None`` keeps nothing.

    Attributes:
        lanes: How many batches it runs at once.
        ahead: How many more may wait in its queue.

    Raises:
        BackendUnavailableError: OpenVINO is not installed.
        EngineError: OpenVINO can't load the file.
        BundleError: The graph's inputs or outputs differ from the manifest's.
    """

    def __init__(
        self,
        path: Path,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        *,
        threads: int | None = None,
        cache: Path | None = None,
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        threads = threads or usable_cores()
        self.lanes = cpu_lanes(threads)
        self.ahead = 1
        rounds = LOGITS not in {spec.name for spec in outputs}
        model = _compile(path, threads, self.lanes, rounds=rounds, cache=cache)
        _check(path, inputs, model.inputs)
        _check(path, outputs, model.outputs)
        self._idle: SimpleQueue[Any] = SimpleQueue()
        requests = [model.create_infer_request() for _ in range(self.lanes + self.ahead)]
        self._begin(requests[: self.lanes])
        for request in requests:
            self._idle.put(request)

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """Run one batch; see ``Engine.run``."""
        check_feeds(self.inputs, feeds)
        request = self._idle.get()
        try:
            request.wait()  # for what it has begun
            with _ONE_AT_A_TIME:
                request.start_async(dict(feeds), share_inputs=True)
            request.wait()
            with _ONE_AT_A_TIME:
                results = {spec.name: np.array(request.get_tensor(spec.name).data) for spec in self.outputs}
            check_results(self.outputs, results, common_batch(feeds))
            return results
        except RuntimeError as error:
            raise engine_error("OpenVINO failed", str(error), "") from error
        finally:
            self._idle.put(request)

    def _begin(self, requests: list[Any]) -> None:
        """Give each lane one item of zeros, and don't wait: other graphs are still to be loaded.

        The first item of a lane takes 0.2 s longer at full size, for memory and kernels.
        """
        zeros = {spec.name: np.zeros([max(n, 1) for n in spec.shape], spec.dtype) for spec in self.inputs}
        for request in requests:
            with _ONE_AT_A_TIME:
                request.start_async(zeros)


def _import_openvino() -> Any:
    """The module, without its telemetry, which would send an event when it is imported.

    Raises:
        BackendUnavailableError: It is not installed.
    """
    with _IMPORTING:
        telemetry = sys.modules.get(TELEMETRY)
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # as if it were not installed
        try:
            import openvino
        except ImportError as error:
            raise BackendUnavailableError("openvino", "openvino", INSTALL) from error
        finally:
            del sys.modules[TELEMETRY]
            if telemetry is not None:
                sys.modules[TELEMETRY] = telemetry
    return openvino


def _compile(path: Path, threads: int, lanes: int, *, rounds: bool, cache: Path | None) -> Any:
    openvino = _import_openvino()
    config = {"NUM_STREAMS": lanes, "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    if cache is not None:
        config["CACHE_DIR"] = str(cache)
    try:
        core = openvino.Core()
        if rounds and _quantized(path) and BFLOAT16 in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            config["INFERENCE_PRECISION_HINT"] = "bf16"
        return core.compile_model(str(path), "CPU", config)
    except RuntimeError as error:
        raise EngineError(f"{path}: OpenVINO can't load this graph: {error}") from error


def _quantized(path: Path) -> bool:
    """Say whether a graph has quantised products; a model that is cached need not be read for that."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(QUANTIZED) >= 0


def _compiled(path: Path, graph: Graph) -> Path | None:
    """Folder of a large graph's compiled form; ``None`` for a small one."""
    variant = next((one for one in graph.variants.values() if one.file == path.name), None)
    if variant is None or variant.size_bytes < CACHED_BYTES:
        return None
    return compiled_folder(f"openvino-{importlib.metadata.version('openvino')}-{variant.sha256[:16]}")


def _check(path: Path, expected: tuple[TensorSpec, ...], actual: list[Any]) -> None:
    found = {port.get_any_name(): (OV_DTYPES.get(_type(port), _type(port)), _shape(port)) for port in actual}
    for spec in expected:
        if found.get(spec.name) != (spec.dtype, spec.shape):
            raise BundleError(
                path,
                f"the manifest promises {spec.name} {spec.dtype}{list(spec.shape)}, the graph has {found}",
            )


def _type(port: Any) -> str:
    return str(port.get_element_type().get_type_name())


def _shape(port: Any) -> tuple[int, ...]:
    return tuple(-1 if size.is_dynamic else size.get_length() for size in port.get_partial_shape())


def open_openvino(
    path: Path,
    graph: Graph,
    *,
    threads: int | None = None,
    progress: Progress | None = None,  # noqa: ARG001 - nothing is built
) -> OpenVinoEngine:
    """Run a graph of a bundle on the CPU; see ``Open``."""
    require_address_space("OpenVINO", ADDRESS_SPACE_MB)
    if has_int8_dot_products() is False and _quantized(path):
        _tell_of_overflow()
    kept = _compiled(path, graph)
    return OpenVinoEngine(path, graph.inputs, graph.outputs, threads=threads, cache=kept)


def openvino_precision(manifest: Manifest) -> Precision:
    """The bundle's own choice; FP32 in the place of INT8 where the CPU has no 8-bit dot products."""
    overflows = manifest.precision == "int8" and has_int8_dot_products() is False
    return first_variant(manifest, ["fp32"] if overflows else [])


@lru_cache(maxsize=1)
def _tell_of_overflow() -> None:
    """Say it once, not for each graph."""
    _logger.warning(OVERFLOW)


BACKEND: Final = Backend(
    open=open_openvino,
    unavailable=partial(not_installed, "openvino", "openvino", INSTALL),
    install=INSTALL,
    package="openvino",
    on_cpu=True,
    precision=openvino_precision,
)
