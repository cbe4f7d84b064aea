"""Calibration and export of every variant at full size: time, memory, and size of the bundle.

    python benchmarks/export_full_size.py            # writes results/export_full_size.MACHINE.json
    python benchmarks/export_full_size.py --quick    # the demo's size: only to see that it works

512 frames, 64 chunks of sound and 64 windows are observed, then every variant of the three graphs is written,
in a process of its own whose peak memory the system reports. At most 15 minutes, 6 GB, and 200 MB for the
INT8 graphs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
import msgspec
from figure import Figure, refuse_missed
from full_size import FULL, QUICK, Subject, export, observe
from machine import save

LIMIT_SECONDS: Final = 15 * 60
LIMIT_PEAK_GB: Final = 6.0
LIMIT_INT8_MB: Final = 200.0
STEPS_FILE: Final = "steps.json"


def work(subject: Subject, folder: Path) -> None:
    """Run the measurement; it writes the seconds of each step beside the graphs."""
    import onnx

    from emorec_export.graphs import write_graph
    from emorec_export.variants import make_variant, needs_ranges
    from emorec_rt.constants import PRECISIONS

    steps: dict[str, float] = {}
    with _step(steps, "export fp32"):
        graphs = export(subject, folder)
    ranges = {}
    for name, path in graphs.items():
        with _step(steps, f"calibrate {name}"):
            ranges[name] = observe(subject, name, path)
    for precision in PRECISIONS[1:]:
        with _step(steps, f"make {precision}"):
            for name, path in graphs.items():
                found = ranges[name] if needs_ranges(precision) else None
                write_graph(
                    make_variant(onnx.load(path), precision, found), folder / f"{name}.{precision}.onnx"
                )
    (folder / STEPS_FILE).write_bytes(msgspec.json.encode(steps))


@contextmanager
def _step(steps: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    steps[name] = time.perf_counter() - started


def measure(folder: Path, *, quick: bool) -> tuple[list[Figure], dict[str, float], dict[str, float]]:
    """Run the work in a process of its own.

    Returns:
        The figures, the seconds of each step, and the size of each variant in MB.
    """
    command = [sys.executable, __file__, "--work", str(folder), *(["--quick"] if quick else [])]
    started = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise click.ClickException(f"the export ended with {process.returncode}")
    sizes: dict[str, float] = {}
    for path in sorted(folder.glob("*.onnx")):
        precision = path.name.split(".")[1]
        sizes[precision] = sizes.get(precision, 0.0) + path.stat().st_size / 1e6
    figures = [
        Figure("calibration and export", seconds, "s", f"<= {LIMIT_SECONDS:g}"),
        Figure("peak memory", usage.ru_maxrss * 1024 / 1e9, "GB", f"<= {LIMIT_PEAK_GB:g}"),
        Figure("INT8 graphs", sizes["int8"], "MB", f"<= {LIMIT_INT8_MB:g}"),
    ]
    return figures, msgspec.json.decode((folder / STEPS_FILE).read_bytes()), sizes


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="The demo's size; nothing is saved.")
@click.option("--work", "work_folder", type=click.Path(path_type=Path), hidden=True)
def main(quick: bool, work_folder: Path | None) -> None:
    """Measure, print, save; exit with 1 where a limit is missed."""
    subject = QUICK if quick else FULL
    if work_folder is not None:
        work(subject, work_folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        figures, steps, sizes = measure(Path(folder), quick=quick)
    click.echo("\n".join(map(str, figures)))
    for step, seconds in steps.items():
        click.echo(f"  {step:28}{seconds:10.2f} s")
    click.echo("  sizes " + ", ".join(f"{precision} {size:.1f} MB" for precision, size in sizes.items()))
    if quick:
        return
    result = {
        "model": subject.name,
        "observed": dict(subject.observed),
        "steps_seconds": steps,
        "sizes_mb": sizes,
        "figures": [asdict(figure) for figure in figures],
    }
    click.echo(f"saved {save('export_full_size', result, by_machine=True)}")
    refuse_missed(figures)


if __name__ == "__main__":
    main()
