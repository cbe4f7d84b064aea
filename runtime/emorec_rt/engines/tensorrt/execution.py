"""One execution context: shapes, addresses, the work on the stream, and its capture as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from emorec_rt.bundle.manifest import TensorSpec
from emorec_rt.engines.tensorrt.api import IExecutionContext
from emorec_rt.engines.tensorrt.cuda import Graph, Stream
from emorec_rt.engines.tensorrt.log import Log
from emorec_rt.engines.tensorrt.memory import TensorBuffer
from emorec_rt.errors import EngineError

_SMALLER = "take a smaller batch, or rebuild the plan"
Buffers = Mapping[str, TensorBuffer]
NONE_PRESENT: Final[frozenset[str]] = frozenset()


class Execution:
    """A context that runs the engine on fixed buffers.

    Args:
        context: TensorRT's own, of an engine with one optimisation profile; ``None`` if there was no memory.
        inputs: Its inputs.
        outputs: Its outputs.
        buffers: Where each tensor lives.
        stream: Where the work goes.
        log: TensorRT's complaints.

    Raises:
        OutOfMemoryError: No room for the context's activations.
        EngineError: TensorRT refused the context or an address.
    """

    def __init__(
        self,
        context: IExecutionContext,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        buffers: Buffers,
        stream: Stream,
        log: Log,
    ) -> None:
        self._inputs, self._outputs = inputs, outputs
        self._buffers, self._stream, self._log = buffers, stream, log
        if context is None:
            raise log.error("creating an execution context", _SMALLER)
        self._context: IExecutionContext = context
        self._batch: int | None = None
        if not context.set_optimization_profile_async(0, stream.handle):
            raise log.error("choosing the optimisation profile", "rebuild the plan")
        stream.synchronize()
        for spec in (*inputs, *outputs):
            if not context.set_tensor_address(spec.name, buffers[spec.name].address):
                raise log.error(f"setting the address of {spec.name}", "rebuild the plan")

    def enqueue(self, batch: int, present: frozenset[str] = NONE_PRESENT) -> None:
        """Put one batch on the stream: copies in, the engine, copies out.

        Args:
            batch: Items.
            present: Inputs that are on the GPU already.

        Raises:
            OutOfMemoryError: The GPU's memory is full.
            EngineError: TensorRT refused the shapes or the run.
        """
        self._reshape(batch)
        for spec in self._inputs:
            if spec.name not in present:
                self._buffers[spec.name].upload(batch, self._stream)
        if not self._context.execute_async_v3(self._stream.handle):
            raise self._log.error(f"running a batch of {batch}", _SMALLER)
        for spec in self._outputs:
            self._buffers[spec.name].download(batch, self._stream)

    def run(self, batch: int, present: frozenset[str] = NONE_PRESENT) -> None:
        """``enqueue``, and wait for the end of it."""
        self.enqueue(batch, present)
        self._stream.synchronize()

    def _reshape(self, batch: int) -> None:
        if batch == self._batch:
            return
        self._batch = None
        for spec in self._inputs:
            if not self._context.set_input_shape(spec.name, (batch, *spec.shape[1:])):
                raise self._log.error(f"setting {spec.name} to a batch of {batch}", "rebuild the plan")
        if missing := self._context.infer_shapes():
            raise EngineError(f"the plan wants shapes for {', '.join(missing)}; rebuild it")
        for spec in self._outputs:
            self._check_shape(spec, batch)
        self._batch = batch

    def _check_shape(self, spec: TensorSpec, batch: int) -> None:
        """The buffers have room for the manifest's shapes and no more."""
        expected, found = (batch, *spec.shape[1:]), tuple(self._context.get_tensor_shape(spec.name))
        if found != expected:
            raise EngineError(f"output {spec.name}: expected {list(expected)}, the plan gives {list(found)}")


class Captured:
    """One batch size as a CUDA graph, with a context of its own: a graph freezes shapes and addresses.

    Args:
        make: Makes the context.
        batch: Its batch size.
        stream: Where the work goes.
        present: Inputs that are on the GPU before each run.

    Raises:
        EngineError: The engine can't be captured, or memory is short.
    """

    def __init__(
        self,
        make: Callable[[], Execution],
        batch: int,
        stream: Stream,
        present: frozenset[str] = NONE_PRESENT,
    ) -> None:
        self._stream = stream
        self._execution = make()
        self._execution.run(batch, present)
        self._graph = Graph(stream, lambda: self._execution.enqueue(batch, present))

    def run(self) -> None:
        """Launch the graph, and wait for the end of it."""
        self._graph.launch()
        self._stream.synchronize()

    def close(self) -> None:
        """Give the graph back; its context goes with this object."""
        self._graph.close()
