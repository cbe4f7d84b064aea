r"""Emotions of people, read by ours and by packages that others install.

    python benchmarks/people.py --data DATA --media MEDIA --run runs/default --old OLD \\
        --fer ENV/bin/python --face-api FOLDER

DATA is what the model was made from: its held-out pictures and speakers are scored. MEDIA has recordings that
nothing was learnt from: ``labelled`` (RAVDESS, nEMO) and talking faces in ``faces/grid``. ``--run`` has the
checkpoints of ``export/make_default.py``. ``--old`` is a bundle that is measured beside. ``fer`` needs an
environment of its own (``pip install fer tensorflow 'opencv-python-headless<5' 'setuptools<81'``), face-api a
folder of its own (``npm install @vladmandic/face-api @tensorflow/tfjs @tensorflow/tfjs-backend-wasm``); what
isn't given is left out, with a line. All see the same crops, one at a time. Intervals are of 95 %. Writes
results/people.json.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
import people_methods
from machine import save
from people_chain import Chain
from people_faces import confusion, faces
from people_methods import Method
from people_pairs import agreement, pairs, talking
from people_tracks import folds, read_utterances, voices

from emorec_rt.constants import EXPRESSIONS

HELD_OUT_FOLD: Final = 2
"""Of EMO-DB, the speakers whom the default model has not heard."""


def face_methods(
    bundle: Path | None, old: Path | None, stills: Path | None, fer: Path | None, face_api: Path | None
) -> dict[str, Method]:
    """By the name in the table; what isn't there is told."""
    methods: dict[str, Method] = {"always Neutral": people_methods.neutral}
    methods["bundle, fp32"] = people_methods.bundle(bundle, "fp32")
    methods["bundle, int8"] = people_methods.bundle(bundle, "int8")
    if old is not None:
        methods["trained on drawings"] = people_methods.bundle(old, "fp32")
    if stills is not None:
        methods["visual encoder alone"] = people_methods.stills(stills)
    for name, place, make in (
        ("fer", fer, people_methods.fer),
        ("face-api", face_api, people_methods.face_api),
    ):
        if place is None:
            click.echo(f"{name} is not compared: it isn't installed, or --{name} doesn't say where")
        else:
            methods[name] = make(place)
    return methods


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--media", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--bundle", type=click.Path(path_type=Path), help="[default: the one that ships]")
@click.option("--run", type=click.Path(path_type=Path), help="Checkpoints of export/make_default.py.")
@click.option("--old", type=click.Path(path_type=Path), help="A bundle to measure beside.")
@click.option("--fer", type=click.Path(path_type=Path), help="Python that has fer.")
@click.option("--face-api", type=click.Path(path_type=Path), help="Folder whose node_modules has face-api.")
def main(
    data: Path,
    media: Path,
    bundle: Path | None,
    run: Path | None,
    old: Path | None,
    fer: Path | None,
    face_api: Path | None,
) -> None:
    """Run every section, print its figures, save them."""
    stills = None if run is None else run / "pictures"
    methods = face_methods(bundle, old, stills, fer, face_api)
    figures = faces(data, media, methods)
    chains = {"bundle, fp32": Chain(bundle, "fp32")}
    bundles = {"bundle": bundle}
    if old is not None:
        chains["trained on drawings"], bundles["trained on drawings"] = Chain(old, "fp32"), old
    utterances = read_utterances(data, media)
    held_out = [one for one in utterances if one.fold == HELD_OUT_FOLD]
    figures += talking(media, bundles)
    figures += pairs(data, held_out, chains, run)
    figures += agreement(data, held_out, bundle)
    figures += voices(utterances, chains)
    if run is not None and (run / "folds").is_dir():
        figures += folds(utterances, run / "folds")
    for figure in figures:
        click.echo(figure)
    result = {
        "labels": EXPRESSIONS,
        "confusion": confusion(data, methods["bundle, fp32"]),
        "figures": [asdict(figure) for figure in figures],
    }
    click.echo(save("people", result))


if __name__ == "__main__":
    main()
