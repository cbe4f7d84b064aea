"""A few batches of real data for each graph, and how large every activation gets on them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto

from emorec_calib.collect import CalibrationClip, masked_feeds
from emorec_rt.bundle.manifest import GraphName, Preprocessing
from emorec_rt.engines.base import Engine, Tensors
from emorec_rt.engines.ort import session_options
from emorec_rt.faces import FaceCropper, FaceDetector
from emorec_rt.faces.cropped import cropped_items
from emorec_rt.windows.iterate import iter_windows

Batches = Mapping[GraphName, Sequence[Tensors]]
"""Inputs of each graph."""

CLIP_BATCHES: Final = 2
"""Batches of each graph that are kept of a clip: the next one shows somebody else."""

PROBED_BATCHES: Final = 8
"""In all."""


class RecordingEngine(Engine):
    """Keeps the first batches of each clip that it is fed.

    Args:
        engine: Does the work.
    """

    def __init__(self, engine: Engine) -> None:
        self.inputs, self.outputs = engine.inputs, engine.outputs
        self.batches: list[Tensors] = []
        self._engine = engine
        self._left = 0

    def begin_clip(self) -> None:
        """Keep the next batches."""
        self._left = min(CLIP_BATCHES, PROBED_BATCHES - len(self.batches))

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """See ``Engine.run``."""
        if self._left > 0:
            self._left -= 1
            self.batches.append({name: array.copy() for name, array in feeds.items()})
        return self._engine.run(feeds)


def probe(
    engines: Mapping[GraphName, Engine], clips: Iterable[CalibrationClip], spec: Preprocessing
) -> Batches:
    """Run clips through the chain until every graph has its batches.

    Windows are seen whole, without their faces and without their sound.

    Args:
        engines: Of the FP32 graphs.
        clips: Real data; as many are read as are needed.
        spec: The preprocessing.
    """
    recording = {name: RecordingEngine(engine) for name, engine in engines.items()}
    detector = FaceDetector()
    for clip in clips:
        for engine in recording.values():
            engine.begin_clip()
        cropper = FaceCropper(
            clip.faces,
            detector=detector,
            size=spec.vision.crop_size,
            margin=spec.vision.margin,
            interpolation=spec.vision.interpolation,
        )
        encoders = (recording["vision"], recording["audio"])
        for window in iter_windows(
            cropped_items(clip.items, cropper),
            spec,
            *encoders,
            has_video=clip.has_video,
            has_sound=clip.has_sound,
        ):
            recording["fusion"].run(masked_feeds(window))
        if all(len(engine.batches) == PROBED_BATCHES for engine in recording.values()):
            break
    return {name: engine.batches for name, engine in recording.items()}


def magnitudes(path: Path, batches: Sequence[Tensors]) -> dict[str, float]:
    """Largest magnitude of every FP32 tensor of a graph.

    Args:
        path: The FP32 graph.
        batches: What to feed it.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(os.fspath(path)))
    given = {value.name for value in (*model.graph.output, *model.graph.input)}
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    inner = [name for name, kind in kinds.items() if kind == TensorProto.FLOAT and name not in given]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_outputs()]
    found: dict[str, float] = {}
    for feeds in batches:
        for name, values in (*feeds.items(), *zip(names, session.run(names, dict(feeds)), strict=True)):
            found[name] = max(found.get(name, 0.0), float(np.abs(values).max(initial=0.0)))
    return found
