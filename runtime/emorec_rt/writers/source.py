"""Start time of the input, read from the file itself."""

from __future__ import annotations

from pathlib import Path

from emorec_rt.constants import ABSURD_SECONDS
from emorec_rt.errors import MediaError
from emorec_rt.media import MediaLimits
from emorec_rt.media.container import open_container

MICROSECONDS = 1_000_000


def start_seconds(source: Path) -> float:
    """The container's start time: where players put their zero; 0 where it tells none that can be true."""
    try:
        with open_container(source, MediaLimits()) as container:
            seconds = (container.start_time or 0) / MICROSECONDS
    except MediaError:
        return 0.0  # the recogniser says what is wrong with it
    return seconds if abs(seconds) < ABSURD_SECONDS else 0.0
