"""Constants that several rooms share, with their units: signal, files, precisions, batches, exit codes.

Whatever can be derived is derived here by exact division.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final, Literal, get_args

try:
    VERSION: Final = version("emorec")
except PackageNotFoundError:  # run from a checkout that isn't installed
    VERSION = "0+unknown"  # type: ignore[misc]

SAMPLE_RATE_HZ: Final = 16_000
"""Sound is mono float32 in [-1, 1] at this rate everywhere past the decoder (wav2vec 2.0's rate)."""

TOKEN_HOP_SAMPLES: Final = 320
"""Samples from one wav2vec 2.0 token to the next: the product of its conv strides 5*2*2*2*2*2*2."""

TOKEN_RECEPTIVE_SAMPLES: Final = 400
"""Samples that one wav2vec 2.0 token sees: the receptive field of its conv stack."""

TOKEN_RATE_HZ: Final = SAMPLE_RATE_HZ // TOKEN_HOP_SAMPLES
"""50 tokens a second."""

CROP_SIZE: Final = 224
"""Side of the square face crop in pixels (CLIP's input size)."""

EXPRESSIONS: Final = (
    "Neutral",
    "Anger",
    "Disgust",
    "Fear",
    "Happiness",
    "Sadness",
    "Surprise",
    "Other",
)
"""The ABAW EXPR classes in the challenge's order. Other data sets differ: map by name, never by index."""

FRAMES_PER_CHUNK: Final = 4
"""Frames that take as much memory as one chunk of sound or one window."""

VIDEO_SUFFIXES: Final = frozenset(
    (".3g2", ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg")
) | frozenset((".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"))
SOUND_SUFFIXES: Final = frozenset(
    [".aac", ".aif", ".aiff", ".flac", ".m4a", ".mka", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wma"]
)
MEDIA_SUFFIXES: Final = VIDEO_SUFFIXES | SOUND_SUFFIXES
"""Suffixes of media inside a folder; a file that is named outright may have any."""

Precision = Literal["fp32", "fp16", "int8", "int8-fp16", "fp8"]
PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)
"""Variants of a graph, in the order in which they are built and shown."""

ABSURD_SECONDS: Final = 1e10
"""A time stamp beyond this is damaged: no clock shows it, not even one that counts from 1970."""

CPU_BATCH: Final = 16
"""Frames in a batch on a CPU: measured, larger ones leave its caches and take longer a frame."""

GPU_BATCH: Final = 64
"""Frames in a batch on a GPU: keeps a large one busier than 16 do. A guess: it has not been measured."""

AUDIO_BATCH: Final = 1
"""Chunks of sound in a batch where rows are waited for."""

OFFLINE_AUDIO_BATCH: Final = 4
"""Chunks of sound in a batch in training and calibration."""

FUSION_BATCH: Final = 4
"""Windows in a batch."""

CUDA_GRAPHS: Final = 2
"""Batch sizes that are captured as CUDA graphs: the full batch, and the one that a stream settles on."""

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 128 + 2
EXIT_READER_GONE: Final = 128 + 13
"""The exit codes of all programs; those after a signal are what a shell reports (SIGINT, SIGPIPE)."""

assert SAMPLE_RATE_HZ % TOKEN_HOP_SAMPLES == 0  # noqa: S101 - a broken constant must not import


def chunk_samples(tokens: int) -> int:
    """Samples that make wav2vec 2.0's conv stack give exactly ``tokens`` tokens."""
    return (tokens - 1) * TOKEN_HOP_SAMPLES + TOKEN_RECEPTIVE_SAMPLES


def chunks_beside(frames: int) -> int:
    """Largest batch of chunks and windows beside one of frames."""
    return max(1, frames // FRAMES_PER_CHUNK)
