"""``emorec-rt bench VIDEO``: where the time goes on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from emorec_rt.cli.console import tell
from emorec_rt.cli.groups import complete_backends
from emorec_rt.constants import PRECISIONS, Precision
from emorec_rt.machine.memory import PROGRAM_MB, require_address_space

if TYPE_CHECKING:
    from emorec_rt.engines.measuring import Measured


@click.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--bundle", type=click.Path(path_type=Path), help="Folder from export/build_engine.py.")
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    shell_complete=complete_backends,
    help="Inference library.",
)
@click.option(
    "--measure/--no-measure",
    default=True,
    help="Whether auto may time the CPU's libraries on a large bundle, once, for 5 s at most.",
)
@click.option("--precision", type=click.Choice(PRECISIONS), help="Variant to run.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Inference threads.")
@click.option("--batch-size", type=click.IntRange(1, 1024), help="Frames in a batch.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def bench(
    video: Path,
    bundle: Path | None,
    backend: str,
    measure: bool,
    precision: Precision | None,
    threads: int | None,
    batch_size: int | None,
    as_json: bool,
) -> None:
    """Time decoding, faces, each engine and writing on VIDEO, then the whole chain."""
    require_address_space("emorec-rt", PROGRAM_MB)
    import msgspec

    from emorec_rt import load
    from emorec_rt.engines import AUTO
    from emorec_rt.faces import keep_opencv_to_one_thread
    from emorec_rt.recognizer.profile import profile

    keep_opencv_to_one_thread()
    recognizer = load(
        bundle,
        backend=backend,
        measure=measure,
        precision=precision,
        threads=threads,
        batch_size=batch_size,
    )
    result = profile(recognizer, video)
    if as_json:
        tell(msgspec.json.encode(result).decode())
        return
    if backend == AUTO and measure and (answer := _measured(bundle, precision, threads)):
        tell(f"auto: {answer}")
    tell(f"{'stage':8}{'calls':>8}{'total s':>10}{'p50 ms':>10}{'p95 ms':>10}")
    for stage in result.stages:
        tell(
            f"{stage.name:8}{stage.calls:>8}{stage.total_seconds:>10.3f}{stage.p50_ms:>10.2f}{stage.p95_ms:>10.2f}"
        )
    if result.lanes > 1:
        tell(f"(engines: one batch alone; the whole chain runs {result.lanes} at once)")
    tell(f"whole chain: {result.frames} frames, {result.media_seconds:.1f} s of media")
    tell(f"in {result.wall_seconds:.2f} s: {result.times_real_time:.1f}x real time")
    tell(f"peak memory {result.peak_memory_mib:.0f} MiB")


def _measured(bundle: Path | None, precision: Precision | None, threads: int | None) -> Measured | None:
    """Rates that ``auto`` went by; ``None`` where it measured nothing."""
    from emorec_rt.bundle import open_bundle
    from emorec_rt.engines import kept_answer

    return kept_answer(open_bundle(bundle), precision=precision, threads=threads)
