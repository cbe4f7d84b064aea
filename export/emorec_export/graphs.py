"""PyTorch modules to ONNX graphs.

torch's dynamo exporter, because its graphs are clean: a quarter of the nodes that the TorchScript exporter
leaves (no shape arithmetic, ``Gelu`` as one node, padding inside the convolutions), and shapes are static
throughout but for the batch.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import onnx
import torch
from torch import Tensor, nn

from emorec_export.eager import plain
from emorec_export.tidy import tidy
from emorec_rt.bundle.manifest import GraphName, Preprocessing, TensorSpec, expected_tensors
from emorec_rt.bundle.tasks import NO_TASKS, Tasks
from emorec_rt.errors import EmorecError, OutputError

OPSET: Final = 20
"""Newest that TensorRT 10.0's parser takes, oldest with ``Gelu``; onnxruntime reads it from 1.17 on."""

_EXAMPLE_BATCH: Final = 2
"""Anything but 0 and 1, which torch.export would take for constants."""

_PROTOBUF_LIMIT_BYTES: Final = 2**31 - 1


class ExportError(EmorecError, RuntimeError):
    """A graph that can't be exported, or that doesn't keep to the model."""


def export_graph(
    name: GraphName, module: nn.Module, spec: Preprocessing, classes: int, tasks: Tasks = NO_TASKS
) -> onnx.ModelProto:
    """Export one part of the model in FP32.

    Args:
        name: Which part; sets names and shapes of inputs and outputs.
        module: The trained module. It is not changed.
        spec: The checkpoint's preprocessing.
        classes: Logits of the fusion.
        tasks: What it gives beside them.

    Returns:
        A checked model whose batch alone is dynamic.

    Raises:
        ExportError: The graph isn't what the manifest will promise.
    """
    inputs, outputs = expected_tensors(spec, classes, tasks)[name]
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                plain(module),
                tuple(_example(tensor) for tensor in inputs),
                dynamo=True,
                opset_version=OPSET,
                input_names=[tensor.name for tensor in inputs],
                output_names=[tensor.name for tensor in outputs],
                dynamic_shapes=tuple({0: torch.export.Dim("batch")} for _ in inputs),
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(f"{name}: torch {torch.__version__} can't export it: {_reason(error)}") from error
    if program is None:
        raise ExportError(f"{name}: torch gave no graph")
    model = program.model_proto
    tidy(model, name)
    check_graph(model, name, inputs, outputs)
    return model


def write_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write a model as one file.

    Raises:
        OutputError: It can't be written, or is too large for one file.
    """
    if model.ByteSize() > _PROTOBUF_LIMIT_BYTES:
        raise OutputError(path, "would be larger than 2 GB, which one ONNX file can't hold")
    try:
        path.write_bytes(model.SerializeToString(deterministic=True))
    except OSError as error:
        raise OutputError(path, f"can't be written ({error.strerror})") from error


def check_graph(
    model: onnx.ModelProto, name: str, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
) -> None:
    """Refuse a graph that breaks the ONNX standard, carries dead weights or has foreign inputs or outputs.

    Raises:
        ExportError: The graph is wrong.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"{name}: the exported graph is no valid ONNX: {error}") from error
    found = [_spec(value) for value in (*model.graph.input, *model.graph.output)]
    if found != [(spec.name, spec.dtype, spec.shape) for spec in (*inputs, *outputs)]:
        raise ExportError(f"{name}: the exported graph has inputs and outputs {found}")
    read = {tensor for node in model.graph.node for tensor in node.input}
    if dead := [value.name for value in model.graph.initializer if value.name not in read]:
        raise ExportError(f"{name}: the exported graph has initialisers that nothing reads: {dead[:5]}")


def _reason(error: BaseException) -> str:
    """First cause of an exporter's error; the rest of its page is about the exporter itself."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _example(spec: TensorSpec) -> Tensor:
    shape = (_EXAMPLE_BATCH, *spec.shape[1:])
    return torch.zeros(shape, dtype=getattr(torch, spec.dtype))


def _spec(value: onnx.ValueInfoProto) -> tuple[str, str, tuple[int, ...]]:
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return value.name, dtype, tuple(-1 if dim.dim_param else dim.dim_value for dim in tensor.shape.dim)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks about its own inner workings, not about the graph."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
