"""From a checkpoint to a bundle: export, quantise, compare, and only then keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import onnx

from emorec_calib import ranges as ranges_file
from emorec_calib.collect import collect
from emorec_calib.ranges import Ranges, check_fresh
from emorec_export.bundle import new_bundle, write_manifest
from emorec_export.clips import calibration_clips, clip_ids, labelled_clips
from emorec_export.graphs import ExportError, export_graph, write_graph
from emorec_export.parity import Built, compare
from emorec_export.quantize import count_quantized, quantize
from emorec_export.report import Report, failures, table
from emorec_rt import __version__
from emorec_rt.bundle import sha256_of
from emorec_rt.engines.base import Engine
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.manifest import GRAPH_NAMES, GraphName, Manifest, Precision, expected_tensors
from emorec_train.features import TorchEngine
from emorec_train.model.checkpoint import Checkpoint

_LIBRARIES: Final = ("torch", "open_clip_torch", "transformers", "onnx", "onnxscript", "onnxruntime")

Files = dict[Precision, dict[GraphName, Path]]


@dataclass(frozen=True, slots=True)
class Request:
    """What to build.

    Attributes:
        out: Folder of the bundle.
        name: The bundle's name.
        int8: Build INT8 graphs too.
        ranges: A ``ranges.json``; ``None`` calibrates on the checkpoint's own training clips.
        calibration_clips: How many of those.
        test_clips: How many held-out clips the variants are compared on.
        max_drop: Largest loss of macro-F1.
        notice: A line for whoever runs the bundle.
        command: The command line, for the record.
    """

    out: Path
    name: str
    int8: bool = False
    ranges: Path | None = None
    calibration_clips: int = 24
    test_clips: int = 12
    max_drop: float = 0.01
    notice: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Console:
    """Where a build talks: lines, and a bar around something to iterate."""

    say: Callable[[str], None]
    track: Callable[[Iterable[Any], str, int], AbstractContextManager[Iterable[Any]]]


def build(checkpoint: Checkpoint, request: Request, console: Console) -> Manifest:
    """Build a bundle. Whatever goes wrong leaves nothing behind.

    Raises:
        ExportError: A variant doesn't keep to the model; the message says which, and by how much.
        CalibrationError: Ranges that are stale, or clips that won't do.
        OutputError: The bundle can't be written.
        UsageError: The checkpoint's clips can't be drawn again.
    """
    test_ids = clip_ids(checkpoint, "test", request.test_clips)
    with new_bundle(request.out) as folder:
        files: Files = {"fp32": _export(checkpoint, folder, console)}
        provenance = _provenance(checkpoint, request)
        if request.int8:
            ranges = _ranges(checkpoint, request, files["fp32"], console)
            ranges_file.dump(ranges, folder / ranges_file.FILE_NAME)
            files["int8"] = _quantize(files["fp32"], ranges, folder)
            provenance["calibration"] = _calibration_record(ranges)
        report = _compare(checkpoint, files, test_ids, console)
        console.say(table(report))
        if reasons := list(failures(report, request.max_drop)):
            raise ExportError(f"nothing was written: {'; '.join(reasons)}")
        return write_manifest(
            folder,
            files,
            name=request.name,
            labels=checkpoint.config.labels,
            preprocessing=checkpoint.config.preprocessing,
            notice=request.notice,
            provenance=provenance,
            report=report,
        )


def _export(checkpoint: Checkpoint, folder: Path, console: Console) -> dict[GraphName, Path]:
    spec, classes = checkpoint.config.preprocessing, len(checkpoint.config.labels)
    modules = {"vision": checkpoint.vision, "audio": checkpoint.audio, "fusion": checkpoint.fusion}
    paths: dict[GraphName, Path] = {}
    with console.track(GRAPH_NAMES, "export", len(GRAPH_NAMES)) as names:
        for name in names:
            paths[name] = folder / f"{name}.fp32.onnx"
            write_graph(export_graph(name, modules[name], spec, classes), paths[name])
    return paths


def _ranges(
    checkpoint: Checkpoint, request: Request, graphs: dict[GraphName, Path], console: Console
) -> Ranges:
    spec, classes = checkpoint.config.preprocessing, len(checkpoint.config.labels)
    if request.ranges is not None:
        ranges = ranges_file.load(request.ranges)
        check_fresh(ranges, {name: sha256_of(path) for name, path in graphs.items()}, spec)
        return ranges
    ids = clip_ids(checkpoint, "train", request.calibration_clips)
    with console.track(calibration_clips(checkpoint, ids), "calibrate", len(ids)) as clips:
        return collect(graphs, spec, classes, clips, source="generated")


def _quantize(graphs: dict[GraphName, Path], ranges: Ranges, folder: Path) -> dict[GraphName, Path]:
    paths: dict[GraphName, Path] = {}
    for name, path in graphs.items():
        paths[name] = folder / f"{name}.int8.onnx"
        model, _ = quantize(onnx.load(path), ranges.graphs[name].tensors)
        write_graph(model, paths[name])
    return paths


def _compare(checkpoint: Checkpoint, files: Files, test_ids: list[str], console: Console) -> Report:
    spec, labels = checkpoint.config.preprocessing, checkpoint.config.labels
    reference: dict[GraphName, Engine] = {
        "vision": TorchEngine(checkpoint.vision, "vision", spec),
        "audio": TorchEngine(checkpoint.audio, "audio", spec),
        "fusion": TorchEngine(checkpoint.fusion, "fusion", spec, len(labels)),
    }
    tensors = expected_tensors(spec, len(labels))
    variants = {
        precision: Built(
            engines={name: OrtEngine(path, *tensors[name]) for name, path in paths.items()},
            size_bytes={name: path.stat().st_size for name, path in paths.items()},
            quantized={name: count_quantized(onnx.load(path)) for name, path in paths.items()},
        )
        for precision, paths in files.items()
    }
    with console.track(labelled_clips(checkpoint, test_ids), "compare", len(test_ids)) as clips:
        return compare(reference, variants, clips, spec, labels)


def _provenance(checkpoint: Checkpoint, request: Request) -> dict[str, Any]:
    training = checkpoint.training
    return {
        "command": request.command,
        "training": {"command": training.command, "seed": training.seed, "versions": training.versions},
        "checkpoint": {
            file.name: sha256_of(file)
            for file in sorted(checkpoint.folder.iterdir())
            if file.suffix in {".json", ".safetensors"}
        },
        "versions": {"emorec": __version__, **{library: version(library) for library in _LIBRARIES}},
    }


def _calibration_record(ranges: Ranges) -> dict[str, Any]:
    return {
        "method": ranges.method,
        "source": ranges.source,
        "clips": len(ranges.clips),
        "data_sha256": ranges.data_sha256,
        "samples": {name: graph.samples for name, graph in ranges.graphs.items()},
    }
