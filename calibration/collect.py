"""Collect activation ranges from real clips, for the INT8 build.

python calibration/collect.py --bundle engines/demo --out ranges.json clips/*.mp4

Then ``python export/build_engine.py --int8 --calib ranges.json``. Of long recordings a seeded sample of
short stretches is run, spread over all of them (``--seconds``). What was done is kept after each clip in
``ranges.json.partial``: the same command goes on there after an interruption.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from emorec_rt.cli.exits import INSTALL_WORKSHOP, exit_codes


@dataclass(frozen=True)
class _Request:
    clips: tuple[Path, ...]
    bundle: Path | None
    out: Path
    method: str
    limit: int | None
    seconds: float
    seed: int


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.argument("clips", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--bundle",
    "bundle_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Bundle whose FP32 graphs are observed.  [default: the default bundle]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("ranges.json"),
    show_default=True,
    help="File to write.",
)
@click.option(
    "--method",
    type=click.Choice(["max", "percentile", "entropy"]),
    default="max",
    show_default=True,
    help="How a range is drawn from values.",
)
@click.option("--fresh", is_flag=True, help="Start anew, whatever an interrupted run has left.")
@click.option("--limit", type=click.IntRange(min=1), help="Take this many clips at random.  [default: all]")
@click.option(
    "--seconds",
    type=click.FloatRange(min=1.0),
    default=600.0,
    show_default=True,
    help="Run this much of the clips, in stretches of 8 s at random places, spread over all of them.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the choice of clips and places.")
@exit_codes(INSTALL_WORKSHOP)
def main(
    clips: tuple[Path, ...],
    bundle_folder: Path | None,
    out: Path,
    method: str,
    fresh: bool,
    limit: int | None,
    seconds: float,
    seed: int,
) -> None:
    """Collect, exit 0; 2 when the call is wrong, 1 for any other failure."""
    _run(_Request(clips, bundle_folder, out, method, limit, seconds, seed), fresh=fresh)
    click.echo(out)


def _limited(files: list[Path], limit: int | None, seed: int) -> list[Path]:
    if limit is not None and limit < len(files):
        files = sorted(random.Random(seed).sample(files, limit))  # noqa: S311 - a sample, not a secret
    return files


def _run(request: _Request, *, fresh: bool) -> None:
    from emorec_calib.collect import Collection, file_identity, media_clips
    from emorec_calib.excerpts import choose, media_files
    from emorec_calib.partial import partial_path, put_aside, take_up
    from emorec_calib.ranges import dump
    from emorec_rt.bundle import open_bundle
    from emorec_rt.bundle.manifest import GRAPH_NAMES, tasks_of

    files = _limited(media_files(request.clips), request.limit, request.seed)
    bundle, out = open_bundle(request.bundle), request.out
    graphs = {name: bundle.graph_file(name, "fp32") for name in GRAPH_NAMES}
    manifest, partial = bundle.manifest, partial_path(out)
    collection = Collection(
        graphs, manifest.preprocessing, len(manifest.labels), request.method, tasks_of(manifest)
    )
    excerpts = choose(files, request.seconds, request.seed)
    identities = {file_identity(file, chosen): file for file, chosen in excerpts.items()}
    if not fresh and (line := take_up(collection, partial, identities)):
        click.echo(line, err=True)
    put_aside(collection, partial)  # an unwritable place shows before the work
    done = set(collection.progress.identities)
    left = [file for identity, file in identities.items() if identity not in done]
    with click.progressbar(length=len(identities), label="clips", file=sys.stderr) as bar:
        bar.update(len(done))
        for clip in media_clips(left, excerpts):
            collection.add(clip)
            put_aside(collection, partial)
            bar.update(1)
    dump(collection.ranges("media", request.seed), out)
    partial.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
