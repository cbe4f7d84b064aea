"""``emorec-rt bench VIDEO``: where the time goes on this machine."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--bundle", type=click.Path(path_type=Path), help="Folder from export/build_engine.py.")
@click.option("--backend", default="auto", show_default=True, help="Inference library.")
@click.option(
    "--precision", type=click.Choice(["fp32", "fp16", "int8", "int8-fp16", "fp8"]), help="Variant to run."
)
@click.option("--threads", type=click.IntRange(1, 1024), help="Inference threads.")
@click.option("--batch-size", type=click.IntRange(1, 1024), help="Frames in a batch.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def bench(
    video: Path,
    bundle: Path | None,
    backend: str,
    precision: str | None,
    threads: int | None,
    batch_size: int | None,
    as_json: bool,
) -> None:
    """Time decoding, faces, each engine and writing on VIDEO, then the whole chain."""
    import msgspec

    from emorec_rt import load
    from emorec_rt.faces import keep_opencv_to_one_thread
    from emorec_rt.profile import profile

    keep_opencv_to_one_thread()
    options = {"backend": backend, "precision": precision, "threads": threads, "batch_size": batch_size}
    result = profile(load(bundle, **options), video)
    if as_json:
        click.echo(msgspec.json.encode(result).decode())
        return
    click.echo(f"{'stage':8}{'calls':>8}{'total s':>10}{'p50 ms':>10}{'p95 ms':>10}")
    for stage in result.stages:
        click.echo(
            f"{stage.name:8}{stage.calls:>8}{stage.total_seconds:>10.3f}{stage.p50_ms:>10.2f}{stage.p95_ms:>10.2f}"
        )
    if result.lanes > 1:
        click.echo(f"(engines: one batch alone; the whole chain runs {result.lanes} at once)")
    click.echo(f"whole chain: {result.frames} frames, {result.media_seconds:.1f} s of media")
    click.echo(f"in {result.wall_seconds:.2f} s: {result.times_real_time:.1f}x real time")
    click.echo(f"peak memory {result.peak_memory_mib:.0f} MiB")
