"""emorec: video with sound in, emotions over time out.

import emorec_rt

recognizer = emorec_rt.load()            # or load("engines/mine")
for p in recognizer.stream("video.mp4"):
    print(p.time_seconds, p.label, p.scores)
"""

from __future__ import annotations

import importlib
import os
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, NoReturn

from emorec_rt.constants import VERSION

# Before onnxruntime is imported, by whomever: its own switch comes after it has looked up a host.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from emorec_rt.bundle.manifest import Precision
    from emorec_rt.errors import (
        BackendUnavailableError,
        BundleError,
        DecoderUnavailableError,
        EmorecError,
        EngineError,
        FaceNotFoundError,
        MediaError,
        UsageError,
    )
    from emorec_rt.faces import Box, FaceMode, Faces
    from emorec_rt.media.sources import SourceOptions
    from emorec_rt.recognizer.events import Done, Event, Failed, Row, Started
    from emorec_rt.recognizer.live import LiveSession
    from emorec_rt.recognizer.recognizer import Recognizer
    from emorec_rt.windows.prediction import Prediction
    from emorec_rt.writers.columns import table

__version__ = VERSION

__all__ = [
    "BackendUnavailableError",
    "Box",
    "BundleError",
    "DecoderUnavailableError",
    "Done",
    "EmorecError",
    "EngineError",
    "Event",
    "FaceNotFoundError",
    "Failed",
    "LiveSession",
    "MediaError",
    "Prediction",
    "Recognizer",
    "Row",
    "SourceOptions",
    "Started",
    "UsageError",
    "__version__",
    "load",
    "table",
]

_HOMES: Final = {
    "errors": (
        "BackendUnavailableError",
        "BundleError",
        "DecoderUnavailableError",
        "EmorecError",
        "EngineError",
        "FaceNotFoundError",
        "MediaError",
        "UsageError",
    ),
    "faces": ("Box",),
    "media.sources": ("SourceOptions",),
    "recognizer.events": ("Done", "Event", "Failed", "Row", "Started"),
    "recognizer.live": ("LiveSession",),
    "recognizer.recognizer": ("Recognizer",),
    "windows.prediction": ("Prediction",),
    "writers.columns": ("table",),
}
"""Module of each public name; it is imported on first use, so that ``import emorec_rt`` costs nothing."""


def load(
    bundle: str | PathLike[str] | None = None,
    *,
    backend: str = "auto",
    precision: Precision | None = None,
    threads: int | None = None,
    batch_size: int | None = None,
    face: FaceMode = "auto",
    face_model: str | PathLike[str] | None = None,
    faces: Faces = "main",
    speakers: str | PathLike[str] | None = None,
    vision_fps: float | None = None,
    keep_up: float | None = None,
    measure: bool = True,
    source: SourceOptions | None = None,
    **unknown: NoReturn,
) -> Recognizer:
    """Load a bundle's engines, once for any number of inputs.

    Keywords are named as the options of ``emorec-rt``.

    Args:
        bundle: Folder from ``export/build_engine.py``; ``None`` takes the model in the package.
        backend: Inference library: ``tensorrt``, ``onnxruntime-cuda``, ``openvino``, ``onnxruntime`` ...;
            ``auto`` takes the fastest that works on this machine.
        precision: ``fp32``, ``fp16``, ``int8``, ``int8-fp16`` or ``fp8``; ``None`` takes the bundle's own.
        threads: Inference threads; ``None`` takes one for each core.
        batch_size: Frames in a batch; ``None`` takes what suits the engine.
        face: ``auto`` masks frames without a face, ``require`` fails an input without any, ``off`` uses the
            whole picture.
        face_model: Another YuNet ONNX file.
        faces: ``main`` follows the main face, ``all`` everyone, a number so many at once; each person has an
            identity (``Prediction.person``) and rows of their own.
        speakers: RTTM file of any diarisation tool: which of several people the sound belongs to. ``None``
            gives it to the face whose mouth moves.
        vision_fps: Frames encoded in a second, at most; the others are interpolated. ``None`` encodes each.
        keep_up: Seconds of a file to do in a second, at least; what there is no time for is interpolated.
            Live sources always keep up. ``None`` takes the time that all of a file needs.
        measure: Whether ``auto`` may time the CPU's libraries on a large bundle, once, for 5 s at most; the
            answer is kept in the user's cache.
        source: How cameras, streams and folders of pictures are opened.
        **unknown: None: a keyword that does not exist is an error.

    Returns:
        A recognizer; ``stream`` and ``run`` may be called from several threads at once.

    Raises:
        UsageError: A keyword, a type or a value is wrong.
        BundleError: The bundle can't be used.
        BackendUnavailableError: The library is not installed.
        EngineError: The library can't load a graph.
    """
    from emorec_rt.bundle import open_bundle
    from emorec_rt.media.sources import SourceOptions
    from emorec_rt.recognizer.options import Options, refuse_unknown
    from emorec_rt.recognizer.recognizer import Recognizer

    refuse_unknown(unknown)
    options = Options(
        backend=backend,
        precision=precision,
        threads=threads,
        batch_size=batch_size,
        face=face,
        face_model=face_model,  # type: ignore[arg-type]  # made a Path there
        faces=faces,
        speakers=speakers,  # type: ignore[arg-type]
        vision_fps=vision_fps,
        keep_up=keep_up,
        measure=measure,
        source=SourceOptions() if source is None else source,
    )
    return Recognizer(open_bundle(bundle), options)


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"emorec_rt.{module}"), name)
    raise AttributeError(f"module emorec_rt has no attribute {name}")


def __dir__() -> list[str]:
    return __all__
