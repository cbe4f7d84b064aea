"""A bundle on labelled recordings of real people: accuracy, with its interval, whatever it is.

    python benchmarks/real_material.py MEDIA [--bundle engines/mine]

MEDIA is a folder with a ``labels.csv`` (columns ``file``, ``modality``, ``label_8class``; paths relative to
the folder above it): spoken clips of RAVDESS and nEMO and some stills, which are not part of the project.
A clip's answer is the class with the highest mean probability over its rows.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from machine import save
from scipy.stats import binomtest
from sklearn.metrics import recall_score

import emorec_rt
from emorec_rt.recognizer.recognizer import Recognizer


def answer(recognizer: Recognizer, path: Path) -> str:
    """The clip's class."""
    mean = np.mean([row.probabilities for row in recognizer.stream(path)], axis=0)
    return recognizer.labels[int(mean.argmax())]


def report(truth: list[str], answers: list[str]) -> dict[str, Any]:
    """Accuracy with its 95 % Wilson interval, and unweighted recall."""
    correct = sum(t == a for t, a in zip(truth, answers, strict=True))
    interval = binomtest(correct, len(truth)).proportion_ci(0.95, method="wilson")
    return {
        "clips": len(truth),
        "classes": len(set(truth)),
        "accuracy": correct / len(truth),
        "interval": [float(interval.low), float(interval.high)],
        "unweighted_recall": float(recall_score(truth, answers, labels=sorted(set(truth)), average="macro")),
        "chance": 1 / len(set(truth)),
    }


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.argument("media", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--bundle", type=click.Path(path_type=Path), help="[default: the default bundle]")
def main(media: Path, bundle: Path | None) -> None:
    """Run every labelled file, print a line for each kind, save the result."""
    recognizer = emorec_rt.load(bundle)
    with (media / "labels.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["label_8class"]]
    kinds: dict[str, list[tuple[str, str]]] = defaultdict(list)
    with click.progressbar(rows, label="recognising") as progress:
        for row in progress:
            kinds[row["modality"]].append(
                (row["label_8class"], answer(recognizer, media.parent / row["file"]))
            )
    results = {kind: report(*map(list, zip(*pairs, strict=True))) for kind, pairs in kinds.items()}
    for kind, r in results.items():
        low, high = r["interval"]
        click.echo(
            f"{kind}: {r['clips']} clips, {r['classes']} classes: accuracy {r['accuracy']:.3f} "
            f"(95 % interval {low:.3f} to {high:.3f}), unweighted recall {r['unweighted_recall']:.3f}, "
            f"chance {r['chance']:.3f}"
        )
    name = recognizer.bundle.manifest.name
    click.echo(f"saved {save('real_material', {'bundle': name, 'kinds': results})}")


if __name__ == "__main__":
    main()
