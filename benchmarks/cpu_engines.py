"""FP32 and INT8 in onnxruntime and OpenVINO, side by side, on full-size graphs with random weights.

    python benchmarks/cpu_engines.py            # some minutes; writes results/cpu_engines.MACHINE.json
    python benchmarks/cpu_engines.py --quick    # small graphs, a few runs: only to see that it works

Each round runs every engine once on the same batch, so that whatever else the machine does meets all of them;
a figure is the median of its rounds. An engine of several lanes runs its share of the batch in each at once.
INT8 of the vision graph, nine tenths of the work, has to be 1.8 times as fast as FP32 in onnxruntime, and in
OpenVINO 3 times as fast as FP32 in onnxruntime. Of sound, half are convolutions, which the recipe
leaves in floating point; the fusion is small.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
import onnx
from full_size import FULL, QUICK, Subject, export, feeds, observe, same
from lanes import run_in_lanes
from machine import save

from emorec_export.graphs import write_graph
from emorec_export.variants import make_variant
from emorec_rt.bundle.manifest import GRAPH_NAMES, Graph, GraphName, Precision
from emorec_rt.engines import describe
from emorec_rt.engines.base import Engine, Tensors

BATCH: Final = 16
WARM_UP: Final = 2
REFERENCE: Final = "onnxruntime fp32"
VARIANTS: Final[tuple[Precision, ...]] = ("fp32", "int8")
LIBRARIES: Final = ("onnxruntime", "openvino")
LIMITS: Final = {"onnxruntime int8": 1.8, "openvino int8": 3.0}
"""Least speed relative to ``REFERENCE``, of the vision graph."""


@dataclass(frozen=True)
class Figure:
    """One engine on one graph.

    Attributes:
        graph: Which graph.
        engine: Library and precision.
        batch_ms: Median time of a batch, milliseconds.
        items_per_second: Frames, chunks or windows.
        times_reference: Speed relative to FP32 in onnxruntime.
        limit: Least that this has to be; ``None`` for no limit.
        same_file: Smallest cosine with onnxruntime on the same file: both read it alike.
    """

    graph: GraphName
    engine: str
    batch_ms: float
    items_per_second: float
    times_reference: float
    limit: float | None
    same_file: float

    @property
    def holds(self) -> bool:
        """Say whether the limit is kept."""
        return self.limit is None or self.times_reference >= self.limit


def measure(
    subject: Subject,
    name: GraphName,
    files: Mapping[Precision, Path],
    rounds: int,
    limits: Mapping[str, float],
) -> list[Figure]:
    """Time all engines on one graph, in turns."""
    batch = feeds(subject, name, BATCH)
    engines = _open(subject, name, files)
    answers = {key: engine.run(batch) for key, engine in engines.items()}
    seconds: dict[str, list[float]] = {key: [] for key in engines}
    for turn in range(WARM_UP + rounds):
        for key, engine in engines.items():
            spent = _time(engine, batch)
            if turn >= WARM_UP:
                seconds[key].append(spent)
    medians = {key: statistics.median(spent) for key, spent in seconds.items()}
    return [
        Figure(
            graph=name,
            engine=key,
            batch_ms=1e3 * median,
            items_per_second=BATCH / median,
            times_reference=medians[REFERENCE] / median,
            limit=limits.get(key),
            same_file=same(answers[key], answers[f"onnxruntime {key.split()[1]}"]),
        )
        for key, median in medians.items()
    ]


def _open(subject: Subject, name: GraphName, files: Mapping[Precision, Path]) -> dict[str, Engine]:
    inputs, outputs = subject.tensors[name]
    graph = Graph(inputs=inputs, outputs=outputs, variants={})
    return {
        f"{library} {precision}": describe(library).open(path, graph)
        for library in LIBRARIES
        for precision, path in files.items()
    }


def _time(engine: Engine, batch: Tensors) -> float:
    with ThreadPoolExecutor(engine.lanes) as threads:
        started = time.perf_counter()
        run_in_lanes(engine, batch, threads)
        return time.perf_counter() - started


def make_files(subject: Subject, folder: Path) -> dict[GraphName, dict[Precision, Path]]:
    """FP32 and INT8 graphs. The ranges are those of noise: speed doesn't depend on their numbers."""
    made: dict[GraphName, dict[Precision, Path]] = {}
    for name, path in export(subject, folder).items():
        made[name] = {"fp32": path, "int8": folder / f"{name}.int8.onnx"}
        write_graph(make_variant(onnx.load(path), "int8", observe(subject, name, path)), made[name]["int8"])
    return made


def show(figure: Figure) -> str:
    """One line of the table."""
    limit = "" if figure.limit is None else f">= {figure.limit:g}  {'ok' if figure.holds else 'MISSED'}"
    return (
        f"{figure.graph:8}{figure.engine:18}{figure.batch_ms:10.1f} ms{figure.items_per_second:10.1f}/s"
        f"{figure.times_reference:7.2f}x {limit}"
    )


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Small graphs and few runs; nothing is saved.")
@click.option("--rounds", type=click.IntRange(min=1), default=9, show_default=True)
def main(quick: bool, rounds: int) -> None:
    """Measure, print, save; exit with 1 where a limit is missed."""
    # Small graphs are all overhead; nothing is held against them.
    subject, rounds, limits = (QUICK, 2, {}) if quick else (FULL, rounds, LIMITS)
    with tempfile.TemporaryDirectory() as folder:
        files = make_files(_few_samples(subject), Path(folder))
        figures: list[Figure] = []
        for name in GRAPH_NAMES:
            figures += measure(subject, name, files[name], rounds, limits if name == "vision" else {})
            click.echo("\n".join(map(show, figures[-len(VARIANTS) * len(LIBRARIES) :])))
    if quick:
        return
    result: dict[str, Any] = {"model": subject.name, "batch": BATCH, "rounds": rounds}
    result["figures"] = [{**asdict(figure), "holds": figure.holds} for figure in figures]
    click.echo(f"saved {save('cpu_engines', result, by_machine=True)}")
    if not all(figure.holds for figure in figures):
        raise SystemExit(1)


def _few_samples(subject: Subject) -> Subject:
    """One batch of each graph is enough for ranges that nothing is judged by."""
    return Subject(subject.name, subject.config, subject.batches, subject.batches)


if __name__ == "__main__":
    main()
