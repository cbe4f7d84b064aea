"""onnxruntime: the backend that runs anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emorec_rt.engines.base import Tensors, check_feeds
from emorec_rt.errors import BackendUnavailableError, BundleError, EngineError
from emorec_rt.manifest import TensorSpec

if TYPE_CHECKING:
    import onnxruntime

ERROR_SEVERITY = 3
ORT_DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


def session_options(threads: int | None) -> onnxruntime.SessionOptions:
    """Every option of onnxruntime that emorec sets.

    Args:
        threads: Threads inside an operator; ``None`` takes one for each core.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERROR_SEVERITY
    options.intra_op_num_threads = threads or 0
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Threads that spin between operators take the core that decodes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


class OrtEngine:
    """A graph in onnxruntime on the CPU.

    Args:
        path: The ONNX file.
        inputs: Inputs that the manifest promises.
        outputs: Outputs that the manifest promises.
        threads: Threads inside an operator; ``None`` takes one for each core.

    Raises:
        BackendUnavailableError: onnxruntime is not installed.
        EngineError: onnxruntime can't load the file.
        BundleError: The graph's inputs or outputs differ from the manifest's.
    """

    def __init__(
        self,
        path: Path,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        *,
        threads: int | None = None,
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._session = _load(path, threads)
        _check(path, inputs, self._session.get_inputs())
        _check(path, outputs, self._session.get_outputs())
        self._names = [spec.name for spec in outputs]

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """Run one batch; see the protocol."""
        check_feeds(self.inputs, feeds)
        try:
            results = self._session.run(self._names, dict(feeds))
        except Exception as error:
            raise EngineError(f"onnxruntime failed: {error}") from error
        return dict(zip(self._names, map(np.asarray, results), strict=True))


def _load(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendUnavailableError("onnxruntime", "onnxruntime", "pip install 'emorec[cpu]'") from error
    try:
        return onnxruntime.InferenceSession(
            str(path), session_options(threads), providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise EngineError(f"{path}: onnxruntime can't load this graph: {error}") from error


def _check(path: Path, expected: tuple[TensorSpec, ...], actual: list[Any]) -> None:
    found = {node.name: (ORT_DTYPES.get(node.type, node.type), _shape(node.shape)) for node in actual}
    for spec in expected:
        if found.get(spec.name) != (spec.dtype, spec.shape):
            raise BundleError(
                path,
                f"the manifest promises {spec.name} {spec.dtype}{list(spec.shape)}, the graph has {found}",
            )


def _shape(dimensions: list[int | str | None]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else -1 for size in dimensions)
