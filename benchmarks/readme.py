"""Write the measured numbers into README.md from ``benchmarks/results/*.json``.

python benchmarks/readme.py            # rewrite the tables
python benchmarks/readme.py --check    # fail if they differ from the committed measurements
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from machine import RESULTS

README = Path(__file__).parents[1] / "README.md"


def first_run(result: dict[str, Any]) -> str:
    """Start-up, speed, memory."""
    rows = [
        f"| {figure['name']} | {figure['value']:.2f} {figure['unit']} | {figure['limit']} |"
        for figure in result["figures"]
    ]
    return "\n".join(["| demo bundle | measured | limit |", "|---|---|---|", *rows, "", _machine(result)])


def demo(result: dict[str, Any]) -> str:
    """What the first command prints."""
    return f"```\n{result['transcript']}\n```"


def training(result: dict[str, Any]) -> str:
    """Macro F1 by stream and seed."""
    rows = [
        f"| {run['seed']} | "
        + " | ".join(f"{run['macro_f1'][mode]:.3f}" for mode in ("visual", "audio", "both"))
        + f" | {run['minutes']:.1f} min |"
        for run in result["runs"]
    ]
    head = ["| seed | picture alone | sound alone | both | training |", "|---|---|---|---|---|"]
    note = "Macro F1 on held-out generated clips. " + _machine(result)
    return "\n".join([*head, *rows, "", note])


def real_material(result: dict[str, Any]) -> str:
    """Accuracy with its interval."""
    rows = [
        f"| {kind} | {r['clips']} | {r['accuracy']:.3f} | {r['interval'][0]:.3f} to {r['interval'][1]:.3f} | "
        f"{r['unweighted_recall']:.3f} | {r['chance']:.3f} |"
        for kind, r in result["kinds"].items()
    ]
    head = [
        "| material | clips | accuracy | 95 % interval | unweighted recall | chance |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows])


TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "demo": ("first_run", demo),
    "first_run": ("first_run", first_run),
    "training": ("training", training),
    "real_material": ("real_material", real_material),
}
"""By the name of the README's block: the measurement that it shows, and how."""


def _machine(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, {machine['date']}."


def filled(text: str) -> str:
    """The README with every table made anew; a table without a measurement is left empty."""
    for name, (measurement, table) in TABLES.items():
        path = RESULTS / f"{measurement}.json"
        body = table(json.loads(path.read_text(encoding="utf-8"))) + "\n" if path.is_file() else ""
        block = re.compile(rf"(<!-- table:{name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = block.sub(lambda match, body=body: match[1] + body + match[2], text)  # type: ignore[misc]
    return text


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--check", is_flag=True, help="Only compare.")
def main(check: bool) -> None:
    """Rewrite or compare."""
    text = README.read_text(encoding="utf-8")
    if check and filled(text) != text:
        raise click.ClickException(
            "README.md differs from benchmarks/results: run python benchmarks/readme.py"
        )
    README.write_text(filled(text), encoding="utf-8")


if __name__ == "__main__":
    main()
