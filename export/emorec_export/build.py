"""From a checkpoint to a bundle: export, quantise, compare, and only then keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import onnx

from emorec_calib import ranges as ranges_file
from emorec_calib.collect import CalibrationClip, collect, media_clips
from emorec_calib.excerpts import choose, media_files
from emorec_calib.ranges import Ranges, Source, check_fresh
from emorec_export.bundle import new_bundle, write_manifest
from emorec_export.clips import RecordedClips, recorded_clips
from emorec_export.graphs import ExportError, check_graph, export_graph, write_graph
from emorec_export.mixed import best_mix, int8_recipe, kept
from emorec_export.page import PAGE_FILE_NAME, write_page
from emorec_export.parity import Built, compare
from emorec_export.probe import magnitudes, probe
from emorec_export.provenance import provenance
from emorec_export.quantize import count_products, count_quantized
from emorec_export.recipe import RECIPES
from emorec_export.report import LayerSensitivity, Report, failures, table
from emorec_export.sensitivity import Bench
from emorec_export.variants import make_variant, needs_magnitudes, needs_ranges
from emorec_rt.bundle import sha256_of
from emorec_rt.bundle.manifest import (
    GRAPH_NAMES,
    GraphName,
    Manifest,
    Precision,
    Preprocessing,
    TensorSpec,
    expected_tensors,
)
from emorec_rt.bundle.tasks import Tasks
from emorec_rt.engines.base import Engine
from emorec_rt.engines.ort import OrtEngine
from emorec_train.data.dataset_clips import DataRequest
from emorec_train.features.windows import TorchEngine
from emorec_train.model.checkpoint import NOTICE_KEY, Checkpoint

MIX_CLIPS: Final = 6
"""Clips that the best mix is looked for on; each is run once a layer."""

PROBE_CLIPS: Final = 4
"""Clips that FP16's largest number is checked on."""

GraphFiles = dict[GraphName, Path]
VariantFiles = dict[Precision, GraphFiles]


@dataclass(frozen=True, slots=True)
class Request:
    """Options of a build.

    Attributes:
        out: Folder of the bundle.
        name: The bundle's name.
        precisions: The variants, FP32 among them.
        precision: The one that runs unless another is asked for.
        only: Leave FP32 out of the bundle, which is then as small as its variants.
        auto_mixed: Keep the layers out of INT8 whose quantisation costs more than ``max_drop``.
        method: How ranges are drawn from values, one of ``observers.METHODS``.
        ranges: A ``ranges.json``; ``None`` calibrates here.
        recordings: Files and folders to calibrate on; empty takes the checkpoint's own training clips.
        calibration_seconds: How much of the recordings, spread over all of them.
        calibration_clips: How many of the training clips.
        data: Where the checkpoint's data sets lie; ``None`` looks where they lay when it was trained.
        test_clips: How many held-out clips the variants are compared on.
        max_drop: Largest loss of macro-F1.
        notice: A line for whoever runs the bundle; empty for that of the checkpoint.
        command: The command line, for the record.
    """

    out: Path
    name: str
    precisions: tuple[Precision, ...] = ("fp32",)
    precision: Precision = "fp32"
    only: bool = False
    auto_mixed: bool = False
    method: str = "max"
    ranges: Path | None = None
    recordings: tuple[Path, ...] = ()
    calibration_seconds: float = 600.0
    data: DataRequest | None = None
    calibration_clips: int = 24
    test_clips: int = 12
    max_drop: float = 0.01
    notice: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Console:
    """Output of a build: lines, and a bar around an iterable."""

    say: Callable[[str], None]
    track: Callable[[Iterable[Any], str, int], AbstractContextManager[Iterable[Any]]]


@dataclass(frozen=True, slots=True)
class BuildContext:
    """Inputs of one build, shared by its steps.

    Attributes:
        checkpoint: The trained model.
        clips: The clips that it names.
        request: Options of the build.
        console: Takes lines and progress.
        folder: The bundle on its way.
    """

    checkpoint: Checkpoint
    clips: RecordedClips
    request: Request
    console: Console
    folder: Path

    @property
    def spec(self) -> Preprocessing:
        """The checkpoint's preprocessing."""
        return self.checkpoint.config.preprocessing

    @property
    def labels(self) -> tuple[str, ...]:
        """The checkpoint's classes."""
        return self.checkpoint.config.labels

    @property
    def tasks(self) -> Tasks:
        """What the checkpoint's fusion gives beside them."""
        return self.checkpoint.config.tasks

    @property
    def tensors(self) -> dict[GraphName, tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]]:
        """Inputs and outputs of each graph."""
        return expected_tensors(self.spec, len(self.labels), self.tasks)


def build(checkpoint: Checkpoint, request: Request, console: Console) -> Manifest:
    """Build a bundle. Whatever goes wrong leaves nothing behind.

    Raises:
        ExportError: A variant doesn't keep to the model; the message says which, and by how much.
        CalibrationError: Ranges that are stale, or clips that won't do.
        OutputError: The bundle can't be written.
        UsageError: The checkpoint's clips can't be drawn again.
    """
    clips = recorded_clips(checkpoint, request.data)
    test_ids = clips.ids("test", request.test_clips)
    with new_bundle(request.out) as folder:
        context = BuildContext(checkpoint, clips, request, console, folder)
        fp32 = _export(context)
        ranges = _ranges(context, fp32)
        sensitivity = _best_mix(context, fp32, ranges, test_ids)
        files = _variants(context, fp32, ranges, sensitivity)
        report = msgspec.structs.replace(_compare(context, files, test_ids), sensitivity=sensitivity)
        console.say(table(report))
        if reasons := list(failures(report, request.max_drop)):
            raise ExportError(f"nothing was written: {'; '.join(reasons)}")
        manifest = write_manifest(
            folder,
            _shipped(files, request),
            name=request.name,
            labels=checkpoint.config.labels,
            preprocessing=checkpoint.config.preprocessing,
            tasks=checkpoint.config.tasks,
            decoding=checkpoint.decoding,
            notice=request.notice or str(checkpoint.training.settings.get(NOTICE_KEY, "")),
            provenance=provenance(checkpoint, request.command, ranges),
            report=report,
            precision=request.precision,
        )
        write_page(manifest, report, folder / PAGE_FILE_NAME)
        return manifest


def _export(context: BuildContext) -> GraphFiles:
    """Write the FP32 graphs."""
    paths: GraphFiles = {}
    with context.console.track(GRAPH_NAMES, "export", len(GRAPH_NAMES)) as names:
        for name in names:
            paths[name] = context.folder / f"{name}.fp32.onnx"
            module = getattr(context.checkpoint, name)
            graph = export_graph(name, module, context.spec, len(context.labels), context.tasks)
            write_graph(graph, paths[name])
    return paths


def _ranges(context: BuildContext, fp32: GraphFiles) -> Ranges | None:
    """Read or collect the ranges and keep them in the bundle; ``None`` if no variant needs any."""
    request = context.request
    if not any(map(needs_ranges, request.precisions)):
        return None
    if request.ranges is not None:
        ranges = ranges_file.load(request.ranges)
        check_fresh(ranges, {name: sha256_of(path) for name, path in fp32.items()}, context.spec)
    elif request.recordings:
        ranges = _ranges_of_recordings(context, fp32)
    else:
        ranges = _ranges_of_training_clips(context, fp32)
    ranges_file.dump(ranges, context.folder / ranges_file.FILE_NAME)
    return ranges


def _ranges_of_recordings(context: BuildContext, fp32: GraphFiles) -> Ranges:
    request = context.request
    excerpts = choose(media_files(request.recordings), request.calibration_seconds, 0)
    clips = media_clips(list(excerpts), excerpts)
    with context.console.track(clips, "calibrate", len(excerpts)) as tracked:
        return _collect(context, fp32, tracked, "media")


def _ranges_of_training_clips(context: BuildContext, fp32: GraphFiles) -> Ranges:
    ids = context.clips.ids("train", context.request.calibration_clips)
    source: Source = "generated" if context.clips.generated else "media"
    with context.console.track(context.clips.calibration(ids), "calibrate", len(ids)) as tracked:
        return _collect(context, fp32, tracked, source)


def _collect(
    context: BuildContext, fp32: GraphFiles, clips: Iterable[CalibrationClip], source: Source
) -> Ranges:
    method, classes, tasks = context.request.method, len(context.labels), context.tasks
    return collect(fp32, context.spec, classes, clips, tasks=tasks, source=source, method=method)


def _best_mix(
    context: BuildContext, fp32: GraphFiles, ranges: Ranges | None, test_ids: Sequence[str]
) -> tuple[LayerSensitivity, ...]:
    """Find the layers that INT8 is safe for, with ``--auto-mixed``; otherwise nothing."""
    request, track = context.request, context.console.track
    if not request.auto_mixed or ranges is None:
        return ()
    ids = _mix_ids(context, test_ids)
    with track(context.clips.labelled(ids), "faces", len(ids)) as clips:
        bench = Bench(
            fp32, _engines(context, fp32), clips, context.spec, context.labels, context.checkpoint.decoding
        )
    recipe, scratch = int8_recipe(request.precisions), context.folder / ".trial.onnx"
    return best_mix(bench, ranges, recipe, request.max_drop, scratch, track)


def _mix_ids(context: BuildContext, test_ids: Sequence[str]) -> list[str]:
    """Clips that choose the mix; none of those that judge it.

    Data without a test split is judged on validation clips. The others of them choose then, or, where there
    are none, training clips.
    """
    ids = context.clips.ids("validation", MIX_CLIPS, leave_out=test_ids)
    if not ids:
        context.console.say("note: all validation clips judge the build, so training clips choose the mix")
        ids = context.clips.ids("train", MIX_CLIPS)
    return ids


def _variants(
    context: BuildContext,
    fp32: GraphFiles,
    ranges: Ranges | None,
    sensitivity: tuple[LayerSensitivity, ...],
) -> VariantFiles:
    """Write every variant; FP32 is there already."""
    files: VariantFiles = {"fp32": fp32}
    precisions = context.request.precisions
    loud = _magnitudes(context, fp32) if any(map(needs_magnitudes, precisions)) else {}
    keep = kept(layer for layer in sensitivity if not layer.quantized)
    for precision in precisions:
        if precision == "fp32":
            continue
        # The mix is about INT8 alone.
        own = keep if RECIPES[precision].numbers == "int8" else dict.fromkeys(GRAPH_NAMES, frozenset[str]())
        files[precision] = {
            name: _variant(context, fp32, name, precision, ranges, loud.get(name), own[name])
            for name in GRAPH_NAMES
        }
    return files


def _magnitudes(context: BuildContext, fp32: GraphFiles) -> dict[GraphName, dict[str, float]]:
    """Largest absolute value of each tensor of each graph, on a few training clips."""
    ids = context.clips.ids("train", PROBE_CLIPS)
    with context.console.track(context.clips.calibration(ids), "probe", len(ids)) as clips:
        batches = probe(_engines(context, fp32), clips, context.spec)
    return {name: magnitudes(path, batches[name]) for name, path in fp32.items()}


def _variant(
    context: BuildContext,
    fp32: GraphFiles,
    name: GraphName,
    precision: Precision,
    ranges: Ranges | None,
    loud: dict[str, float] | None,
    keep: frozenset[str],
) -> Path:
    own = None if ranges is None else ranges.graphs[name]
    model = make_variant(onnx.load(fp32[name]), precision, own, loud, keep)
    inputs, outputs = context.tensors[name]
    check_graph(model, f"{name} {precision}", inputs, outputs)
    path = context.folder / f"{name}.{precision}.onnx"
    write_graph(model, path)
    return path


def _compare(context: BuildContext, files: VariantFiles, ids: list[str]) -> Report:
    """Run the PyTorch modules and every variant on held-out clips."""
    checkpoint, classes = context.checkpoint, len(context.labels)
    modules = (checkpoint.vision, checkpoint.audio, checkpoint.fusion)
    reference: dict[GraphName, Engine] = {
        name: TorchEngine(module, name, context.spec, classes, context.tasks)
        for name, module in zip(GRAPH_NAMES, modules, strict=True)
    }
    variants = {precision: _built(context, paths) for precision, paths in files.items()}
    with context.console.track(context.clips.labelled(ids), "compare", len(ids)) as clips:
        report = compare(
            reference, variants, clips, context.spec, context.labels, checkpoint.decoding, context.tasks
        )
    return msgspec.structs.replace(report, engine=f"onnxruntime {version('onnxruntime')} on the CPU")


def _engines(context: BuildContext, paths: GraphFiles) -> dict[GraphName, Engine]:
    return {name: OrtEngine(path, *context.tensors[name]) for name, path in paths.items()}


def _built(context: BuildContext, paths: GraphFiles) -> Built:
    models = {name: onnx.load(path) for name, path in paths.items()}
    return Built(
        engines=_engines(context, paths),
        size_bytes={name: path.stat().st_size for name, path in paths.items()},
        quantized={name: count_quantized(model) for name, model in models.items()},
        products={name: count_products(model) for name, model in models.items()},
    )


def _shipped(files: VariantFiles, request: Request) -> VariantFiles:
    """The variants that stay in the bundle; with ``--only``, FP32 is removed."""
    if not request.only:
        return files
    for path in files["fp32"].values():
        path.unlink()
    return {precision: paths for precision, paths in files.items() if precision != "fp32"}
