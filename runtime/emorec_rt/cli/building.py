"""What every program that builds shares: options of a build, and its progress on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from emorec_rt.cli.console import say

if TYPE_CHECKING:
    from emorec_rt.engines.tensorrt.options import BuildOptions

MIB: Final = 1 << 20
_REDRAW_SECONDS: Final = 0.1
_WIDTH: Final = 100
Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option(
        "--max-batch",
        type=click.IntRange(1, 1024),
        help="Largest batch of frames, of sound and windows a quarter; memory is reserved for it.  "
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
    click.option("--refit", is_flag=True, help="Weights can be exchanged later without a rebuild."),
    click.option(
        "--version-compatible",
        is_flag=True,
        help="The plan also runs on later TensorRT releases of the same major version.",
    ),
)

PLAN_OPTIONS: Final = ("max_batch", "workspace_mib", "optimization_level", "refit", "version_compatible")
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
    refit: bool,
    version_compatible: bool,
) -> BuildOptions | None:
    """The options that were given; ``None`` when none was, so that a plan at hand is kept as it is."""
    import msgspec

    from emorec_rt.engines.tensorrt.options import chunks_beside, up_to

    given: dict[str, Any] = {}
    if max_batch is not None:
        given["batch"], given["chunks"] = up_to(max_batch), up_to(chunks_beside(max_batch))
    if workspace_mib is not None:
        given["workspace_bytes"] = workspace_mib * MIB
    if optimization_level is not None:
        given["optimization_level"] = optimization_level
    given.update({name: True for name, on in _flags(refit, version_compatible) if on})
    return msgspec.structs.replace(_machines_own(), **given) if given else None


def _machines_own() -> BuildOptions:
    """What the options that were given are laid over: on a Jetson its memory plan."""
    from emorec_rt.engines.tensorrt.api import on_jetson
    from emorec_rt.engines.tensorrt.options import DEFAULTS

    if not on_jetson():
        return DEFAULTS
    from emorec_rt.engines.tensorrt.cuda import current_device
    from emorec_rt.engines.tensorrt.opening import default_options

    return default_options(current_device())


def _flags(refit: bool, version_compatible: bool) -> tuple[tuple[str, bool], ...]:
    return ("refit", refit), ("version_compatible", version_compatible)


class BuildProgress:
    """A build's steps on standard error: one line that is redrawn, or a line a phase where that is a file.

    Args:
        redraw: Whether standard error is a terminal; ``None`` looks.
    """

    def __init__(self, redraw: bool | None = None) -> None:
        self._redraw = sys.stderr.isatty() if redraw is None else redraw
        self._drawn_seconds = 0.0
        self._on_line = False
        self._phases: set[str] = set()

    def __call__(self, phase: str, done: int, steps: int) -> bool:
        """Show a step; a build always goes on."""
        if self._redraw:
            self._draw(f"{phase} {done}/{steps}")
        elif " > " not in phase and phase not in self._phases:
            self._phases.add(phase)
            say(f"  {phase}")
        return True

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self.close()
        say(line)

    def close(self) -> None:
        """End the line, for what is printed next."""
        if self._on_line:
            click.echo(f"\r{'':{_WIDTH}}\r", err=True, nl=False)
        self._on_line = False
        self._phases.clear()

    def _draw(self, line: str) -> None:
        now = time.monotonic()
        if now - self._drawn_seconds >= _REDRAW_SECONDS:
            self._drawn_seconds = now
            self._on_line = True
            click.echo(f"\r{line[-_WIDTH:]:{_WIDTH}}", err=True, nl=False)
