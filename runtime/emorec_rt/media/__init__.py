"""Media in: frames and sound of a local file, each with its presentation time in seconds.

One pass, flat memory, one clock for both streams. ``open_media`` says what it refuses and why.
"""

from __future__ import annotations

from emorec_rt.media.limits import MediaLimits
from emorec_rt.media.reader import MediaReader, open_media
from emorec_rt.media.types import Frame, MediaItem, MissingFrame, Samples

__all__ = ["Frame", "MediaItem", "MediaLimits", "MediaReader", "MissingFrame", "Samples", "open_media"]
