"""Sources of frames and sound: files, folders of pictures, standard input, cameras, network streams.

``open_source`` takes an address of any kind and gives a ``Source``.
"""

from __future__ import annotations

from emorec_rt.media.sources.addresses import STDIN, is_address, is_endless, masked, output_stem
from emorec_rt.media.sources.base import Source, SourceOptions
from emorec_rt.media.sources.opening import open_source
from emorec_rt.media.sources.pictures import is_picture_folder, numbered_pictures

__all__ = [
    "STDIN",
    "Source",
    "SourceOptions",
    "is_address",
    "is_endless",
    "is_picture_folder",
    "masked",
    "numbered_pictures",
    "open_source",
    "output_stem",
]
