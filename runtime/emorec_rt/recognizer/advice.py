"""Advice for a machine on which no pace keeps up: what would take less."""

from __future__ import annotations

from typing import Final

from emorec_rt.bundle import Bundle, open_bundle
from emorec_rt.bundle.manifest import Precision
from emorec_rt.engines import default_precision
from emorec_rt.recognizer.options import Options
from emorec_rt.windows.pace import LONGEST_STRETCH, Pace

CPU_BACKENDS: Final = ("onnxruntime", "openvino")
"""Libraries that run INT8 faster than FP32 wherever they run."""


def advice(bundle: Bundle, options: Options, backend: str, pace: Pace) -> str:
    """One line that names the smaller modes and bundles there are, the nearest first.

    Args:
        bundle: The one that runs.
        options: How it runs.
        backend: Library that runs it.
        pace: The input's, which is stuck.
    """
    if pace.idle:
        return (
            "this machine can't keep up: decoding and looking for faces take too long; take smaller pictures "
            "or fewer of them (--camera-size, --camera-fps, another stream of the camera)"
        )
    less = [*_modes(bundle, options, backend), *_smaller_bundle(bundle, options, backend)]
    what = f"try {', or '.join(less)}" if less else "nothing smaller is there: it takes a faster machine"
    slowest = pace.stretch == LONGEST_STRETCH
    why = (
        f"even with one frame in {pace.stretch:.0f} encoded"
        if slowest
        else "sound comes too late for its rows"
    )
    return f"this machine can't keep up, {why}; {what}"


def _modes(bundle: Bundle, options: Options, backend: str) -> list[str]:
    found = [] if options.faces == "main" else ["--faces main"]
    running = _megabytes(bundle, _precision(bundle, options, backend))
    if backend in CPU_BACKENDS and _has(bundle, "int8") and (small := _megabytes(bundle, "int8")) < running:
        found.append(f"--precision int8 ({small:.0f} MB of weights instead of {running:.0f})")
    return found


def _smaller_bundle(bundle: Bundle, options: Options, backend: str) -> list[str]:
    """The default model, where it is smaller than the bundle that runs."""
    default = open_bundle()
    running = _megabytes(bundle, _precision(bundle, options, backend))
    small = _megabytes(default, default_precision(default, backend))
    return [f"the default model ({small:.0f} MB; no --bundle)"] if small < running / 2 else []


def _precision(bundle: Bundle, options: Options, backend: str) -> Precision:
    return options.precision or default_precision(bundle, backend)


def _has(bundle: Bundle, precision: Precision) -> bool:
    return all(precision in graph.variants for graph in bundle.manifest.graphs.values())


def _megabytes(bundle: Bundle, precision: Precision) -> float:
    return sum(graph.variants[precision].size_bytes for graph in bundle.manifest.graphs.values()) / 1e6
