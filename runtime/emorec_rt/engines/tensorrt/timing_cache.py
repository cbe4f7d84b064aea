"""Kernel timings kept between builds. Only a shortcut: when they don't fit, the build goes on without."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Final

from emorec_rt.engines.tensorrt.api import IBuilderConfig, IHostMemory, ITimingCache
from emorec_rt.engines.tensorrt.log import Log
from emorec_rt.errors import OutputError
from emorec_rt.files import write_whole

MAGIC: Final = b"emorec timing cache 1\n"
_DIGEST_BYTES: Final = 32
_logger = logging.getLogger(__name__)


def read(path: Path) -> bytes:
    """The timings in a file; empty when there is none, or a damaged one, which TensorRT never gets to see."""
    try:
        raw = path.read_bytes()
    except OSError:
        return b""
    body = raw[len(MAGIC) + _DIGEST_BYTES :]
    if raw[: -len(body) or None] != MAGIC + hashlib.sha256(body).digest():
        _logger.warning("%s: is damaged; kernels are timed again", path)
        return b""
    return body


def write(path: Path, timings: bytes) -> None:
    """Keep timings; a folder that can't be written only costs time later."""
    try:
        write_whole(path, MAGIC + hashlib.sha256(timings).digest() + timings)
    except OutputError as error:
        _logger.warning("%s; the next build times kernels again", error)


def attach(config: IBuilderConfig, path: Path, log: Log) -> None:
    """Give a build the timings of earlier ones, or an empty cache where those don't fit.

    Raises:
        EngineError: TensorRT doesn't even take an empty cache.
    """
    timings = read(path)
    if timings and _set(config, timings):
        return
    if timings:
        _logger.warning("%s: is of another GPU or TensorRT; kernels are timed again", path)
        log.complaints.clear()
    if not _set(config, b""):
        raise log.error("creating a timing cache", "free some GPU memory and try again")


def keep(config: IBuilderConfig, path: Path) -> None:
    """Write what a build has timed, for the next one."""
    cache: ITimingCache = config.get_timing_cache()
    if cache is None:
        return
    memory: IHostMemory = cache.serialize()
    if memory is not None and (timings := bytes(memory)) != read(path):
        write(path, timings)


def _set(config: IBuilderConfig, timings: bytes) -> bool:
    try:
        cache: ITimingCache = config.create_timing_cache(timings)
    except (RuntimeError, TypeError, ValueError):
        return False
    return cache is not None and bool(config.set_timing_cache(cache, False))
