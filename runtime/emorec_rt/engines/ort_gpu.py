"""A graph in ONNX Runtime on a GPU: I/O binding to fixed buffers, CUDA graphs by batch size.

It has not run on a GPU yet: its tests run it with the CPU provider and host memory.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import TensorSpec
from emorec_rt.constants import GPU_BATCH
from emorec_rt.engines.base import Engine, Tensors, check_feeds, common_batch
from emorec_rt.engines.ort import error_classes, import_onnxruntime, open_session
from emorec_rt.engines.ort_providers import INSTALL, Accelerator
from emorec_rt.errors import BackendUnavailableError, EngineError, engine_error

KEPT_BINDINGS: Final = 4
"""Batch sizes that keep their buffers on the GPU; captured ones always do, a graph freezes addresses."""

_logger = logging.getLogger(__name__)


class OrtGpuEngine(Engine):
    """One graph in an ONNX Runtime session on a GPU. Safe to call from several threads; they take turns.

    Args:
        path: The ONNX file.
        inputs: What the manifest says goes in.
        outputs: What the manifest says comes out.
        accelerator: The provider; ``cuda`` and ``tensorrt`` of ``ort_providers`` make one.
        threads: Threads for nodes that stay on the CPU.

    Raises:
        BackendUnavailableError: The provider's libraries are missing.
        EngineError: The file can't be loaded.
        BundleError: The graph's inputs or outputs are not the manifest's.
    """

    best_batch = GPU_BATCH

    def __init__(
        self,
        path: Path,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        accelerator: Accelerator,
        *,
        threads: int | None = None,
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._path = path
        self._errors = error_classes()
        self._session, self._accelerator = self._open(accelerator, threads)
        self._bindings: OrderedDict[int, _Binding] = OrderedDict()
        self._graph_ids = itertools.count(1)
        self._lock = threading.Lock()

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """Run one batch; see ``Engine.run``.

        Raises:
            OutOfMemoryError: The GPU's memory is full; half the batch may fit.
        """
        check_feeds(self.inputs, feeds)
        batch = common_batch(feeds)
        if not batch:
            return {spec.name: np.empty((0, *spec.shape[1:]), spec.dtype) for spec in self.outputs}
        with self._lock:
            try:
                return self._binding(batch).run(feeds)
            except self._errors as error:
                self._bindings.pop(batch, None)  # its buffers are memory that a smaller batch can use
                what = f"{self._path}: onnxruntime failed on a batch of {batch}"
                raise engine_error(what, str(error), "") from error

    def _open(self, accelerator: Accelerator, threads: int | None) -> tuple[Any, Accelerator]:
        providers = (accelerator.provider, *accelerator.others)
        try:
            session = open_session(
                self._path, self.inputs, self.outputs, threads=threads, providers=providers
            )
        except EngineError as error:
            if not accelerator.cuda_graphs:
                raise
            _logger.warning("running without CUDA graphs: %s", error)
            return self._open(accelerator.without_graphs(), threads)
        # A provider that doesn't load is left out without a word.
        if session.get_providers()[0] != accelerator.provider[0]:
            raise BackendUnavailableError("onnxruntime", f"a working {accelerator.provider[0]}", INSTALL)
        return session, accelerator

    def _binding(self, batch: int) -> _Binding:
        """The buffers for a batch size; the least recently used ones that aren't captured make room."""
        if batch in self._bindings:
            self._bindings.move_to_end(batch)
            binding = self._bindings[batch]
            # A graph is captured the second time, so a last odd batch costs none.
            if not binding.graph and self._captured() < self._accelerator.cuda_graphs:
                binding.capture(next(self._graph_ids))
            return binding
        plain = [size for size, binding in self._bindings.items() if not binding.graph]
        if len(plain) >= KEPT_BINDINGS:
            del self._bindings[plain[0]]
        self._bindings[batch] = _Binding(
            self._session, self.inputs, self.outputs, batch, self._accelerator.device
        )
        return self._bindings[batch]

    def _captured(self) -> int:
        return sum(binding.graph for binding in self._bindings.values())


@dataclass
class _Binding:
    """Buffers on the device for one batch size, bound to the graph's tensors."""

    session: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch: int
    device: str
    graph: bool = False
    values: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self._io = self.session.io_binding()
        self.values = {spec.name: self._reserve(spec) for spec in (*self.inputs, *self.outputs)}
        for spec in self.inputs:
            self._io.bind_ortvalue_input(spec.name, self.values[spec.name])
        for spec in self.outputs:
            self._io.bind_ortvalue_output(spec.name, self.values[spec.name])
        self._options = self._run_options(-1)

    def capture(self, graph_id: int) -> None:
        """From the next run on, record the work and replay it; the number is new, as these buffers are."""
        self.graph = True
        self._options = self._run_options(graph_id)

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        for spec in self.inputs:
            self.values[spec.name].update_inplace(np.ascontiguousarray(feeds[spec.name]))
        self.session.run_with_iobinding(self._io, self._options)
        # A copy also where numpy() gives a view, as it does in host memory.
        return {spec.name: np.array(self.values[spec.name].numpy()) for spec in self.outputs}

    def _reserve(self, spec: TensorSpec) -> Any:
        ort = import_onnxruntime()
        shape = [self.batch, *spec.shape[1:]]
        return ort.OrtValue.ortvalue_from_shape_and_type(shape, np.dtype(spec.dtype), self.device, 0)

    def _run_options(self, graph_id: int) -> Any:
        """-1 runs plainly; a session keeps one graph for each other number."""
        options = import_onnxruntime().RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(graph_id))
        return options
