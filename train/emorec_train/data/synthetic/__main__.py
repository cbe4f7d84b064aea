"""Draw one clip, to look at and to listen to.

``python -m emorec_train.data.synthetic --seed 3 --out clip.mp4 --labels clip.csv --sheet clip.png``
"""

from __future__ import annotations

from pathlib import Path

import click

from emorec_rt.cli.exits import INSTALL_WORKSHOP, exit_codes
from emorec_train.data.synthetic import ClipSpec, draw_clip, write_clip, write_labels, write_sheet


@click.command()
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--seconds", type=float, default=6.0, show_default=True)
@click.option(
    "--size", type=(int, int), default=(256, 256), show_default=True, help="Width and height in pixels."
)
@click.option(
    "--label", "labels", multiple=True, help="Class of the next segment; repeat. Default: drawn at random."
)
@click.option("--plain", is_flag=True, help="Faces as people show them, one a class, recorded cleanly.")
@click.option("--out", type=click.Path(path_type=Path), help="mp4 to write.")
@click.option(
    "--labels", "labels_out", type=click.Path(path_type=Path), help="csv with the label of each frame."
)
@click.option("--sheet", type=click.Path(path_type=Path), help="png with some of the frames.")
@exit_codes(INSTALL_WORKSHOP)
def main(
    seed: int,
    seconds: float,
    size: tuple[int, int],
    labels: tuple[str, ...],
    plain: bool,
    out: Path | None,
    labels_out: Path | None,
    sheet: Path | None,
) -> None:
    """Draw the clip of a seed and write what is asked for."""
    spec = ClipSpec(
        seconds=seconds, width=size[0], height=size[1], labels=labels or None, clean=plain, plain=plain
    )
    clip = draw_clip(seed, spec)
    if out:
        write_clip(clip, out)
    if labels_out:
        write_labels(clip, labels_out)
    if sheet:
        write_sheet(clip, sheet)


if __name__ == "__main__":
    main()
