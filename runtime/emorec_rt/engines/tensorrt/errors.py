"""Errors while a plan is built, beside those that every engine shares."""

from __future__ import annotations

from emorec_rt.errors import EngineError


class BuildCancelledError(EngineError):
    """The progress callback asked the build to stop; nothing was written."""
