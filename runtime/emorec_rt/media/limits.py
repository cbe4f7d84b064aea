"""Limits beyond which a media file is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """Bounds that keep a damaged or hostile file from taking the machine's memory or time.

    Attributes:
        max_pixels: Width times height of a picture. The default fits 8K (7680x4320) and square 8K.
        max_channels: Channels of a sound track.
        min_sample_rate_hz: Lowest rate of a sound track; below it one packet would become minutes.
        max_sample_rate_hz: Highest rate of a sound track.
        max_damaged_in_a_row: Packets that fail one after another before a file is given up. The default is
            minutes of damage, which a recording can have in its middle.
    """

    max_pixels: int = 8192 * 8192
    max_channels: int = 64
    min_sample_rate_hz: int = 1_000
    max_sample_rate_hz: int = 768_000
    max_damaged_in_a_row: int = 20_000
