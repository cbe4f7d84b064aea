"""Look for a ready-made arm64 wheel of every runtime dependency, for the Jetsons' systems.

    python benchmarks/check_arm64_wheels.py

Resolves the dependencies of ``pyproject.toml`` (with the ``cpu`` extra) and of ``jetson/requirements.*.txt``
for Python 3.10 on Ubuntu 22.04 (glibc 2.35) and Python 3.12 on Ubuntu 24.04 (glibc 2.39), wheels only, and
prints what pip would install there under ``jetson/constraints.txt``. Nothing is installed. pip evaluates
environment markers for the Python it runs under, so ``python3.10`` and ``python3.12`` are used where PATH has
them, and the table says which one answered. The result goes to ``benchmarks/results/arm64_wheels.json``; exit
code 1 where a wheel is missing.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import msgspec
from machine import save

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "jetson" / "constraints.txt"
OLDEST_GLIBC_MINOR = 17
"""manylinux2014: the oldest arm64 wheels there are."""
_MANYLINUX = re.compile(r"manylinux_2_(\d+)_aarch64")


@dataclass(frozen=True)
class Target:
    """A Jetson's system.

    Attributes:
        name: JetPack and Ubuntu.
        python: Its Python.
        glibc_minor: ``35`` for glibc 2.35: wheels for a newer one don't load.
        requirements: File of what JetPack's environment needs beside the project.
    """

    name: str
    python: str
    glibc_minor: int
    requirements: Path


TARGETS = (
    Target("JetPack 6, Ubuntu 22.04", "3.10", 35, ROOT / "jetson" / "requirements.jp6.txt"),
    Target("JetPack 7, Ubuntu 24.04", "3.12", 39, ROOT / "jetson" / "requirements.jp7.txt"),
)


@dataclass(frozen=True)
class Wheel:
    """One wheel that pip chose.

    Attributes:
        name: Project name.
        version: Its version.
        file_name: Wheel file.
        glibc_minor: Oldest glibc 2.x that it loads on; ``None`` for a wheel without compiled code.
    """

    name: str
    version: str
    file_name: str
    glibc_minor: int | None


@dataclass(frozen=True)
class Answer:
    """Ask pip about one target.

    Attributes:
        target: Name of the target.
        markers_of: Python under which pip evaluated environment markers.
        wheels: The wheels; empty where there is a problem.
        problem: What is missing; ``None`` when all wheels exist.
    """

    target: str
    markers_of: str
    wheels: tuple[Wheel, ...]
    problem: str | None


def runtime_requirements(pyproject: Path) -> list[str]:
    """Read the project's own dependencies and those of its ``cpu`` extra."""
    project = msgspec.toml.decode(pyproject.read_bytes())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["cpu"]]


def platforms(glibc_minor: int) -> list[str]:
    """List the wheel platforms that load with glibc 2.``glibc_minor``, newest first."""
    newest_first = range(glibc_minor, OLDEST_GLIBC_MINOR - 1, -1)
    return [*(f"manylinux_2_{minor}_aarch64" for minor in newest_first), "manylinux2014_aarch64"]


def wheel_of(name: str, version: str, url: str) -> Wheel:
    """Describe a wheel by its file name; several platform tags mean the oldest of them is enough."""
    file_name = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    minors = [int(minor) for minor in _MANYLINUX.findall(file_name)]
    if "manylinux2014_aarch64" in file_name:
        minors.append(OLDEST_GLIBC_MINOR)
    return Wheel(name, version, file_name, min(minors, default=None))


def python_for(version: str) -> str:
    """Find an interpreter of that version that has pip, or take the one that runs this."""
    candidate = shutil.which(f"python{version}")
    if candidate:
        probe = subprocess.run([candidate, "-m", "pip", "--version"], capture_output=True, check=False)
        if probe.returncode == 0:
            return candidate
    return sys.executable


def ask(target: Target, requirements: list[str]) -> Answer:
    """Resolve for one target."""
    python = python_for(target.python)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            *(python, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"),
            *("--disable-pip-version-check", "--only-binary", ":all:", "--implementation", "cp"),
            *("--python-version", target.python, "--target", str(Path(folder) / "unused")),
            *(word for tag in platforms(target.glibc_minor) for word in ("--platform", tag)),
            *("--constraint", str(CONSTRAINTS)),
            *("--report", str(report), "--requirement", str(target.requirements), *requirements),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        markers_of = (
            f"python{target.python}" if python != sys.executable else f"python3.{sys.version_info[1]}"
        )
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
            return Answer(target.name, markers_of, (), (errors or ["pip failed"])[0])
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    wheels = [
        wheel_of(one["metadata"]["name"], one["metadata"]["version"], one["download_info"]["url"])
        for one in found
    ]
    return Answer(target.name, markers_of, tuple(sorted(wheels, key=lambda one: one.name.lower())), None)


def table(answer: Answer) -> str:
    """One line for each wheel."""
    lines = [f"{answer.target} (markers of {answer.markers_of})"]
    if answer.problem:
        return "\n".join([*lines, f"  MISSING  {answer.problem}"])
    for wheel in answer.wheels:
        needs = "pure Python" if wheel.glibc_minor is None else f"glibc 2.{wheel.glibc_minor}"
        lines.append(f"  {wheel.name:24} {wheel.version:14} {needs:12} {wheel.file_name}")
    return "\n".join(lines)


@click.command(help=__doc__)
def main() -> None:
    """Ask for each target, print, save; exit with 1 where a wheel is missing."""
    requirements = runtime_requirements(ROOT / "pyproject.toml")
    answers = [ask(target, requirements) for target in TARGETS]
    for answer in answers:
        click.echo(table(answer))
    path = save("arm64_wheels", {"requirements": requirements, "answers": [asdict(one) for one in answers]})
    click.echo(f"saved {path}")
    if any(answer.problem for answer in answers):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
