"""Cameras of this machine."""

from __future__ import annotations

import os
from pathlib import Path

from emorec_rt.errors import MediaError


def check_camera(device: str) -> None:
    """Make sure that a camera is there and may be used.

    Raises:
        MediaError: It isn't, with what to do.
    """
    if not Path(device).exists():
        raise MediaError(device, "no such camera; is it plugged in?")
    if not os.access(device, os.R_OK | os.W_OK):
        raise MediaError(device, "no permission to use this camera; its group is usually video")
