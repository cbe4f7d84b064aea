"""Where frames and sound come from: files, folders of pictures, standard input, cameras, network streams.

``open_source`` takes an address and gives a ``Source``, whatever is behind it.
"""

from __future__ import annotations

from emorec_rt.sources.addresses import STDIN, is_address, is_endless, masked, output_stem
from emorec_rt.sources.base import Source, SourceOptions
from emorec_rt.sources.opening import open_source
from emorec_rt.sources.pictures import is_picture_folder

__all__ = [
    "STDIN",
    "Source",
    "SourceOptions",
    "is_address",
    "is_endless",
    "is_picture_folder",
    "masked",
    "open_source",
    "output_stem",
]
