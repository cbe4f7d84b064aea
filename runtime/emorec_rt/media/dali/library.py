"""Import of DALI, and the device that it runs on."""

from __future__ import annotations

import ctypes
import importlib
from functools import lru_cache
from types import ModuleType
from typing import Final, Literal

from emorec_rt.errors import DecoderUnavailableError

INSTALL: Final = "pip install 'emorec[dali]'"
Device = Literal["cpu", "gpu"]


@lru_cache(maxsize=1)
def import_dali() -> ModuleType:
    """The module ``nvidia.dali``, with ``fn`` and ``types`` loaded.

    Raises:
        DecoderUnavailableError: It is missing, or can't be loaded.
    """
    try:
        dali = importlib.import_module("nvidia.dali")
        for name in ("fn", "types"):
            importlib.import_module(f"nvidia.dali.{name}")
    except ModuleNotFoundError as error:
        raise DecoderUnavailableError("dali", "NVIDIA DALI", INSTALL) from error
    except (ImportError, OSError) as error:
        raise DecoderUnavailableError("dali", f"a whole NVIDIA DALI ({error})", INSTALL) from error
    return dali


@lru_cache(maxsize=1)
def dali_device() -> Device:
    """``gpu`` where the driver shows one; asked without DALI, which would write to standard error."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "cpu"
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return "cpu"
    return "gpu" if count.value else "cpu"
