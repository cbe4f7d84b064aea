"""Ask the driver for an NVIDIA GPU, before libraries of hundreds of MB are loaded."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from typing import Final

DRIVER: Final = "libcuda.so.1"
VISIBLE_GPUS: Final = "CUDA_VISIBLE_DEVICES"
"""The variable by which CUDA's libraries choose; the first GPU in it is theirs."""
_REASONS: Final = {
    100: "the driver finds none",
    803: "the driver's parts are of different releases (restart the machine)",
    804: "the driver is too old for the CUDA that is installed",
}
"""Results of ``cuInit`` that a person can do something about."""


@lru_cache(maxsize=1)
def no_gpu() -> str | None:
    """Reason why no NVIDIA GPU can be used, in one phrase; ``None`` when one can."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return f"there is no NVIDIA driver ({DRIVER})"
    return _ask(driver)


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; empty without one."""
    if no_gpu():
        return ()
    if chosen := os.environ.get(VISIBLE_GPUS):
        return tuple(part.strip() for part in chosen.split(",") if part.strip())
    count = ctypes.c_int(0)
    ctypes.CDLL(DRIVER).cuDeviceGetCount(ctypes.byref(count))
    return tuple(map(str, range(count.value)))


def _ask(driver: ctypes.CDLL) -> str | None:
    if error := driver.cuInit(0):
        return _REASONS.get(error, f"the driver reports CUDA error {error}")
    count = ctypes.c_int(0)
    if driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the driver finds none"
    return None
