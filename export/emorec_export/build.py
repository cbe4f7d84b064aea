"""From a checkpoint to a bundle: export, quantise, compare, and only then keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
from emorec_rt.engines.base import Engine
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.manifest import GRAPH_NAMES, GraphName, Manifest, Precision, expected_tensors
from emorec_train.dataset_clips import DataRequest
from emorec_train.features import TorchEngine
from emorec_train.model.checkpoint import Checkpoint

MIX_CLIPS: Final = 6
"""Clips that the best mix is looked for on; each is run once a layer."""

PROBE_CLIPS: Final = 4
"""Clips that FP16's largest number is checked on."""

Files = dict[Precision, dict[GraphName, Path]]


@dataclass(frozen=True, slots=True)
class Request:
    """What to build.

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
        notice: A line for whoever runs the bundle.
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
    clips = recorded_clips(checkpoint, request.data)
    test_ids = clips.ids("test", request.test_clips)
    with new_bundle(request.out) as folder:
        job = _Job(checkpoint, clips, request, console, folder)
        ranges = job.ranges() if any(map(needs_ranges, request.precisions)) else None
        sensitivity = job.best_mix(ranges) if request.auto_mixed and ranges is not None else ()
        job.make_variants(ranges, sensitivity)
        report = msgspec.structs.replace(job.compare(test_ids), sensitivity=sensitivity)
        console.say(table(report))
        if reasons := list(failures(report, request.max_drop)):
            raise ExportError(f"nothing was written: {'; '.join(reasons)}")
        manifest = write_manifest(
            folder,
            job.kept_files(),
            name=request.name,
            labels=checkpoint.config.labels,
            preprocessing=checkpoint.config.preprocessing,
            decoding=checkpoint.decoding,
            notice=request.notice,
            provenance=provenance(checkpoint, request.command, ranges),
            report=report,
            precision=request.precision,
        )
        write_page(manifest, report, folder / PAGE_FILE_NAME)
        return manifest


class _Job:
    """The steps of one build, which share the checkpoint, the folder and the FP32 graphs."""

    def __init__(
        self, checkpoint: Checkpoint, clips: RecordedClips, request: Request, console: Console, folder: Path
    ) -> None:
        self.checkpoint = checkpoint
        self.clips = clips
        self.request = request
        self.console = console
        self.folder = folder
        self.spec = checkpoint.config.preprocessing
        self.labels = checkpoint.config.labels
        self.fp32 = self._export()
        self.files: Files = {"fp32": self.fp32}

    def ranges(self) -> Ranges:
        """Read or collect ranges, and keep them in the bundle."""
        if self.request.ranges is not None:
            ranges = ranges_file.load(self.request.ranges)
            check_fresh(ranges, {name: sha256_of(path) for name, path in self.fp32.items()}, self.spec)
        elif self.request.recordings:
            ranges = self._collected_on_recordings()
        else:
            ids = self.clips.ids("train", self.request.calibration_clips)
            source: Source = "generated" if self.clips.generated else "media"
            with self.console.track(self.clips.calibration(ids), "calibrate", len(ids)) as clips:
                ranges = self._collected(clips, source)
        ranges_file.dump(ranges, self.folder / ranges_file.FILE_NAME)
        return ranges

    def _collected_on_recordings(self) -> Ranges:
        files = media_files(self.request.recordings)
        excerpts = choose(files, self.request.calibration_seconds, 0)
        with self.console.track(media_clips(list(excerpts), excerpts), "calibrate", len(excerpts)) as clips:
            return self._collected(clips, "media")

    def _collected(self, clips: Iterable[CalibrationClip], source: Source) -> Ranges:
        method, classes = self.request.method, len(self.labels)
        return collect(self.fp32, self.spec, classes, clips, source=source, method=method)

    def best_mix(self, ranges: Ranges) -> tuple[LayerSensitivity, ...]:
        """Look for the layers that INT8 is safe for."""
        ids = self.clips.ids("validation", MIX_CLIPS)
        with self.console.track(self.clips.labelled(ids), "faces", len(ids)) as clips:
            bench = Bench(self.fp32, self._engines(self.fp32), clips, self.spec, self.labels)
        recipe, scratch = int8_recipe(self.request.precisions), self.folder / ".trial.onnx"
        return best_mix(bench, ranges, recipe, self.request.max_drop, scratch, self.console.track)

    def make_variants(self, ranges: Ranges | None, sensitivity: tuple[LayerSensitivity, ...]) -> None:
        """Write every variant but FP32, which is there."""
        loud = self._magnitudes() if any(map(needs_magnitudes, self.request.precisions)) else {}
        keep = kept(layer for layer in sensitivity if not layer.quantized)
        for precision in self.request.precisions:
            if precision != "fp32":
                self.files[precision] = {
                    name: self._variant(name, precision, ranges, loud.get(name), keep[name])
                    for name in GRAPH_NAMES
                }

    def kept_files(self) -> Files:
        """What goes into the bundle; the rest is removed."""
        if not self.request.only:
            return self.files
        for path in self.files["fp32"].values():
            path.unlink()
        return {precision: paths for precision, paths in self.files.items() if precision != "fp32"}

    def compare(self, ids: list[str]) -> Report:
        """Run everything on held-out clips."""
        modules = (self.checkpoint.vision, self.checkpoint.audio, self.checkpoint.fusion)
        reference: dict[GraphName, Engine] = {
            name: TorchEngine(module, name, self.spec, len(self.labels))
            for name, module in zip(GRAPH_NAMES, modules, strict=True)
        }
        variants = {precision: self._built(paths) for precision, paths in self.files.items()}
        with self.console.track(self.clips.labelled(ids), "compare", len(ids)) as clips:
            report = compare(reference, variants, clips, self.spec, self.labels)
        return msgspec.structs.replace(report, engine=f"onnxruntime {version('onnxruntime')} on the CPU")

    def _export(self) -> dict[GraphName, Path]:
        paths: dict[GraphName, Path] = {}
        with self.console.track(GRAPH_NAMES, "export", len(GRAPH_NAMES)) as names:
            for name in names:
                paths[name] = self.folder / f"{name}.fp32.onnx"
                module = getattr(self.checkpoint, name)
                write_graph(export_graph(name, module, self.spec, len(self.labels)), paths[name])
        return paths

    def _magnitudes(self) -> dict[GraphName, dict[str, float]]:
        ids = self.clips.ids("train", PROBE_CLIPS)
        with self.console.track(self.clips.calibration(ids), "probe", len(ids)) as clips:
            batches = probe(self._engines(self.fp32), clips, self.spec)
        return {name: magnitudes(path, batches[name]) for name, path in self.fp32.items()}

    def _variant(
        self,
        name: GraphName,
        precision: Precision,
        ranges: Ranges | None,
        loud: dict[str, float] | None,
        keep: frozenset[str],
    ) -> Path:
        found = None if ranges is None else ranges.graphs[name]
        if RECIPES[precision].numbers != "int8":
            keep = frozenset()  # the mix is about INT8
        model = make_variant(onnx.load(self.fp32[name]), precision, found, loud, keep)
        inputs, outputs = expected_tensors(self.spec, len(self.labels))[name]
        check_graph(model, f"{name} {precision}", inputs, outputs)
        path = self.folder / f"{name}.{precision}.onnx"
        write_graph(model, path)
        return path

    def _engines(self, paths: dict[GraphName, Path]) -> dict[GraphName, Engine]:
        tensors = expected_tensors(self.spec, len(self.labels))
        return {name: OrtEngine(path, *tensors[name]) for name, path in paths.items()}

    def _built(self, paths: dict[GraphName, Path]) -> Built:
        models = {name: onnx.load(path) for name, path in paths.items()}
        return Built(
            engines=self._engines(paths),
            size_bytes={name: path.stat().st_size for name, path in paths.items()},
            quantized={name: count_quantized(model) for name, model in models.items()},
            products={name: count_products(model) for name, model in models.items()},
        )
