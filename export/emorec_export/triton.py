"""A bundle's graphs as a model repository of the Triton inference server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from emorec_rt.bundle import Bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, Precision, TensorSpec
from emorec_rt.constants import GPU_BATCH, chunks_beside
from emorec_rt.engines.triton import model_name
from emorec_rt.files import whole_folder

CONFIG_NAME: Final = "config.pbtxt"
GRAPH_FILE: Final = "model.onnx"
VERSION: Final = "1"

_TYPES: Final = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32"}


@dataclass(frozen=True, slots=True)
class Serving:
    """How a server runs the models.

    Attributes:
        max_batch: Largest batch of frames; of chunks and windows a quarter.
        delay_microseconds: How long a request may wait for others to share its batch.
        instances: Copies of each model on each device.
        kind: The device.
    """

    max_batch: int = GPU_BATCH
    delay_microseconds: int = 1000
    instances: int = 1
    kind: Literal["gpu", "cpu"] = "gpu"


def write_repository(bundle: Bundle, precision: Precision, folder: Path, serving: Serving) -> list[str]:
    """Write the three graphs as models; other models of the repository stay.

    Returns:
        The models' names.

    Raises:
        UsageError: The bundle holds no such variant.
        BundleError: A file is missing or has changed.
        OutputError: The folder can't be written.
    """
    files = {graph: bundle.graph_file(graph, precision) for graph in GRAPH_NAMES}
    names = {graph: model_name(path, bundle.manifest.graphs[graph]) for graph, path in files.items()}
    for graph, path in files.items():
        with whole_folder(folder / names[graph]) as model:
            (model / VERSION).mkdir()
            shutil.copyfile(path, model / VERSION / GRAPH_FILE)
            text = config(bundle, graph, names[graph], serving)
            (model / CONFIG_NAME).write_text(text, encoding="utf-8")
    return list(names.values())


def config(bundle: Bundle, graph: GraphName, name: str, serving: Serving) -> str:
    """The configuration of a model: tensors, batching, instances."""
    found = bundle.manifest.graphs[graph]
    most = serving.max_batch if graph == "vision" else chunks_beside(serving.max_batch)
    lines = [
        f'name: "{name}"',
        'platform: "onnxruntime_onnx"',
        f"max_batch_size: {most}",
        *_tensors("input", found.inputs),
        *_tensors("output", found.outputs),
        f"dynamic_batching {{ max_queue_delay_microseconds: {serving.delay_microseconds} }}",
        f"instance_group [ {{ kind: KIND_{serving.kind.upper()} count: {serving.instances} }} ]",
    ]
    return "\n".join(lines) + "\n"


def _tensors(kind: str, specs: tuple[TensorSpec, ...]) -> Iterator[str]:
    """A list of tensors; the batch, their first dimension, goes without saying."""
    for index, spec in enumerate(specs):
        dims = ", ".join(map(str, spec.shape[1:]))
        begin = f"{kind} [" if index == 0 else " "
        end = " ]" if index == len(specs) - 1 else ","
        yield f'{begin} {{ name: "{spec.name}" data_type: {_TYPES[spec.dtype]} dims: [ {dims} ] }}{end}'
