"""Power modes: what ``/etc/nvpmodel.conf`` offers, which one is on, and how to change it.

Mode numbers differ between modules and releases (0 is 15 W on an Orin Nano, MAXN on an AGX Orin), so they are
always read, never assumed. A mode that gates other GPU partitions or CPU cores takes effect at a reboot only:
``nvpmodel -m`` then asks on its input, and is answered no.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emorec_rt.machine.jetson.errors import JetsonError, ToolMissingError

CONFIG = Path("etc/nvpmodel.conf")
_MODEL = re.compile(r"^\s*<\s*POWER_MODEL\s+([^>]*)>", re.MULTILINE)
_DEFAULT = re.compile(r"^\s*<\s*PM_CONFIG\s+DEFAULT=(\d+)\s*>", re.MULTILINE)
_ATTRIBUTE = re.compile(r"(\w+)=(\S+)")
_QUERY = re.compile(r"NV Power Mode: *(\S+)\s+(\d+)\s*$", re.MULTILINE)
_REBOOT = "Reboot required"
_TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class PowerMode:
    """One mode of the module at hand.

    Attributes:
        number: The id that ``nvpmodel -m`` takes.
        name: As the vendor calls it; a cap on clocks, not a promise of watts.
        default: On after flashing.
    """

    number: int
    name: str
    default: bool = False


class RebootNeededError(JetsonError):
    """The mode would take a reboot, which is never done here."""


def parse_config(text: str) -> tuple[PowerMode, ...]:
    """Read the modes of an ``nvpmodel.conf``, in order of their numbers.

    Raises:
        JetsonError: No mode in it.
    """
    default = _DEFAULT.search(text)
    default_number = int(default[1]) if default else None
    attributes = [dict(_ATTRIBUTE.findall(match)) for match in _MODEL.findall(text)]
    modes = [
        PowerMode(int(one["ID"]), one["NAME"], int(one["ID"]) == default_number)
        for one in attributes
        if one.get("ID", "").isdigit() and "NAME" in one
    ]
    if not modes:
        raise JetsonError("nvpmodel.conf lists no power mode")
    return tuple(sorted(modes, key=lambda mode: mode.number))


def parse_query(text: str) -> PowerMode:
    """Read the output of ``nvpmodel -q``, warnings around it included.

    Raises:
        JetsonError: It names no mode.
    """
    match = _QUERY.search(text)
    if not match:
        raise JetsonError(f"nvpmodel -q printed no power mode: {text.strip()!r}")
    return PowerMode(int(match[2]), match[1])


def read_modes(root: Path = Path("/")) -> tuple[PowerMode, ...]:
    """Read the modes of this machine.

    Raises:
        JetsonError: No such file: not a Jetson, or a container without it.
    """
    path = root / CONFIG
    try:
        return parse_config(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise JetsonError(f"{path}: {error.strerror}; is this a Jetson?") from error


def current() -> PowerMode:
    """Ask which mode is on."""
    return parse_query(_query())


def switch(mode: PowerMode, ask: Callable[[int], str]) -> None:
    """Change to a mode and check that it is on.

    Args:
        mode: The mode.
        ask: Runs ``nvpmodel -m`` with a number, as root, and gives its output.

    Raises:
        RebootNeededError: It would take a reboot; the mode is unchanged.
        JetsonError: nvpmodel refused.
    """
    output = ask(mode.number)
    if current().number == mode.number:
        return
    if _REBOOT in output:
        raise RebootNeededError(f"mode {mode.number} ({mode.name}) needs a reboot")
    reason = output.strip().splitlines()[-1:] or ["no reason given"]
    raise JetsonError(f"nvpmodel did not switch to mode {mode.number} ({mode.name}): {reason[0]}")


def _query() -> str:
    if shutil.which("nvpmodel") is None:
        raise ToolMissingError(
            "nvpmodel", "it comes with Jetson Linux: run this on the Jetson, not in a container"
        )
    try:
        done = subprocess.run(
            ["nvpmodel", "-q"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise JetsonError(f"nvpmodel -q failed: {error}") from error
    return done.stdout
