"""Errors of collecting and reading ranges."""

from __future__ import annotations

from emorec_rt.errors import EmorecError


class CalibrationError(EmorecError, ValueError):
    """Data that says nothing about real activations, or ranges that don't belong to the graphs at hand."""
