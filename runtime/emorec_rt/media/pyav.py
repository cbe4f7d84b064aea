"""Arguments that differ between the versions of PyAV, from 14.1 to 19."""

from __future__ import annotations

from typing import Any, Final

import av

from emorec_rt.media.limits import MediaLimits

_VERSION: Final = tuple(int(part) for part in av.__version__.split(".")[:2])

UNDECODABLE_TAGS: Final[dict[str, Any]] = {"metadata_errors": "replace"} if _VERSION < (19, 0) else {}
"""Argument of ``av.open`` that lets tags that aren't UTF-8 pass; PyAV 19 always does, and has no argument."""

ONE_THREAD: Final[dict[str, Any]] = {"threads": 1} if _VERSION >= (17, 0) else {}
"""Argument of ``VideoReformatter.reformat``; PyAV before 17 always takes one thread."""


def probe_options(limits: MediaLimits) -> dict[str, str]:
    """Options of the codecs that FFmpeg opens while it probes a container.

    PyAV before 17.1 frees memory that isn't its own where tracks turn up meanwhile, if there are any options.
    """
    return {"max_pixels": str(limits.max_pixels)} if _VERSION >= (17, 1) else {}
