"""Keeping up: agreement with exact mode under load, and the age of live rows at full size.

    python benchmarks/keep_up.py --media MEDIA/faces --bundle CACHE/bundle
    python benchmarks/keep_up.py --quick     # one generated clip, nothing saved

Agreement is the share of rows with exact mode's label, of files and of live sources, where exact mode would
take 1, 2 or 4 times as long as the input lasts. The load is simulated (``keep_up_simulation.py``): these
figures don't depend on the machine. The labels are the default bundle's. With ``--bundle``, as
``random_bundle.py`` writes it, ``live.py`` sends the demo clip in real time and measures how far rows are
behind their frames; then agreement is measured once more with as few frames encoded as there. MEDIA are
folders of real recordings, which are not part of the project. The result goes to
``benchmarks/results/keep_up.MACHINE.json``; exit code 1 where a limit is missed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
import live
import numpy as np
from fast_modes import generated, real
from keep_up_simulation import Machine, Outcome, Recording
from machine import save

from emorec_rt.bundle import Bundle, open_bundle
from emorec_rt.engines import open_engines
from emorec_rt.errors import MediaError

LOADS: Final = (1.0, 2.0, 4.0)
GENERATED: Final = 8
P95_SECONDS: Final = 1.5
AGREEMENT: Final = 0.95
"""Of real recordings, with as few frames encoded as in the live run."""


@dataclass(frozen=True)
class Figure:
    """One load, or one pace, on the clips of one kind.

    Attributes:
        clips: ``generated`` or ``real``.
        source: ``file`` or ``live``.
        load: Time that exact mode takes by the time of the input; ``None`` for a steady pace.
        rows: Rows, the same number in each mode.
        agreement: Share of rows with exact mode's label.
        encoded_share: Frames encoded by those of exact mode.
        p95_seconds: Age of a live row, 95th percentile, with nothing but the encoders counted.
    """

    clips: str
    source: str
    load: float | None
    rows: int
    agreement: float
    encoded_share: float
    p95_seconds: float | None


def recordings(paths: Sequence[Path], bundle: Bundle) -> list[Recording]:
    """The clips that can be read, cropped once for all loads."""
    found = []
    for path in paths:
        with suppress(MediaError):
            found.append(Recording.read(path, bundle))
    return found


def compare(
    kind: str, machine: Machine, clips: Sequence[Recording], mode: Callable[[Recording], Outcome]
) -> Figure:
    """A mode beside exact mode.

    Raises:
        ClickException: It has other rows.
    """
    rows = same = exact_frames = frames = 0
    ages: list[float] = []
    for clip in clips:
        exact, fast = machine.exact(clip), mode(clip)
        if [row.index for row in exact.rows] != [row.index for row in fast.rows]:
            raise click.ClickException(f"{clip.name}: its rows are not those of exact mode")
        rows += len(exact.rows)
        same += sum(one.label == other.label for one, other in zip(exact.rows, fast.rows, strict=True))
        exact_frames, frames = exact_frames + exact.encoded, frames + fast.encoded
        ages += fast.age_seconds
    return Figure(
        clips=kind,
        source="live" if machine.live else "file",
        load=machine.load or None,
        rows=rows,
        agreement=round(same / max(rows, 1), 4),
        encoded_share=round(frames / max(exact_frames, 1), 4),
        p95_seconds=round(float(np.percentile(ages, 95)), 3) if machine.live and machine.load else None,
    )


def show(figure: Figure) -> None:
    """Print a line."""
    load = "steady" if figure.load is None else f"{figure.load:g}x"
    age = "" if figure.p95_seconds is None else f"  p95 age {figure.p95_seconds:.2f} s"
    click.echo(
        f"{figure.clips:10}{figure.source:5}{load:7}{figure.rows:6} rows  agreement {figure.agreement:.4f}  "
        f"{100 * figure.encoded_share:5.1f} % encoded{age}"
    )


def measure(kinds: dict[str, list[Recording]], bundle: Bundle, loads: Sequence[float]) -> list[Figure]:
    """Agreement of each kind of clips at each load, of files and live."""
    _, engines = open_engines(bundle, backend="onnxruntime")
    figures = []
    for kind, clips in kinds.items():
        for is_live in (False, True):
            for load in loads:
                machine = Machine(bundle, engines, live=is_live, load=load)
                figures.append(compare(kind, machine, clips, machine.kept_up))
                show(figures[-1])
    return figures


def measure_steady(kinds: dict[str, list[Recording]], bundle: Bundle, stretch: float) -> list[Figure]:
    """Agreement where one of so many frames is encoded."""
    _, engines = open_engines(bundle, backend="onnxruntime")
    machine = Machine(bundle, engines, live=True, load=0.0)
    figures = []
    for kind, clips in kinds.items():
        figures.append(compare(kind, machine, clips, lambda clip: machine.thinned(clip, stretch)))
        show(figures[-1])
    return figures


def live_run(bundle: Path, minutes: float, arguments: Sequence[str]) -> tuple[dict[str, Any], float]:
    """Age of the rows of a live run, and how many frames there were for each that was encoded."""
    load_average = os.getloadavg()[0]
    delays, said = live.run(live.DEMO, 60.0 * minutes, ["--bundle", str(bundle), *arguments])
    interpolated = delays.interpolated / max(delays.rows, 1)
    figures = delays.figures()
    click.echo(
        f"live: p50 {figures['p50_seconds']:.2f} s, p95 {figures['p95_seconds']:.2f} s, "
        f"{delays.lost} of {delays.sent} rows lost, {100 * interpolated:.1f} % interpolated\n{said}"
    )
    record = {
        "minutes": minutes,
        "arguments": list(arguments),
        "load_average": round(load_average, 1),
        **{name: getattr(delays, name) for name in ("sent", "rows", "lost", "mistimed")},
        "interpolated_share": round(interpolated, 4),
        "heard_share": round(delays.heard / max(delays.rows, 1), 4),
        **{name: round(value, 3) for name, value in figures.items()},
        "program_said": said.splitlines(),
    }
    return record, 1.0 / max(1.0 - interpolated, 1e-3)


@click.command(help=__doc__)
@click.option("--media", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--bundle", type=click.Path(exists=True, path_type=Path), help="For the live run.")
@click.option("--minutes", default=10.0, show_default=True, help="Length of the live run.")
@click.option("--option", "arguments", multiple=True, help="For its emorec-rt: --option=--precision=int8.")
@click.option("--quick", is_flag=True, help="One clip and one load; nothing is saved.")
def main(
    media: tuple[Path, ...], bundle: Path | None, minutes: float, arguments: tuple[str, ...], quick: bool
) -> None:
    """Measure, print, save; exit with 1 where a limit is missed."""
    default = open_bundle()
    with tempfile.TemporaryDirectory() as folder:
        paths = {"generated": generated(Path(folder), 1 if quick else GENERATED), "real": real(media)}
        kinds = {kind: recordings(found, default) for kind, found in paths.items() if found}
    result: dict[str, Any] = {
        "limits": {"p95_seconds": P95_SECONDS, "agreement": AGREEMENT},
        "loads": [asdict(figure) for figure in measure(kinds, default, LOADS[1:2] if quick else LOADS)],
        "live": None,
        "steady": [],
    }
    if bundle is not None:
        result["live"], stretch = live_run(bundle, minutes, arguments)
        result["steady"] = [asdict(figure) for figure in measure_steady(kinds, default, stretch)]
    if quick:
        return
    click.echo(f"saved {save('keep_up', result, by_machine=True)}")
    if not holds(result):
        raise SystemExit(1)


def holds(result: dict[str, Any]) -> bool:
    """Whether the limits are kept by what was measured."""
    agreements = [figure["agreement"] for figure in result["steady"] if figure["clips"] == "real"]
    young = result["live"] is None or result["live"]["p95_seconds"] <= P95_SECONDS
    return young and all(agreement >= AGREEMENT for agreement in agreements)


if __name__ == "__main__":
    main()
