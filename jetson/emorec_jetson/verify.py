"""Checks an installation: JetPack's own TensorRT, and nothing from pip in its place.

python -m emorec_jetson.verify            what is where; loads nothing of the GPU (fit for building an image)
python -m emorec_jetson.verify --load     loads TensorRT too (on the Jetson, or in a container with the GPU)
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from emorec_rt.machine.jetson.installation import APT, intruders, tensorrt_origin


@dataclass(frozen=True)
class Check:
    """One thing that was checked: a line for a person, and whether it holds."""

    name: str
    holds: bool
    detail: str

    def __str__(self) -> str:
        return f"{'ok    ' if self.holds else 'FAILED'}  {self.name}: {self.detail}"


def check_all(prefix: Path, *, load: bool) -> list[Check]:
    """Check the environment whose folder is ``prefix``."""
    checks = [check_runtime(), check_tensorrt(prefix), check_intruders(prefix, metadata.distributions())]
    return [*checks, check_load()] if load else checks


def check_runtime() -> Check:
    """Check that the runtime is there."""
    try:
        return Check("emorec", True, metadata.version("emorec"))
    except metadata.PackageNotFoundError:
        return Check("emorec", False, "not installed")


def check_tensorrt(prefix: Path) -> Check:
    """Check that ``import tensorrt`` would find the system's package, without importing it."""
    origin = tensorrt_origin()
    if origin is None:
        return Check("tensorrt", False, f"not found: {APT}")
    if origin.is_relative_to(prefix):
        return Check("tensorrt", False, f"{origin} came from pip, not from JetPack: pip uninstall it")
    return Check("tensorrt", True, f"JetPack's, {origin}")


def check_intruders(prefix: Path, installed: Iterable[metadata.Distribution]) -> Check:
    """Check that pip has put none of the forbidden packages into the environment."""
    if found := intruders(prefix, installed):
        return Check("pip", False, f"{', '.join(found)} must not come from pip here: pip uninstall")
    return Check("pip", True, "nothing in the place of JetPack's libraries")


def check_load() -> Check:
    """Load TensorRT for real."""
    try:
        tensorrt = importlib.import_module("tensorrt")
    except ImportError as error:
        return Check("load", False, f"{error}; in a container, start it with the NVIDIA runtime")
    return Check("load", True, f"TensorRT {tensorrt.__version__}")


def main() -> int:
    """Print all checks; 0 when they all hold."""
    parser = argparse.ArgumentParser(
        prog="python -m emorec_jetson.verify", description="Check an installation."
    )
    parser.add_argument("--load", action="store_true", help="load TensorRT too")
    checks = check_all(Path(sys.prefix), load=parser.parse_args().load)
    sys.stdout.write("".join(f"{check}\n" for check in checks))
    return 0 if all(check.holds for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
