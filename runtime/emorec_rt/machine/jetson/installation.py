"""Whose libraries an environment uses: JetPack's own, or something from pip in their place."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

NOT_FROM_PIP: Final = (
    "tensorrt",
    "torch",
    "opencv-python",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
"""Must not be installed inside the environment; ``jetson/constraints.txt`` keeps them out."""

_PREFIXES: Final = ("tensorrt-cu", "nvidia-cu")
APT: Final = "sudo apt-get install python3-libnvinfer"


UNSEEN: Final = "jetson/setup.sh, or an environment by /usr/bin/python3 -m venv --system-site-packages"
"""Advice where JetPack's TensorRT is installed and this Python doesn't see it."""


def system_tensorrt(root: Path = Path("/")) -> Path | None:
    """Folder of the TensorRT that apt installed for the system's Python; ``None`` without one."""
    return next(iter(sorted(root.glob("usr/lib/python3*/dist-packages/tensorrt"))), None)


def tensorrt_origin() -> Path | None:
    """The file that ``import tensorrt`` would load, without importing it; ``None`` where there is none."""
    spec = find_spec("tensorrt")
    return None if spec is None or spec.origin is None else Path(spec.origin)


def intruders(prefix: Path, installed: Iterable[metadata.Distribution]) -> list[str]:
    """Names of packages that pip has put into an environment in the place of JetPack's.

    Args:
        prefix: The environment's folder; what lies elsewhere is the system's.
        installed: All packages that are visible in it.
    """
    inside = (one for one in installed if Path(str(one.locate_file(""))).is_relative_to(prefix))
    names = {(one.metadata["Name"] or "").lower().replace("_", "-") for one in inside}
    return sorted(name for name in names if name in NOT_FROM_PIP or name.startswith(_PREFIXES))
