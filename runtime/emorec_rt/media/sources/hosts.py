"""Look a host up before anything connects to it: in bounded time, with a clear answer."""

from __future__ import annotations

import socket

from emorec_rt.errors import MediaError
from emorec_rt.media.sources.addresses import masked, scheme, split
from emorec_rt.media.sources.deadline import within


def check_host(address: str, seconds: float) -> None:
    """Make sure that the host of an address has a number.

    The system's own look-up can't be told to hurry, and FFmpeg reports its failure as an input/output error.

    Args:
        address: Any address; one without a host passes.
        seconds: Time that the look-up may take.

    Raises:
        MediaError: There is no such host, or no answer in time.
    """
    host = None if scheme(address) is None else split(address).hostname
    if not host:
        return
    try:
        failure = within(seconds, lambda: _failure(host))
    except TimeoutError:
        reason = f"looking up the host {host} took more than {seconds:g} s"
        raise MediaError(masked(address), reason) from None
    if failure is not None:
        raise MediaError(masked(address), f"no such host: {host} ({failure})")


def _failure(host: str) -> str | None:
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None
