"""GStreamer: files, cameras and RTSP, decoded by a Jetson's own hardware, or by software elsewhere.

    filesrc, rtspsrc, v4l2src -> decodebin -> converter -> appsink video
                                           -> resampler -> appsink sound
    nvarguscamerasrc, gst: ...             -> converter -> appsink video

The same code builds every pipeline; on a Jetson ``decodebin`` takes ``nvv4l2decoder``, and ``nvvidconv``
brings its pictures into the host's memory. That part has not run on a Jetson.
"""

from __future__ import annotations

from emorec_rt.media.gstreamer.opening import open_gstreamer

__all__ = ["open_gstreamer"]
