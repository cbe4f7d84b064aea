"""Options that say how cameras, streams, files and folders of pictures are opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from emorec_rt.cli.console import FiniteRange

if TYPE_CHECKING:
    from emorec_rt.media.sources import SourceOptions

Command = TypeVar("Command", bound=Callable[..., Any])
_DECODERS: Final = ("pyav", "dali", "gstreamer")
_SECONDS: Final = click.FloatRange(0.0, 86_400.0, min_open=True)

_OPTIONS: Final = (
    click.option(
        "--decoder",
        type=click.Choice(_DECODERS),
        default="pyav",
        show_default=True,
        help="pyav reads everything. dali: files on an NVIDIA GPU. gstreamer: files, cameras "
        "and RTSP with a Jetson's own decoder.",
    ),
    click.option(
        "--fps",
        type=click.FloatRange(0.001, 1000.0),
        default=30.0,
        show_default=True,
        help="Frames a second of a folder of pictures.",
    ),
    click.option("--camera-size", metavar="WxH", help="Ask a camera for this size, such as 1280x720."),
    click.option("--camera-fps", type=click.FloatRange(0.001, 1000.0), help="Ask a camera for this rate."),
    click.option(
        "--rtsp-transport",
        type=click.Choice(["tcp", "udp"]),
        default="tcp",
        show_default=True,
        help="tcp loses nothing; some cameras need udp.",
    ),
    click.option(
        "--open-timeout",
        "open_seconds",
        type=_SECONDS,
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="How long a stream's first frame or sound may take.",
    ),
    click.option(
        "--read-timeout",
        "read_seconds",
        type=_SECONDS,
        default=5.0,
        show_default=True,
        metavar="SECONDS",
        help="A stream of which nothing comes for this long is lost.",
    ),
    click.option(
        "--reconnect",
        "reconnect_seconds",
        type=click.FloatRange(0.0),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to try to get a lost stream back; 0 ends with it, inf never gives up.",
    ),
    click.option(
        "--start",
        "start_seconds",
        type=FiniteRange(0.0),
        metavar="SECONDS",
        help="Begin at this time, as rows give it.",
    ),
    click.option(
        "--end",
        "end_seconds",
        type=FiniteRange(0.0, min_open=True),
        metavar="SECONDS",
        help="End before this time.",
    ),
    click.option(
        "--region",
        metavar="X,Y,W,H",
        help="Look at this part of the picture alone: left, top, width and height in pixels.",
    ),
    click.option(
        "--video-track",
        type=click.IntRange(1),
        metavar="NUMBER",
        help="Take this video track, counted from 1.  [default: one that goes on]",
    ),
    click.option(
        "--audio-track",
        type=click.IntRange(1),
        metavar="NUMBER",
        help="Take this sound track, counted from 1.  [default: one that can be heard]",
    ),
    click.option(
        "--max-pixels",
        type=click.IntRange(1),
        metavar="COUNT",
        help="Refuse larger pictures.  [default: 8192 times 8192]",
    ),
)


def source_options(command: Command) -> Command:
    """Give a command these options."""
    return reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), command)


def parsed(settings: Mapping[str, Any]) -> SourceOptions:
    """Turn the options of a call into ``SourceOptions``.

    Raises:
        UsageError: A size that is none.
    """
    from emorec_rt.media import MediaLimits
    from emorec_rt.media.sources import SourceOptions

    values = dict(settings)
    max_pixels = values.pop("max_pixels")
    limits = MediaLimits() if max_pixels is None else MediaLimits(max_pixels=max_pixels)
    return SourceOptions(
        **{
            **values,
            "camera_size": _size(values.get("camera_size")),
            "limits": limits,
            "region": _region(values["region"]),
        }
    )


def _size(text: str | None) -> tuple[int, int] | None:
    from emorec_rt.errors import UsageError

    if text is None:
        return None
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise UsageError(f"--camera-size is {text}; write it as 1280x720")
    return int(width), int(height)


def _region(text: str | None) -> tuple[int, int, int, int] | None:
    from emorec_rt.errors import UsageError

    if text is None:
        return None
    sides = [part.strip() for part in text.split(",")]
    if len(sides) != 4 or not all(side.isdecimal() for side in sides):
        raise UsageError(
            f"--region is {text}; write left, top, width and height in pixels, as 100,50,640,480"
        )
    left, top, width, height = map(int, sides)
    return left, top, width, height
