"""Faces: find them, follow one, crop it."""

from __future__ import annotations

from emorec_rt.faces.box import Box, Face
from emorec_rt.faces.crop import (
    Crop,
    FaceCropper,
    FaceMode,
    Faces,
    PeopleCropper,
    crop_face,
    crop_square,
    whole_frame_crop,
)
from emorec_rt.faces.detector import FaceDetector, keep_opencv_to_one_thread
from emorec_rt.faces.tracker import FaceTracker

__all__ = [
    "Box",
    "Crop",
    "Face",
    "FaceCropper",
    "FaceDetector",
    "FaceMode",
    "FaceTracker",
    "Faces",
    "PeopleCropper",
    "crop_face",
    "crop_square",
    "keep_opencv_to_one_thread",
    "whole_frame_crop",
]
