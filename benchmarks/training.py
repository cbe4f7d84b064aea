"""The demo training, once a seed: time, and macro F1 of picture, sound and both on held-out generated clips.

    python benchmarks/training.py --seed 0 --seed 1 --seed 2

Runs ``train/run.py`` as a user would, into ``runs/demo-seed<N>``, and stands each figure beside its limit;
each seed goes to ``benchmarks/results/training.json`` when it is done, beside those that are there.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec
from machine import RESULTS, save

ROOT = Path(__file__).parents[1]
MINUTES_LIMIT = 8.0
BOTH_LIMIT = 0.85
LEAD_LIMIT = 0.10


def train(seed: int) -> dict[str, Any]:
    """Run the demo training; return its minutes and test scores."""
    out = f"runs/demo-seed{seed}"
    started = time.perf_counter()
    command = [sys.executable, "train/run.py", "--seed", str(seed), "--out", out]
    subprocess.run(command, check=True, cwd=ROOT)
    minutes = (time.perf_counter() - started) / 60
    test = msgspec.json.decode((ROOT / out / "metrics.json").read_bytes())["test"]
    scores = {mode: test[mode]["macro_f1"] for mode in ("visual", "audio", "both")}
    lead = scores["both"] - max(scores["visual"], scores["audio"])
    return {"seed": seed, "minutes": minutes, "macro_f1": scores, "lead": lead}


def holds(run: dict[str, Any]) -> bool:
    """Say whether a run keeps every limit."""
    both: float = run["macro_f1"]["both"]
    return bool(run["minutes"] <= MINUTES_LIMIT and both >= BOTH_LIMIT and run["lead"] >= LEAD_LIMIT)


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--seed", "seeds", type=int, multiple=True, default=(0, 1, 2), show_default=True)
def main(seeds: tuple[int, ...]) -> None:
    """Train, print, save; exit with 1 where a limit is missed."""
    held = [_measure(seed) for seed in seeds]
    if not all(held):
        raise SystemExit(1)


def _measure(seed: int) -> bool:
    run = train(seed)
    scores = ", ".join(f"{mode} {value:.3f}" for mode, value in run["macro_f1"].items())
    verdict = "ok" if holds(run) else "MISSED"
    click.echo(
        f"seed {seed}: {run['minutes']:.1f} min (limit {MINUTES_LIMIT:.0f}); macro F1 {scores} "
        f"(both >= {BOTH_LIMIT}); lead {run['lead']:.3f} (>= {LEAD_LIMIT}): {verdict}"
    )
    others = [other for other in _measured() if other["seed"] != seed]
    click.echo(f"saved {save('training', {'runs': sorted([*others, run], key=lambda run: run['seed'])})}")
    return holds(run)


def _measured() -> list[dict[str, Any]]:
    path = RESULTS / "training.json"
    return list(msgspec.json.decode(path.read_bytes())["runs"]) if path.is_file() else []


if __name__ == "__main__":
    main()
