"""OpenVINO: the fast backend on CPUs. It reads the bundle's ONNX files as they are, Q/DQ included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emorec_rt.engines.base import Tensors, check_feeds, engine_error
from emorec_rt.errors import BackendUnavailableError, BundleError, EngineError
from emorec_rt.manifest import TensorSpec

OV_DTYPES = {"u8": "uint8", "f32": "float32"}


class OpenVinoEngine:
    """A graph in OpenVINO on the CPU.

    Args:
        path: The ONNX file.
        inputs: Inputs that the manifest promises.
        outputs: Outputs that the manifest promises.
        threads: Inference threads; ``None`` takes one for each core.

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
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._request = _compile(path, threads).create_infer_request()
        model = self._request.get_compiled_model()
        _check(path, inputs, model.inputs)
        _check(path, outputs, model.outputs)

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """Run one batch; see the protocol."""
        check_feeds(self.inputs, feeds)
        try:
            results = self._request.infer(dict(feeds), share_inputs=True)
        except RuntimeError as error:
            raise engine_error("OpenVINO failed", str(error), "") from error
        return {spec.name: np.array(results[spec.name]) for spec in self.outputs}


def _compile(path: Path, threads: int | None) -> Any:
    try:
        import openvino
    except ImportError as error:
        raise BackendUnavailableError("openvino", "openvino", "pip install 'emorec[openvino]'") from error
    # FP32 stays FP32: on CPUs with bfloat16 OpenVINO would round it otherwise.
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        config["INFERENCE_NUM_THREADS"] = threads
    try:
        return openvino.Core().compile_model(str(path), "CPU", config)
    except RuntimeError as error:
        raise EngineError(f"{path}: OpenVINO can't load this graph: {error}") from error


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
