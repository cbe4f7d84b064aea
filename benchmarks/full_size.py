"""The reference model at full size with random weights: what speed, time and memory depend on is its shapes.

Random weights say nothing about accuracy; no accuracy is measured with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from emorec_calib.observe import ObservingEngine
from emorec_calib.ranges import GraphRanges
from emorec_export.graphs import export_graph, write_graph
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, TensorSpec, expected_tensors
from emorec_rt.engines.base import Tensors
from emorec_train.model.build import Models, build_models
from emorec_train.model.config import ModelConfig
from emorec_train.settings.presets import DEMO, REFERENCE

SEED: Final = 0
METHOD: Final = "max"


@dataclass(frozen=True)
class Subject:
    """Sizes and seeds of a measurement.

    Attributes:
        name: For the record.
        config: The model's architecture.
        observed: Frames, chunks and windows that calibration is fed.
        batches: How many of them at a time.
    """

    name: str
    config: ModelConfig
    observed: Mapping[GraphName, int]
    batches: Mapping[GraphName, int]

    @property
    def tensors(self) -> Mapping[GraphName, tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]]:
        """Inputs and outputs of each graph."""
        return expected_tensors(self.config.preprocessing, len(self.config.labels))


FULL: Final = Subject(
    "CLIP ViT-B/32, wav2vec 2.0 base and the fusion, random weights",
    REFERENCE.model,
    {"vision": 512, "audio": 64, "fusion": 64},
    {"vision": 16, "audio": 2, "fusion": 4},
)
QUICK: Final = Subject(
    "the demo's small encoders, random weights: only to see that this program works",
    DEMO.model,
    {"vision": 8, "audio": 2, "fusion": 2},
    {"vision": 4, "audio": 1, "fusion": 1},
)


def build(subject: Subject) -> Models:
    """The modules, their weights from a fixed seed."""
    import torch

    torch.manual_seed(SEED)
    config = msgspec.structs.replace(subject.config, text=None)
    models = build_models(config, pretrained=False)
    for module in (models.vision, models.audio, models.fusion):
        module.eval()
    return models


def export(subject: Subject, folder: Path) -> dict[GraphName, Path]:
    """Write the FP32 graph of each part."""
    models, paths = build(subject), {}
    for name in GRAPH_NAMES:
        paths[name] = folder / f"{name}.fp32.onnx"
        module = getattr(models, name)
        graph = export_graph(name, module, subject.config.preprocessing, len(subject.config.labels))
        write_graph(graph, paths[name])
    return paths


def observe(subject: Subject, name: GraphName, path: Path) -> GraphRanges:
    """Calibrate a graph on as many samples as the subject says, made up from a fixed seed."""
    engine = ObservingEngine(path, *subject.tensors[name], METHOD)
    for batch in samples(subject, name):
        engine.run(batch)
    return engine.ranges()


def samples(subject: Subject, name: GraphName) -> Iterator[dict[str, NDArray[Any]]]:
    """Made-up inputs in batches."""
    for start in range(0, subject.observed[name], subject.batches[name]):
        yield feeds(subject, name, subject.batches[name], seed=SEED + start)


def feeds(subject: Subject, name: GraphName, batch: int, seed: int = SEED) -> dict[str, NDArray[Any]]:
    """One batch of noise with everything there."""
    generator = np.random.default_rng(seed)
    return {spec.name: _tensor(generator, spec, batch) for spec in subject.tensors[name][0]}


def _tensor(generator: np.random.Generator, spec: TensorSpec, batch: int) -> NDArray[Any]:
    shape = (batch, *spec.shape[1:])
    if spec.dtype == "uint8":
        return generator.integers(0, 256, shape, np.uint8)
    if spec.name.endswith("mask"):
        return np.ones(shape, np.float32)
    return generator.standard_normal(shape, np.float32)


def same(left: Tensors, right: Tensors) -> float:
    """Smallest cosine between the outputs of two engines on the same inputs."""
    cosines = []
    for name, a in left.items():
        x, y = (array.reshape(len(array), -1).astype(np.float64) for array in (a, right[name]))
        norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        cosines.append(float(((x * y).sum(axis=1) / np.maximum(norms, 1e-12)).min()))
    return min(cosines)
