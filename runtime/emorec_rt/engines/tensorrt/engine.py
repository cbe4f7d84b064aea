"""A plan behind ``Engine``: pinned buffers, a stream of its own, CUDA graphs by batch size."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import TensorSpec
from emorec_rt.constants import CUDA_GRAPHS
from emorec_rt.engines.base import Engine, Tensors, check_feeds, common_batch
from emorec_rt.engines.tensorrt.api import EngineInspector, ICudaEngine, Runtime, TensorRT
from emorec_rt.engines.tensorrt.cuda import Device, Stream, current_device
from emorec_rt.engines.tensorrt.execution import Captured, Execution
from emorec_rt.engines.tensorrt.layers import Layer, from_inspector
from emorec_rt.engines.tensorrt.library import TENSORRT, Library
from emorec_rt.engines.tensorrt.log import Log
from emorec_rt.engines.tensorrt.memory import TensorBuffer
from emorec_rt.errors import BundleError, EngineError, OutOfMemoryError
from emorec_rt.machine.device_array import DeviceBatch

_REMEMBERED: Final = 16
"""Batch sizes remembered as seen. A graph is captured the second time, so a last odd batch costs none."""

_Batch = tuple[int, frozenset[str]]
"""Key of a captured graph: items, and the inputs that are on the GPU already."""

_logger = logging.getLogger(__name__)


class TensorRTEngine(Engine):
    """A plan, loaded.

    Safe to call from several threads; they take turns.

    Args:
        plan: The plan's file.
        inputs: What the manifest says goes in.
        outputs: What the manifest says comes out.
        library: What the plan was built with.
        cuda_graphs: Batch sizes kept as CUDA graphs, each with a context's memory; 0 runs without. Where the
            GPU shares the system's memory, there is one context, and a graph of its latest batch size.
        host_code: Allow the code for the host that a version-compatible plan carries. Trusted plans only.
        eager: Have kernels ready before a batch size first runs, for comparing and timing.

    Attributes:
        max_batch: Items that the plan takes at once; longer batches are run in pieces.
        best_batch: Items that it was tuned for.
        takes_device_arrays: Inputs may be ``DeviceBatch``: they are copied within the GPU.

    Raises:
        BackendUnavailableError: TensorRT, the CUDA bindings, the driver or the GPU are missing.
        BundleError: The plan can't be read, or its inputs or outputs are not the manifest's.
        OutOfMemoryError: The GPU has no room for it.
        EngineError: TensorRT can't load it.
    """

    takes_device_arrays = True

    def __init__(
        self,
        plan: Path,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        *,
        library: Library = TENSORRT,
        cuda_graphs: int = CUDA_GRAPHS,
        host_code: bool = False,
        eager: bool = False,
    ) -> None:
        trt = library.module()
        device = current_device()
        self.inputs, self.outputs = inputs, outputs
        self._library, self._log = library, library.log()
        self._runtime, self._engine = _deserialize(library, self._log, plan, host_code=host_code)
        _check_tensors(trt, plan, self._engine, inputs, outputs)
        self.best_batch, self.max_batch = _batches(self._engine, inputs)
        self._contexts = library.contexts(self._engine, plan, eager=eager)
        self._run_before: set[int] = set()
        self._stream = Stream()
        self._buffers = self._reserve(device)
        self._plain = self._execution()
        self._graphs: OrderedDict[_Batch, Captured] = OrderedDict()
        self._one_context = device.integrated
        most = 1 if self._one_context else cuda_graphs
        self._graph_limit = 0 if library.captures else min(cuda_graphs, most)
        self._seen: deque[_Batch] = deque(maxlen=1 if self._one_context else _REMEMBERED)
        self._lock = threading.Lock()

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """Run one batch of any length; see ``Engine.run``.

        Raises:
            OutOfMemoryError: The GPU's memory is full; half the batch may fit.
        """
        check_feeds(self.inputs, feeds)
        batch = common_batch(feeds)
        results = {spec.name: np.empty((batch, *spec.shape[1:]), spec.dtype) for spec in self.outputs}
        with self._lock:
            for start in range(0, batch, self.max_batch):
                self._run_piece(feeds, results, slice(start, min(batch, start + self.max_batch)))
        return results

    def _run_piece(self, feeds: Tensors, results: dict[str, NDArray[Any]], piece: slice) -> None:
        size = piece.stop - piece.start
        present = frozenset(self._place(spec.name, feeds[spec.name][piece]) for spec in self.inputs) - {""}
        if not self._replay((size, present)):
            if self._one_context:
                self._drop_graphs()  # another shape in their context
            self._plain.run(size, present)
        if size not in self._run_before:
            self._run_before.add(size)
            self._contexts.settled()
        for spec in self.outputs:
            np.copyto(results[spec.name][piece], self._buffers[spec.name].host(size))

    def layers(self) -> list[Layer]:
        """Result for each layer, as far as the plan keeps it."""
        trt: TensorRT = self._library.module()
        engine: ICudaEngine = self._engine
        inspector: EngineInspector = engine.create_engine_inspector()
        return from_inspector(inspector.get_engine_information(trt.LayerInformationFormat.JSON))

    def _place(self, name: str, feed: Any) -> str:
        """Bring an input to where a run expects it; give its name back if that is the GPU."""
        if isinstance(feed, DeviceBatch):
            self._buffers[name].take(feed.items, self._stream)
            return name
        np.copyto(self._buffers[name].host(len(feed)), feed)
        return ""

    def _replay(self, batch: _Batch) -> bool:
        """Run a batch from its graph; say whether that was done. A graph that fails is the last one."""
        graph = self._graph(batch)
        if graph is None:
            return False
        try:
            graph.run()
        except OutOfMemoryError:
            raise
        except EngineError as error:
            _logger.warning("running without CUDA graphs from now on: %s", error)
            self._graph_limit = 0
            self._drop_graphs()
            return False
        return True

    def _drop_graphs(self) -> None:
        while self._graphs:
            self._graphs.popitem()[1].close()

    def _graph(self, batch: _Batch) -> Captured | None:
        """The graph for a batch that has been seen before; the least recently used one makes room."""
        if not self._graph_limit:
            return None
        if batch in self._graphs:
            self._graphs.move_to_end(batch)
            return self._graphs[batch]
        if batch not in self._seen:
            self._seen.append(batch)
            return None
        while len(self._graphs) >= self._graph_limit:
            self._graphs.popitem(last=False)[1].close()
        return self._capture(batch)

    def _capture(self, batch: _Batch) -> Captured | None:
        try:
            make = self._only_context if self._one_context else self._execution
            graph = Captured(make, batch[0], self._stream, batch[1])
        except EngineError as error:
            _logger.warning("running without CUDA graphs: %s", error)
            self._graph_limit = 0
            return None
        self._graphs[batch] = graph
        return graph

    def _only_context(self) -> Execution:
        return self._plain

    def _execution(self) -> Execution:
        return Execution(
            self._contexts.make(), self.inputs, self.outputs, self._buffers, self._stream, self._log
        )

    def _reserve(self, device: Device) -> dict[str, TensorBuffer]:
        return {
            spec.name: TensorBuffer(spec, self.max_batch, mapped=device.integrated)
            for spec in (*self.inputs, *self.outputs)
        }


def _deserialize(library: Library, log: Log, plan: Path, *, host_code: bool) -> tuple[Runtime, ICudaEngine]:
    trt = library.module()
    try:
        data = plan.read_bytes()
    except OSError as error:
        raise BundleError(plan, f"can't be read ({error.strerror}); delete it to have it rebuilt") from error
    try:
        runtime: Runtime = trt.Runtime(log.logger)
    except TypeError as error:  # the factory gave a null pointer
        raise log.error(f"starting {library.title}'s runtime", "check the driver with nvidia-smi") from error
    if host_code:
        runtime.engine_host_code_allowed = True
    engine: ICudaEngine = runtime.deserialize_cuda_engine(data)
    if engine is None:
        advice = f"delete it to have it rebuilt for this GPU and {library.title}"
        raise log.error(f"{plan}: loading the plan", advice)
    return runtime, engine  # the engine needs its runtime alive


def _check_tensors(
    trt: TensorRT,
    plan: Path,
    engine: ICudaEngine,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
) -> None:
    names = {trt.DataType.UINT8: "uint8", trt.DataType.FLOAT: "float32"}
    expected = {_show("input", spec.name, spec.dtype, spec.shape) for spec in inputs}
    expected |= {_show("output", spec.name, spec.dtype, spec.shape) for spec in outputs}
    found = set()
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        dtype = engine.get_tensor_dtype(name)
        kind = "input" if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else "output"
        found.add(_show(kind, name, names.get(dtype, str(dtype)), tuple(engine.get_tensor_shape(name))))
    if found != expected:
        missing, extra = sorted(expected - found), sorted(found - expected)
        raise BundleError(plan, f"the manifest says {missing}, the plan has {extra}; delete the plan")


def _show(kind: str, name: str, dtype: str, shape: tuple[int, ...]) -> str:
    return f"{kind} {name} {dtype}{list(shape)}"


def _batches(engine: ICudaEngine, inputs: tuple[TensorSpec, ...]) -> tuple[int, int]:
    """Best and largest batch of the plan's first (and only) profile."""
    profiles = [engine.get_tensor_profile_shape(spec.name, 0) for spec in inputs]
    best, largest = (min(int(profile[k][0]) for profile in profiles) for k in (1, 2))
    return best, largest
