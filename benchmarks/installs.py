"""What each install takes: packages, room on disk, and time, each in a fresh environment.

    python benchmarks/installs.py                    # downloads several GiB
    python benchmarks/installs.py --extra cpu        # one of them, printed and not saved

Room is that of the environment without pip and its bytecode, before anything has been imported. Packages come
from the index that pip is set to, with its cache off, so that the time is as much that of the network as that
of the machine. The result goes to ``benchmarks/results/installs.json``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any, Final

import click
from machine import save

ROOT: Final = Path(__file__).parents[1]
EXTRAS: Final = ("cpu", "openvino", "cpu,serve", "cpu,parquet", "export", "dev")
LIMIT_MIB: Final = {"cpu": 600}
MIB: Final = 2**20


def install(extra: str, folder: Path) -> dict[str, Any]:
    """Install the project with an extra into a fresh environment in ``folder``."""
    venv.create(folder, with_pip=True, symlinks=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    before = {path.name for path in site_packages(folder).iterdir()}
    begun = time.perf_counter()
    subprocess.run(
        [*pip, "install", "--quiet", "--no-cache-dir", "--no-compile", f"{ROOT}[{extra}]"],
        check=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": ""},
    )
    seconds = time.perf_counter() - begun
    added = [path for path in site_packages(folder).iterdir() if path.name not in before]
    return {
        "extra": extra,
        "packages": sum(path.name.endswith(".dist-info") for path in added),
        "mib": round(sum(size(path) for path in added) / MIB),
        "seconds": round(seconds, 1),
        "limit_mib": LIMIT_MIB.get(extra),
    }


def site_packages(folder: Path) -> Path:
    """Folder of an environment's packages."""
    return next((folder / "lib").glob("python*/site-packages"))


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink())


@click.command()
@click.option("--extra", multiple=True, type=click.Choice(EXTRAS), help="Only these; nothing is saved.")
def main(extra: tuple[str, ...]) -> None:
    """Measure, print and save."""
    measured = []
    for name in extra or EXTRAS:
        with tempfile.TemporaryDirectory() as folder:
            measured.append(install(name, Path(folder)))
        click.echo("{extra:14} {packages:4} packages {mib:6} MiB {seconds:7} s".format(**measured[-1]))
    if not extra:
        click.echo(f"wrote {save('installs', {'installs': measured})}")
    missed = [one for one in measured if one["limit_mib"] and one["mib"] > one["limit_mib"]]
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
