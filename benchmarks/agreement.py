"""Label agreement of INT8 and FP16 with FP32, on held-out generated clips and on real recordings.

    python benchmarks/agreement.py --media MEDIA              # writes results/agreement.MACHINE.json
    python benchmarks/agreement.py --quick                    # two clips: only to see that it works

The default bundle, or another with ``--bundle``. Variants that it lacks are made from its FP32 graphs
and its own ``ranges.json``, as the export makes them. INT8 has to agree on 99.5 % of the steps and FP16 on
99.9 %, and INT8 may lose 0.005 of macro-F1. All run in ONNX Runtime, INT8 in OpenVINO as well, which takes
bfloat16 beside INT8 where the CPU has it. Real recordings have no labels for each step here: only their
agreement is measured, over recordings of any kind, whatever the model makes of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click
import numpy as np
import onnx
from machine import save
from numpy.typing import NDArray

from emorec_calib import ranges as ranges_file
from emorec_calib.collect import CalibrationClip
from emorec_calib.excerpts import media_files
from emorec_export.chain import step_logits, take_in
from emorec_export.graphs import write_graph
from emorec_export.probe import magnitudes, probe
from emorec_export.variants import make_variant, needs_ranges
from emorec_rt.bundle import Bundle, open_bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, Precision
from emorec_rt.engines import describe
from emorec_rt.engines.base import Engine
from emorec_rt.errors import MediaError
from emorec_rt.faces import FaceDetector
from emorec_rt.media import open_media
from emorec_train.data.labels import IGNORED, ClipLabels
from emorec_train.data.source import GeneratedClips, LabelledClip
from emorec_train.data.synthetic import ClipSpec, clip_seeds
from emorec_train.evaluation.metrics import score

VARIANTS: Final[tuple[Precision, ...]] = ("fp16", "int8", "int8-fp16")
IN_OPENVINO: Final = "int8 in OpenVINO"
CONTENDERS: Final = (*VARIANTS, IN_OPENVINO)
LEAST_AGREEMENT: Final = {"fp16": 0.999, "int8": 0.995, "int8-fp16": 0.995, IN_OPENVINO: 0.995}
LARGEST_DROP: Final = 0.005
PROBED_CLIPS: Final = 4

Engines = dict[GraphName, Engine]


@dataclass(frozen=True)
class Figure:
    """One variant on one kind of clips.

    Attributes:
        clips: Generated or real.
        variant: One of ``CONTENDERS``.
        count: How many clips.
        steps: Steps of the grid in them.
        agreement: Share of the steps with FP32's label.
        macro_f1_change: Against FP32's; ``None`` for clips without labels.
    """

    clips: str
    variant: str
    count: int
    steps: int
    agreement: float
    macro_f1_change: float | None

    @property
    def holds(self) -> bool:
        """Say whether both limits are kept."""
        drop = -(self.macro_f1_change or 0.0)
        return self.agreement >= LEAST_AGREEMENT[self.variant] and drop <= LARGEST_DROP


def open_variants(bundle: Bundle, folder: Path) -> dict[str, Engines]:
    """Engines of FP32 and every contender; variants that the bundle lacks are made in a folder."""
    engines: dict[str, Engines] = {"fp32": _engines(bundle, _files(bundle, "fp32"))}
    lacking = [name for name in VARIANTS if not _has(bundle, name)]
    loud = _loudest(bundle, engines["fp32"]) if any("fp16" in name for name in lacking) else {}
    ranges = (
        ranges_file.load(bundle.folder / ranges_file.FILE_NAME) if any(map(needs_ranges, lacking)) else None
    )
    for precision in VARIANTS:
        files = _files(bundle, precision) if precision not in lacking else {}
        for name in GRAPH_NAMES if precision in lacking else ():
            found = ranges.graphs[name] if ranges is not None and needs_ranges(precision) else None
            model = make_variant(onnx.load(bundle.graph_file(name, "fp32")), precision, found, loud.get(name))
            files[name] = folder / f"{name}.{precision}.onnx"
            write_graph(model, files[name])
        engines[precision] = _engines(bundle, files)
        if precision == "int8":
            engines[IN_OPENVINO] = _engines(bundle, files, "openvino")
    return engines


def _has(bundle: Bundle, precision: Precision) -> bool:
    return all(precision in graph.variants for graph in bundle.manifest.graphs.values())


def _files(bundle: Bundle, precision: Precision) -> dict[GraphName, Path]:
    return {name: bundle.graph_file(name, precision) for name in GRAPH_NAMES}


def _engines(bundle: Bundle, files: Mapping[GraphName, Path], backend: str = "onnxruntime") -> Engines:
    graphs = bundle.manifest.graphs
    return {name: describe(backend).open(path, graphs[name]) for name, path in files.items()}


def _loudest(bundle: Bundle, engines: Engines) -> dict[GraphName, dict[str, float]]:
    """Largest magnitude of every tensor on training clips: FP16 keeps in FP32 what would overflow."""
    source = generated(bundle)
    clips = (
        CalibrationClip(str(seed), source.open(str(seed)).items) for seed in clip_seeds("train", PROBED_CLIPS)
    )
    batches = probe(engines, clips, bundle.manifest.preprocessing)
    return {name: magnitudes(bundle.graph_file(name, "fp32"), batches[name]) for name in GRAPH_NAMES}


def generated(bundle: Bundle) -> GeneratedClips:
    """The project's own clips, with the bundle's labels."""
    return GeneratedClips(bundle.manifest.labels, {}, ClipSpec())


def drawn(bundle: Bundle, count: int) -> Iterator[LabelledClip]:
    """Clips of the test split."""
    source = generated(bundle)
    return (source.open(str(seed)) for seed in clip_seeds("test", count))


def recorded(files: Iterable[Path]) -> Iterator[LabelledClip]:
    """Recordings without labels; what can't be opened is told and left out."""
    for path in files:
        try:
            reader = open_media(path)
        except MediaError as error:
            click.echo(f"left out: {error}", err=True)
            continue
        with reader:
            yield LabelledClip(reader, ClipLabels.whole(IGNORED))


def compare(
    kind: str, clips: Iterable[LabelledClip], bundle: Bundle, engines: Mapping[str, Engines]
) -> list[Figure]:
    """Run every contender on the same clips; what is damaged is told and left out."""
    detector, spec = FaceDetector(), bundle.manifest.preprocessing
    truth: list[NDArray[np.int64]] = []
    answers: dict[str, list[NDArray[np.int64]]] = {precision: [] for precision in engines}
    for clip in clips:
        try:
            sample = take_in(clip, spec, detector)
        except MediaError as error:
            click.echo(f"left out: {error}", err=True)
            continue
        found = {precision: step_logits(sample, spec, own) for precision, own in engines.items()}
        times = found["fp32"][0]
        if len(times):
            truth.append(sample.truth_at(times))
            for precision, (_, logits) in found.items():
                answers[precision].append(logits.argmax(axis=1))
    if not truth:
        raise click.ClickException(f"no {kind} clip has a frame or sound")
    joined = {precision: np.concatenate(parts) for precision, parts in answers.items()}
    return list(_figures(kind, len(truth), np.concatenate(truth), joined, bundle.manifest.labels))


def _figures(
    kind: str,
    count: int,
    truth: NDArray[np.int64],
    answers: Mapping[str, NDArray[np.int64]],
    labels: tuple[str, ...],
) -> Iterator[Figure]:
    known = bool((truth != IGNORED).any())
    before = score(truth, answers["fp32"], labels).macro_f1
    for precision in CONTENDERS:
        agreement = float(np.mean(answers[precision] == answers["fp32"]))
        change = score(truth, answers[precision], labels).macro_f1 - before if known else None
        yield Figure(kind, precision, count, len(truth), agreement, change)


def line(figure: Figure) -> str:
    """A figure for the terminal."""
    change = "" if figure.macro_f1_change is None else f", macro-F1 {figure.macro_f1_change:+.4f}"
    mark = "ok" if figure.holds else f"MISSED, at least {LEAST_AGREEMENT[figure.variant]:.1%}"
    return (
        f"{figure.clips:10}{figure.variant:18}{figure.agreement:8.3%} of {figure.steps} steps in "
        f"{figure.count} clips{change}  {mark}"
    )


@click.command(help=__doc__)
@click.option("--bundle", "folder", type=click.Path(path_type=Path), help="[default: the default bundle]")
@click.option("--clips", type=click.IntRange(min=1), default=60, show_default=True, help="Generated clips.")
@click.option(
    "--media",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="Recordings, or a folder of them.",
)
@click.option("--quick", is_flag=True, help="Two generated clips and two recordings; nothing is saved.")
def main(folder: Path | None, clips: int, media: tuple[Path, ...], quick: bool) -> None:
    """Measure, print, save; exit with 1 where a limit is missed."""
    bundle = open_bundle(folder)
    files = media_files(media) if media else []
    with tempfile.TemporaryDirectory() as scratch:
        engines = open_variants(bundle, Path(scratch))
        figures = compare("generated", drawn(bundle, 2 if quick else clips), bundle, engines)
        if files:
            figures += compare("real", recorded(files[:2] if quick else files), bundle, engines)
    for figure in figures:
        click.echo(line(figure))
    if quick:
        return
    result = {"bundle": bundle.manifest.name, "figures": [{**asdict(f), "holds": f.holds} for f in figures]}
    click.echo(f"saved {save('agreement', result, by_machine=True)}")
    if not all(figure.holds for figure in figures):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
