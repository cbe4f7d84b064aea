"""Whether there is an NVIDIA GPU: the driver is asked, before libraries of hundreds of MB are loaded."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Final

DRIVER: Final = "libcuda.so.1"
_REASONS: Final = {
    100: "the driver finds none",
    803: "the driver's parts are of different releases (restart the machine)",
    804: "the driver is too old for the CUDA that is installed",
}
"""What ``cuInit`` returns where a person can do something about it."""


@lru_cache(maxsize=1)
def no_gpu() -> str | None:
    """Why no NVIDIA GPU can be used, in one phrase; ``None`` when one can."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return f"there is no NVIDIA driver ({DRIVER})"
    return _ask(driver)


def _ask(driver: ctypes.CDLL) -> str | None:
    if error := driver.cuInit(0):
        return _REASONS.get(error, f"the driver reports CUDA error {error}")
    count = ctypes.c_int(0)
    if driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the driver finds none"
    return None
