"""Fetch TensorRT's Python bindings and make stand-ins for their libraries, so that they import anywhere.

    python tests/runtime/engines/tensorrt/fetch_bindings.py [FOLDER]

The wheels (about 1.2 MB each) hold every class, enum and signature; building or running engines needs
NVIDIA's libraries, which they don't hold. FOLDER defaults to EMOREC_TRT_BINDINGS, then to the user's cache.
What is there already is kept. Prints one line a release: version, Python path, library path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RELEASES = {
    "10.3.0": "tensorrt-cu12-bindings==10.3.0",  # JetPack 6.1, 6.2
    "10.13.3.9": "tensorrt-cu12-bindings==10.13.3.9",  # JetPack 7.0
    "10.16.1.11": "tensorrt-cu13-bindings==10.16.1.11",  # JetPack 7.2
    "11.4.0.106": "tensorrt-cu13-bindings==11.4.0.106",
}
NEWEST_PYTHON = {"10.3.0": (3, 12)}
"""Of releases whose wheels end there."""

LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
SYMBOLS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
PACKAGE = "from tensorrt_bindings import *\nfrom tensorrt_bindings import __version__\n"
"""What the ``tensorrt`` wheel itself does."""


class MissingError(RuntimeError):
    """The compiler or the wheels can't be had here."""


def default_folder() -> Path:
    """Where bindings are kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("EMOREC_TRT_BINDINGS") or cache / "emorec" / "trt-bindings")


def fetch(release: str, folder: Path) -> tuple[Path, Path]:
    """The bindings of a release, fetched if they aren't there.

    Returns:
        The folder for PYTHONPATH, and the one for LD_LIBRARY_PATH.

    Raises:
        MissingError: No compiler, or no wheel for this Python.
    """
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    libraries = _libraries(folder, release.split(".")[0])
    packages = folder / f"{release}-{python}"
    if not packages.is_dir():
        _install(RELEASES[release], packages)
    return packages, libraries


def _install(requirement: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        packages = Path(scratch) / "packages"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
        command += [
            "--disable-pip-version-check",
            "--retries",
            "1",
            "--timeout",
            "15",
            "--target",
            str(packages),
            requirement,
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise MissingError(f"pip can't install {requirement}: {result.stderr.strip().splitlines()[-1]}")
        (packages / "tensorrt").mkdir(exist_ok=True)
        (packages / "tensorrt" / "__init__.py").write_text(PACKAGE, encoding="utf-8")
        _settle(packages, target)


def _settle(made: Path, target: Path) -> None:
    """Put a finished folder in its place, unless another process was quicker."""
    try:
        made.replace(target)
    except OSError:
        if not target.is_dir():
            raise


def _libraries(folder: Path, major: str) -> Path:
    target = folder / f"lib{major}"
    if not target.is_dir():
        _compile(target, major)
    return target


def _compile(target: Path, major: str) -> None:
    """Every symbol gives a null pointer, which the bindings report as they do without a driver."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise MissingError("no C compiler (gcc)")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        source, made = Path(scratch) / "stub.c", Path(scratch) / "lib"
        made.mkdir()
        source.write_text(
            "".join(f"void *{name}(void) {{ return 0; }}\n" for name in SYMBOLS), encoding="ascii"
        )
        for name in LIBRARIES:
            library = made / f"lib{name}.so.{major}"
            subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        _settle(made, target)


def main() -> int:
    """Fetch all releases."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default_folder()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for release in RELEASES:
            print(release, *fetch(release, folder.resolve()), sep="\t")
    except MissingError as error:
        print(f"{release}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
