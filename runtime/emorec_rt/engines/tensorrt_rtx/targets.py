"""Compute capabilities that TensorRT for RTX builds for and runs on."""

from __future__ import annotations

from typing import Final

import msgspec

from emorec_rt.bundle.manifest import Precision
from emorec_rt.engines.tensorrt.options import BuildOptions
from emorec_rt.errors import UsageError

KNOWN: Final = (75, 80, 86, 89, 120, 121)
"""Targets of release 1.7. Turing (75) is never its own choice; Hopper, Orin, Thor are missing."""

FP8_TARGETS: Final = (89, 120)
"""FP8 is in the hardware of Ada and Blackwell; for Ampere the builder refuses it."""
FP8_FROM: Final = 89
_BLACKWELL: Final = (12, 0)


def runs_on(compute_capability: tuple[int, int]) -> bool:
    """Say whether an engine of the library's own targets runs on a GPU; major and minor compute capability.

    So says the library itself, asked on an H200 (9.0), which it refuses.
    """
    return compute_capability in {(8, 0), (8, 6), (8, 9)} or compute_capability >= _BLACKWELL


def check_options(options: BuildOptions) -> None:
    """Refuse what this library doesn't do.

    Raises:
        UsageError: An option is TensorRT's alone, or a target is not known.
    """
    for name, on in (
        ("--refit", options.refit),
        ("--version-compatible", options.version_compatible),
        ("ampere_plus", options.ampere_plus),
        ("--workspace", options.workspace_bytes is not None),
    ):
        if on:
            raise UsageError(f"{name} is for TensorRT; TensorRT for RTX has nothing like it, leave it out")
    if unknown := [target for target in options.targets if target not in KNOWN]:
        raise UsageError(
            f"--sm {unknown[0]}: TensorRT for RTX builds for {', '.join(map(str, KNOWN))}; "
            "other GPUs run with --backend tensorrt or onnxruntime-cuda"
        )


def options_for(options: BuildOptions, precision: Precision) -> BuildOptions:
    """The options with the targets that a precision takes.

    Raises:
        UsageError: A target has no hardware for it.
    """
    check_options(options)
    if precision != "fp8":
        return options
    if not options.targets:
        return msgspec.structs.replace(options, targets=FP8_TARGETS)
    if old := [target for target in options.targets if target < FP8_FROM]:
        raise UsageError(
            f"--sm {old[0]}: FP8 needs compute capability 8.9 or later; ask for "
            f"{','.join(map(str, FP8_TARGETS))}, or take int8-fp16"
        )
    return options
