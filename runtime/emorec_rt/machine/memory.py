"""Address space that this process may have: its limit of memory where a shell or a scheduler sets one."""

from __future__ import annotations

from typing import Final

from emorec_rt.errors import EngineError

MEGABYTE: Final = 10**6
PROGRAM_MB: Final = 600
"""Need of the program before an inference library is loaded: numpy, OpenCV and FFmpeg reserve 420 MB."""


def require_address_space(library: str, megabytes: int) -> None:
    """Refuse to load a library that this process has too little room for.

    Such a library reserves far more than it uses. Where a thread or a buffer of its own finds no room, it
    ends the process or waits for ever, and no error reaches Python.

    Args:
        library: Name of the library, or of the program, for the message.
        megabytes: What the whole process needs with it.

    Raises:
        EngineError: The limit (``ulimit -v``, ``RLIMIT_AS``) is lower.
    """
    limit = _limit()
    if limit is not None and limit < megabytes * MEGABYTE:
        raise EngineError(
            f"{library} needs {megabytes} MB of address space, and this process may have"
            f" {limit // MEGABYTE} MB; raise the limit (ulimit -v)"
        )


def _limit() -> int | None:
    """Bytes; ``None`` without a limit."""
    try:
        import resource
    except ImportError:  # Windows has none
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft
