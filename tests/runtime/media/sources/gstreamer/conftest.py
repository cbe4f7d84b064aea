"""GStreamer, or a skip that says what is missing."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from emorec_rt.errors import DecoderUnavailableError
from emorec_rt.media.gstreamer.library import GStreamer, import_gstreamer

SYSTEM_PACKAGES = Path("/usr/lib/python3/dist-packages")


@pytest.fixture(scope="session")
def gi_path(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """A folder with the system's PyGObject in it and nothing else; ``None`` where this Python can't use it.

    Virtual environments don't see it, and pip can't install it without a compiler.
    """
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    if not list((SYSTEM_PACKAGES / "gi").glob(f"_gi.cpython-{version}-*.so")):
        return None
    folder = tmp_path_factory.mktemp("gi")
    (folder / "gi").symlink_to(SYSTEM_PACKAGES / "gi")
    return folder


@pytest.fixture(scope="session")
def gstreamer(gi_path: Path | None) -> GStreamer:
    if importlib.util.find_spec("gi") is None and gi_path is not None:
        sys.path.append(str(gi_path))
    try:
        return import_gstreamer()
    except DecoderUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def environment(gi_path: Path | None, gstreamer: GStreamer) -> dict[str, str]:
    """For the command in a process of its own."""
    paths = [str(Path(__file__).parents[5] / "runtime"), *([str(gi_path)] if gi_path else [])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
