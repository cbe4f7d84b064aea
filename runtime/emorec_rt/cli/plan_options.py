"""Options of a build of TensorRT plans, in every program that builds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from emorec_rt.errors import UsageError

if TYPE_CHECKING:
    from emorec_rt.engines.tensorrt.options import BuildOptions

MIB: Final = 1 << 20
Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option(
        "--max-batch",
        type=click.IntRange(1, 1024),
        help="Largest batch of frames, of windows a quarter; memory is reserved for it.  "
        "[default: 32, on a Jetson what its memory takes]",
    ),
    click.option(
        "--workspace",
        "workspace_mib",
        type=click.IntRange(min=1),
        metavar="MIB",
        help="Most scratch memory that a kernel may take.  [default: half of what is free, on a Jetson "
        "at most an eighth]",
    ),
    click.option(
        "--optimization-level",
        type=click.IntRange(0, 5),
        help="0 builds fast, 5 searches longest.  [default: 3]",
    ),
    click.option(
        "--sm",
        "targets",
        metavar="NN,NN",
        help="tensorrt-rtx: compute capabilities to build for, such as 86,89,120.  [default: 80 and later]",
    ),
    click.option("--refit", is_flag=True, help="Weights can be exchanged later without a rebuild."),
    click.option(
        "--version-compatible",
        is_flag=True,
        help="The plan also runs on later TensorRT releases of the same major version.",
    ),
)

PLAN_OPTIONS: Final = (
    "max_batch",
    "workspace_mib",
    "optimization_level",
    "targets",
    "refit",
    "version_compatible",
)
"""Names of their values."""


def plan_options(command: Command) -> Command:
    """Add the options of a build to a command; ``build_options`` takes their values."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def build_options(
    max_batch: int | None,
    workspace_mib: int | None,
    optimization_level: int | None,
    targets: str | None,
    refit: bool,
    version_compatible: bool,
) -> BuildOptions | None:
    """The options that were given; ``None`` when none was, so that a plan at hand is kept as it is."""
    import msgspec

    from emorec_rt.constants import chunks_beside
    from emorec_rt.engines.tensorrt.options import up_to

    given: dict[str, Any] = {}
    if max_batch is not None:
        given["batch"], given["windows"] = up_to(max_batch), up_to(chunks_beside(max_batch))
    if workspace_mib is not None:
        given["workspace_bytes"] = workspace_mib * MIB
    if optimization_level is not None:
        given["optimization_level"] = optimization_level
    if targets is not None:
        given["targets"] = _numbers(targets)
    given.update({name: True for name, on in _flags(refit, version_compatible) if on})
    return msgspec.structs.replace(_machines_own(), **given) if given else None


def _numbers(text: str) -> tuple[int, ...]:
    """Compute capabilities, with or without a dot: ``8.6,120``."""
    try:
        found = tuple(dict.fromkeys(int(part.strip().replace(".", "")) for part in text.split(",")))
    except ValueError:
        raise UsageError(f"--sm {text}: give numbers with commas between them, such as 86,89,120") from None
    if bad := [number for number in found if not 50 <= number <= 999]:
        raise UsageError(f"--sm {bad[0]}: is not a compute capability; 8.6 is 86")
    return found


def _machines_own() -> BuildOptions:
    """Defaults of this machine: on a Jetson those of its memory plan."""
    from emorec_rt.engines.tensorrt.api import on_jetson
    from emorec_rt.engines.tensorrt.options import DEFAULTS

    if not on_jetson():
        return DEFAULTS
    from emorec_rt.engines.tensorrt.cuda import current_device
    from emorec_rt.engines.tensorrt.opening import default_options

    return default_options(current_device())


def _flags(refit: bool, version_compatible: bool) -> tuple[tuple[str, bool], ...]:
    return ("refit", refit), ("version_compatible", version_compatible)
