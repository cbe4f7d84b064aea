"""Errors of a Jetson: one line each, like every error of emorec."""

from __future__ import annotations

from emorec_rt.errors import EmorecError


class JetsonError(EmorecError):
    """A tool of the Jetson that is missing, refuses, or prints what nobody expected."""


class ToolMissingError(JetsonError, FileNotFoundError):
    """A program that isn't on PATH."""

    def __init__(self, tool: str, advice: str) -> None:
        self.tool = tool
        super().__init__(f"{tool} is not on PATH; {advice}")
