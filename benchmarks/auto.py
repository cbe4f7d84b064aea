"""``--backend auto`` beside every backend by hand, the time that it measures, and the wait for the first row.

    python benchmarks/random_bundle.py CACHE
    python benchmarks/auto.py --bundle CACHE/bundle           # some minutes, on a quiet machine
    python benchmarks/auto.py --quick                         # the default bundle, seconds, nothing is saved

The default bundle is measured, and that of ``--bundle``, in each of FP32 and INT8 that it has. Backends run
the demo clip in turns in one process, engines loaded; a speed is the median of its rounds. Start-ups are
whole processes: the first with an empty cache, in which ``auto`` measures and libraries compile, the second
with what the first has left there. The user's own cache is not touched. The result goes to
``benchmarks/results/auto.MACHINE.json``; exit code 1 where a limit is missed.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from unittest.mock import patch

import click
from figure import Figure, refuse_missed
from first_run import DEMO, run
from machine import save

from emorec_rt import Recognizer, SourceOptions, load
from emorec_rt.bundle import Bundle, open_bundle
from emorec_rt.bundle.manifest import Precision
from emorec_rt.engines import AUTO, BACKENDS, choose_backend, describe
from emorec_rt.machine.model_cache import SWITCH

PRECISIONS: Final[tuple[Precision, ...]] = ("fp32", "int8")
LEAST_SHARE: Final = 0.97
"""Of the best backend's speed, that of the one which ``auto`` takes."""

MOST_MEASURING_SECONDS: Final = 5.0
MOST_FIRST_ROW_SECONDS: Final = 5.0
"""From the second run on."""


@dataclass(frozen=True)
class Case:
    """One bundle in one precision.

    Attributes:
        bundle: Its name.
        precision: The variant.
        taken: Backend that ``auto`` takes.
        speeds: Seconds of media in a second, by backend.
        measuring_seconds: Time that ``auto`` took to choose, with an empty cache.
        first_row_seconds: From the start of the program to the first row, first and second run.
    """

    bundle: str
    precision: Precision
    taken: str
    speeds: dict[str, float]
    measuring_seconds: float
    first_row_seconds: tuple[float, float]

    @property
    def share(self) -> float:
        """Speed of what ``auto`` takes beside that of the best backend."""
        return self.speeds[self.taken] / max(self.speeds.values())

    @property
    def figures(self) -> list[Figure]:
        """Numbers with limits."""
        what, (first, second) = f"{self.bundle} {self.precision}", self.first_row_seconds
        return [
            Figure(f"{what}: speed beside the best", self.share, "x", f">= {LEAST_SHARE}"),
            Figure(f"{what}: choosing, once", self.measuring_seconds, "s", f"<= {MOST_MEASURING_SECONDS:g}"),
            Figure(f"{what}: first row, first run", first, "s"),
            Figure(f"{what}: first row, second run", second, "s", f"<= {MOST_FIRST_ROW_SECONDS:g}"),
        ]


def measure(folder: Path | None, precision: Precision, rounds: int, seconds: float) -> Case:
    """All of one bundle in one precision."""
    bundle = open_bundle(folder)
    taken, choosing = choice(bundle, precision)
    return Case(
        bundle=bundle.manifest.name,
        precision=precision,
        taken=taken,
        speeds=speeds(folder, precision, rounds, seconds),
        measuring_seconds=choosing,
        first_row_seconds=first_rows(folder, precision, rounds),
    )


def choice(bundle: Bundle, precision: Precision) -> tuple[str, float]:
    """The backend that ``auto`` takes with an empty cache, and the seconds that it took to choose."""
    choose_backend(AUTO, bundle, precision=precision)  # libraries are looked for now
    with empty_cache():
        begun = time.perf_counter()
        taken = choose_backend(AUTO, bundle, precision=precision, measure=True)
        return taken, time.perf_counter() - begun


def speeds(folder: Path | None, precision: Precision, rounds: int, seconds: float) -> dict[str, float]:
    """Seconds of media in a second of the whole chain, in turns, by every backend that works here."""
    source = SourceOptions(end_seconds=seconds)
    loaded = {
        name: load(folder, backend=name, precision=precision, source=source) for name in working_backends()
    }
    spent: dict[str, list[float]] = {name: [] for name in loaded}
    for turn in range(1 + rounds):
        for name, recognizer in loaded.items():
            taken = _clip_seconds(recognizer)
            if turn:  # the first turn warms up
                spent[name].append(taken)
    return {name: seconds / statistics.median(times) for name, times in spent.items()}


def working_backends() -> list[str]:
    """Backends among which ``auto`` chooses here."""
    known = {name: describe(name) for name in BACKENDS}
    return [name for name, one in known.items() if one.automatic and one.unavailable() is None]


def _clip_seconds(recognizer: Recognizer) -> float:
    begun = time.perf_counter()
    for _ in recognizer.stream(DEMO):
        pass
    return time.perf_counter() - begun


def first_rows(folder: Path | None, precision: Precision, rounds: int) -> tuple[float, float]:
    """Medians of the seconds to the first row, with an empty cache and with what that run left in it."""
    arguments = [str(DEMO), "--quiet", "--precision", precision, "--end", "4", "--out", "-"]
    if folder:
        arguments += ["--bundle", str(folder)]
    pairs = [_both_runs(arguments) for _ in range(rounds)]
    first, second = (statistics.median(one) for one in zip(*pairs, strict=True))
    return first, second


def _both_runs(arguments: list[str]) -> tuple[float, float]:
    with empty_cache():
        first, second = (run(arguments).first_row_seconds for _ in range(2))
    if first is None or second is None:
        raise click.ClickException("emorec-rt has written no rows")
    return first, second


@contextmanager
def empty_cache() -> Iterator[None]:
    """Have this process and its children cache in a folder of its own, for as long as this lasts."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {"XDG_CACHE_HOME": folder}):
        os.environ.pop(SWITCH, None)
        yield


def show(case: Case) -> str:
    """Lines of a case."""
    what = f"{case.bundle} {case.precision}"
    lines = [
        f"{what}: {name:26} {speed:8.2f} x real time{'  auto' if name == case.taken else ''}"
        for name, speed in case.speeds.items()
    ]
    return "\n".join([*lines, *map(str, case.figures)])


def cases(folders: list[Path | None], rounds: int, seconds: float) -> Iterator[Case]:
    """Every bundle in each of ``PRECISIONS`` that it has."""
    for folder in folders:
        variants = open_bundle(folder).manifest.graphs["vision"].variants
        for precision in PRECISIONS:
            if precision in variants:
                yield measure(folder, precision, rounds, seconds)


@click.command(help=__doc__)
@click.option("--bundle", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Of full size.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--seconds", default=10.0, show_default=True, help="Of the clip, for speeds.")
@click.option("--quick", is_flag=True, help="One round of two seconds; nothing is saved.")
def main(bundle: Path | None, rounds: int, seconds: float, quick: bool) -> None:
    """Measure, print, save; exit with 1 where a limit is missed."""
    if bundle is None and not quick:
        raise click.UsageError("--bundle is missing: python benchmarks/random_bundle.py CACHE makes one")
    if quick:
        rounds, seconds = 1, 2.0
    load_before = os.getloadavg()[0]
    measured = []
    for case in cases([None, bundle] if bundle else [None], rounds, seconds):
        click.echo(show(case))
        measured.append(case)
    if quick:
        return
    figures = [figure for case in measured for figure in case.figures]
    result = {
        "load_average": load_before,
        "rounds": rounds,
        "cases": [asdict(case) for case in measured],
        "figures": [asdict(figure) for figure in figures],
    }
    click.echo(f"saved {save('auto', result, by_machine=True)}")
    refuse_missed(figures)


if __name__ == "__main__":
    main()
