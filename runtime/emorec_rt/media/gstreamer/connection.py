"""One running pipeline, read once, front to back."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from emorec_rt.errors import MediaError
from emorec_rt.media import MediaItem
from emorec_rt.media.decoders import PacketCounts
from emorec_rt.media.gstreamer.library import INSTALL, GStreamer
from emorec_rt.media.gstreamer.pipelines import (
    DECODER,
    DEVICE_MEMORY,
    RTSP_LATENCY_MS,
    SOUND_SINK,
    VIDEO_SINK,
    Plan,
    sound_branch,
    video_branch,
)
from emorec_rt.media.gstreamer.samples import FrameMaker, SoundMaker, aligned
from emorec_rt.media.sources.addresses import masked
from emorec_rt.media.sources.base import SourceOptions
from emorec_rt.media.sources.transports import Interruption

POLL_SECONDS: Final = 0.005
"""Time until a buffer is seen that comes after a pause; full sinks make the pipeline wait."""

DRAIN_SECONDS: Final = 0.5
"""Time without a buffer after an error until the end is assumed."""

_TCP: Final = 4
_UDP: Final = 1


class GStreamerConnection:
    """A playing pipeline, behind the same interface as a ``Connection`` of PyAV.

    Args:
        gstreamer: The modules.
        plan: The pipeline.
        name: Name for messages.
        options: The source's options.
        interruption: Ends it from another thread.
        first_seconds: Presentation time of a file's first picture on the container's clock.

    Attributes:
        has_video: Frames come.
        has_sound: Samples come.
        live: Items come in real time.
        warnings: Tracks that can't be decoded, a line each.
        lost: Reason for an end before the sender's; ``None`` as long as there is none.
        complete: Whether the end was told.

    Raises:
        MediaError: It can't be started, or nothing comes.
    """

    def __init__(
        self,
        gstreamer: GStreamer,
        plan: Plan,
        name: str,
        options: SourceOptions,
        interruption: Interruption,
        first_seconds: float | None = None,
    ) -> None:
        self._first_seconds = first_seconds
        self.has_video = False
        self.has_sound = False
        self.live = plan.live
        self.warnings: list[str] = []
        self.lost: str | None = None
        self.complete = False
        self._gstreamer, self._plan, self._name = gstreamer, plan, name
        self._options, self._interruption = options, interruption
        self._frames = FrameMaker(gstreamer, name, options.limits)
        self._sound = SoundMaker(gstreamer)
        self._sinks: deque[tuple[str, Any]] = deque()
        self._early: tuple[str, Any] | None = None  # what came while it was opened
        self._known = threading.Event()
        self._pipeline = self._build()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def counts(self) -> dict[str, PacketCounts]:
        """Frames and blocks of sound so far."""
        tracks = (("video", self.has_video, self._frames), ("sound", self.has_sound, self._sound))
        return {track: PacketCounts(maker.count) for track, there, maker in tracks if there}

    def items(self) -> Iterator[MediaItem]:
        """Yield what comes until it ends, for any reason."""
        return aligned(self._decoded(), self._first_seconds if self.has_video else None)

    def _decoded(self) -> Iterator[MediaItem]:
        last, over = time.monotonic(), False
        while not self._interruption.event.is_set():
            pulled = self._pull()
            if pulled is None and over:
                return
            if pulled is None:
                # Once more afterwards: something may have come between the look at the sinks and the end.
                over = (self._ended() and self._drained(last)) or self._silent(last)
                self._interruption.event.wait(POLL_SECONDS)
                continue
            last = time.monotonic()
            kind, sample = pulled
            item = self._frames.frame(sample) if kind == VIDEO_SINK else self._sound.samples(sample)
            if item is not None:
                yield item

    def _pull(self) -> tuple[str, Any] | None:
        """The next buffer of whichever sink has one, in turns; ``None`` where none has."""
        if self._early is not None:
            pulled, self._early = self._early, None
            return pulled
        for _ in range(len(self._sinks)):
            self._sinks.rotate()
            name, sink = self._sinks[0]
            sample = sink.try_pull_sample(0)
            if sample is not None:
                return name, sample
        return None

    def damage(self, source: str, counts: Mapping[str, PacketCounts]) -> list[str]:
        """Describe the damage, a line each.

        Raises:
            MediaError: Nothing at all could be.
        """
        if not any(packets.decoded for packets in counts.values()):
            reason = self.lost or f"nothing of its {' and '.join(counts) or 'tracks'} can be decoded"
            raise MediaError(source, reason)
        return [f"nothing of the {track} could be decoded" for track, c in counts.items() if not c.decoded]

    def close(self) -> None:
        """Stop it; may be called twice."""
        self._pipeline.set_state(self._gstreamer.gst.State.NULL)

    def _build(self) -> Any:
        gst = self._gstreamer.gst
        try:
            pipeline = gst.parse_launch(self._plan.text)
        except Exception as error:  # noqa: BLE001 - GLib.Error, a class that only exists with PyGObject
            raise MediaError(self._name, _parse_reason(str(getattr(error, "message", error)))) from None
        if not isinstance(pipeline, gst.Pipeline):
            # A description of a single element gives that element.
            element, pipeline = pipeline, gst.Pipeline.new(None)
            pipeline.add(element)
        if self._plan.dynamic:
            decoder = pipeline.get_by_name(DECODER)
            decoder.connect("pad-added", self._add_track)
            decoder.connect("no-more-pads", lambda _: self._known.set())
            if decoder.find_property("uri") is not None:
                decoder.connect("source-setup", self._set_up_rtsp)
        else:
            self._adopt_sinks(pipeline)
            self._known.set()
        return pipeline

    def _adopt_sinks(self, pipeline: Any) -> None:
        for name in (VIDEO_SINK, SOUND_SINK):
            sink = pipeline.get_by_name(name)
            if sink is not None:
                self._follow(name, sink)

    def _follow(self, name: str, sink: Any) -> None:
        if name == VIDEO_SINK:
            self.has_video = True
        else:
            self.has_sound = True
        self._sinks.append((name, sink))

    def _set_up_rtsp(self, _decoder: Any, source: Any) -> None:
        if source.find_property("drop-on-latency") is None:
            return
        protocols = _TCP if self._options.rtsp_transport == "tcp" else _UDP
        microseconds = round(self._options.read_seconds * 1e6)
        for name, value in (
            ("latency", RTSP_LATENCY_MS),
            ("drop-on-latency", True),
            ("protocols", protocols),
            ("tcp-timeout", microseconds),
            ("timeout", microseconds),
        ):
            source.set_property(name, value)

    def _add_track(self, _decoder: Any, pad: Any) -> None:
        """Connect a decoded track; the first of each kind is taken, the others are thrown away."""
        gst, caps = self._gstreamer.gst, pad.get_current_caps()
        kind = caps.get_structure(0).get_name().partition("/")[0]
        if kind == "video" and not self.has_video:
            text, name = video_branch(hardware=_on_device(caps)), VIDEO_SINK
        elif kind == "audio" and not self.has_sound:
            text, name = sound_branch(), SOUND_SINK
        else:
            text, name = "fakesink sync=false", ""
        branch = gst.parse_bin_from_description(text, True)
        if name:
            self._follow(name, branch.get_by_name(name))
        self._pipeline.add(branch)
        branch.sync_state_with_parent()
        pad.link(branch.get_static_pad("sink"))

    def _start(self) -> None:
        """Wait until the tracks are known and something has come."""
        gst = self._gstreamer.gst
        self._pipeline.set_state(gst.State.PLAYING)
        until = time.monotonic() + self._options.open_seconds
        while not (self._known.is_set() and self._early is not None):
            if self._early is None:
                self._early = self._pull()
            if self._interruption.event.is_set():
                raise MediaError(self._name, "it was closed while it was opened")
            if self._ended():
                break
            if time.monotonic() > until:
                raise MediaError(self._name, f"nothing came for {self._options.open_seconds:g} s")
            self._interruption.event.wait(POLL_SECONDS)
        if self.lost is not None and self._early is None:
            raise MediaError(self._name, self.lost)
        if not (self.has_video or self.has_sound):
            raise MediaError(self._name, "there is no video or sound track in it")

    def _drained(self, since: float) -> bool:
        """After an error, what lies between the demuxer and the sinks still comes, though nothing says so."""
        told = self.lost is None or all(sink.get_property("eos") for _, sink in list(self._sinks))
        return told or time.monotonic() - since > DRAIN_SECONDS

    def _silent(self, since: float) -> bool:
        if not self._plan.live or time.monotonic() - since < self._options.read_seconds:
            return False
        self.lost = f"nothing came for {self._options.read_seconds:g} s"
        return True

    def _ended(self) -> bool:
        """Say whether the pipeline has said that it is over."""
        gst = self._gstreamer.gst
        kinds = gst.MessageType.ERROR | gst.MessageType.EOS
        message = self._pipeline.get_bus().pop_filtered(kinds)
        if message is None:
            return self.complete or self.lost is not None
        if message.type == gst.MessageType.EOS:
            self.complete = self._plan.ends
            self.lost = None if self._plan.ends else "the sender ended the stream"
        else:
            error, _ = message.parse_error()  # the other is a debug line, which may show a password
            self.lost = self.lost or _reason(self._gstreamer, error)
        return True


def _on_device(caps: Any) -> bool:
    """Say whether pictures lie in a Jetson's own memory, which ``nvvidconv`` alone reads.

    It takes fewer kinds of pictures than ``videoconvert``, so what software has decoded (a webcam's 4:2:2
    JPEG, a codec that the module has no decoder for) doesn't go through it.
    """
    return bool(caps.get_features(0).contains(DEVICE_MEMORY))


def _parse_reason(text: str) -> str:
    if "no element" in text:
        brought = "it comes with a Jetson's JetPack" if '"nv' in text else INSTALL
        return f"GStreamer has {text}; {brought}"
    return f"GStreamer can't build its pipeline: {masked('gst:' + text).removeprefix('gst:')}"


def _reason(gstreamer: GStreamer, error: Any) -> str:
    """Describe an error in words."""
    gst = gstreamer.gst
    text = str(error.message).rstrip(".")
    if error.matches(gst.CoreError.quark(), gst.CoreError.MISSING_PLUGIN):
        return f"GStreamer has no decoder for it; {INSTALL}"
    if error.matches(gst.ResourceError.quark(), gst.ResourceError.NOT_AUTHORIZED):
        return "the server asks for another user or password (401)"
    return text[:1].lower() + text[1:]
