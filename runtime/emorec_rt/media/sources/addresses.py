"""Addresses: the kind of source that one means, and its text without passwords."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from emorec_rt.errors import MediaError, printable

STDIN: Final = "-"
"""The address of standard input."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,2}(?!/)")
_GSTREAMER: Final = re.compile(r"gst:|csi://")
_INNER_ADDRESS: Final = re.compile(r"\b(rtspt?|rtsps|https?|rtmps?|srt|udp|tcp|rtp):/(?!/)")
_CAMERA: Final = re.compile(r"/dev/video\d+")
_LONGEST_STEM: Final = 80
_ENDLESS: Final = frozenset({"csi", "rtsp", "rtsps", "srt", "tcp", "udp"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Host and port of an address.

    Attributes:
        host: Name or number, without brackets; empty for "any".
        port: The port.
    """

    host: str
    port: int


def normalised(address: str | Path) -> str:
    """The address as text; the second slash that ``Path`` takes from an address comes back."""
    text = str(address)
    if text.startswith("gst:"):
        return _INNER_ADDRESS.sub(r"\1://", text)
    match = _SCHEME.match(text)
    if match and not _GSTREAMER.match(text):
        return f"{match[1].lower()}://{text[match.end() :]}"
    return text


def scheme(address: str | Path) -> str | None:
    """The scheme in lower case; ``None`` for a path. ``gst:`` and ``csi://`` are schemes, too."""
    text = str(address)
    if text.startswith("gst:"):
        return "gst"
    match = _SCHEME.match(text)
    return match[1].lower() if match else None


def is_camera(address: str | Path) -> bool:
    """Say whether it is the device file of a camera."""
    return _CAMERA.fullmatch(str(address)) is not None


def is_address(address: str | Path) -> bool:
    """Say whether it means something else than a file or folder: a stream, a camera, standard input."""
    return str(address) == STDIN or is_camera(address) or scheme(address) is not None


def is_endless(address: str | Path) -> bool:
    """Say whether it has no end of its own, as far as the address tells: a camera, a stream."""
    return is_camera(address) or scheme(address) in _ENDLESS


def masked(address: str | Path) -> str:
    """The address for messages: user, password and the values of its query replaced by ``***``."""
    return printable(_masked(normalised(address)))


def _masked(text: str) -> str:
    head, separator, rest = text.partition("://")
    if not separator or scheme(text) == "gst":
        # A pipeline names its secrets as properties.
        return re.sub(
            r"((?:pw|password|passphrase|user-id|user-pw|token)=)\S+", r"\1***", _masked_users(text)
        )
    return f"{head}://{_masked_rest(rest)}"


def output_stem(address: str | Path) -> str:
    """A name for the files of its results: letters, digits, dots and dashes, nothing secret."""
    text = normalised(address)
    if text == STDIN:
        return "stdin"
    if not is_address(text):
        return Path(text).name
    plain = masked(text).partition("?")[0].replace("***@", "").replace("/dev/", "")
    return re.sub(r"[^A-Za-z0-9._]+", "-", plain).strip("-.")[:_LONGEST_STEM] or "stream"


def split(address: str) -> SplitResult:
    """Split an address.

    Raises:
        MediaError: It isn't well formed.
    """
    try:
        parts = urlsplit(address)
        _ = parts.port, parts.hostname
    except ValueError:
        raise MediaError(masked(address), "this address is not well formed") from None
    return parts


def endpoint(address: str, default_port: int | None = None) -> Endpoint:
    """Host and port of an address.

    Raises:
        MediaError: There is no port, or the address isn't well formed.
    """
    parts = split(address)
    port = parts.port or default_port
    if not port:
        raise MediaError(masked(address), f"the port is missing; write {parts.scheme}://host:port")
    return Endpoint(parts.hostname or "", port)


def _masked_rest(rest: str) -> str:
    # A password may contain any character, so everything before the last @ is hidden.
    users, at, place = rest.rpartition("@")
    place = re.sub(r"([?&;][^=&;#]*=)[^&;#]*", r"\1***", place)
    return f"{'***' if users else ''}{at}{place}"


def _masked_users(text: str) -> str:
    return re.sub(r"(\w://)[^\s]*@", r"\1***@", text)
