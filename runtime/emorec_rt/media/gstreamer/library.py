"""Import of GStreamer through PyGObject's ``gi``, which the system brings and pip doesn't."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from emorec_rt.errors import DecoderUnavailableError

INSTALL: Final = (
    "sudo apt-get install python3-gi gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad gstreamer1.0-libav (a virtual environment sees python3-gi only if it was made "
    "with --system-site-packages, by the system's python3)"
)
HARDWARE_DECODER: Final = "nvv4l2decoder"
HARDWARE_CONVERTER: Final = "nvvidconv"
_FIRST: Final = 512
"""A rank above that of every software decoder."""


@dataclass(frozen=True, slots=True)
class GStreamer:
    """The modules. PyGObject carries no types, so ``Any`` enters here.

    Attributes:
        gst: ``gi.repository.Gst``, initialised.
        video: ``gi.repository.GstVideo``.
        hardware: Whether a Jetson's decoder and converter are there.
    """

    gst: Any
    video: Any
    hardware: bool


@lru_cache(maxsize=1)
def import_gstreamer() -> GStreamer:
    """Import and initialise it.

    Raises:
        DecoderUnavailableError: It, or its Python bindings, are missing.
    """
    try:
        gi = importlib.import_module("gi")
        for name in ("Gst", "GstApp", "GstVideo"):
            gi.require_version(name, "1.0")
        gst = importlib.import_module("gi.repository.Gst")
        importlib.import_module("gi.repository.GstApp")  # gives appsink its methods
        video = importlib.import_module("gi.repository.GstVideo")
    except (ImportError, ValueError) as error:
        raise DecoderUnavailableError("gstreamer", "GStreamer with its Python bindings", INSTALL) from error
    gst.init(None)
    decoder, converter = (gst.ElementFactory.find(name) for name in (HARDWARE_DECODER, HARDWARE_CONVERTER))
    if decoder is not None:
        decoder.set_rank(_FIRST)
    return GStreamer(gst, video, decoder is not None and converter is not None)
