"""The contenders of ``throughput.py``: each is one function, and runs in a process of its own.

    python benchmarks/throughput_contenders.py 'emorec openvino INT8' FOLDER CLIP SECONDS

FOLDER is what ``random_bundle.py`` wrote. Prints one line of JSON: seconds of media, frames, wall time with
everything loaded, time from the start of the process to the first row, peak memory; or why it can't run here.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Precision
from emorec_rt.errors import BackendUnavailableError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from emorec_rt.media import MediaItem

VISION_BATCHES: Final = (1, 2, 4, 8, 16, 32, 64)
VISION_SECONDS: Final = 2.0
"""For each batch size; the best one is then timed anew, for the best of several is the luckiest, too."""

BEST_SECONDS: Final = 12.0
"""Time spent on each batch size, at least."""


@dataclass(frozen=True)
class Setup:
    """Clip, bundle and checkpoint of a run.

    Attributes:
        folder: Checkpoint and bundle with the same weights.
        clip: A video with a face and sound.
        seconds: How much of it the contenders take that are slow.
    """

    folder: Path
    clip: Path
    seconds: float


@dataclass(frozen=True)
class Measurement:
    """Result of one contender.

    Attributes:
        media_seconds: How much media the time was for.
        frames: Frames of that.
        wall_seconds: From opening the clip to the last result, everything loaded.
        first_row_seconds: From the start of the process; ``None`` for contenders that aren't programs.
        note: What to know of it.
    """

    media_seconds: float
    frames: int
    wall_seconds: float
    first_row_seconds: float | None = None
    note: str = ""


def windows_anew(setup: Setup, device: str = "cpu") -> Measurement:
    """PyTorch as one would write it first: read the clip, and encode each half-overlapping window anew."""
    import torch

    from emorec_train.model.checkpoint import load_checkpoint

    if not (device == "cpu" or torch.cuda.is_available()):
        raise BackendUnavailableError("CUDA", "a GPU that PyTorch can use", "pip install torch")
    checkpoint = load_checkpoint(setup.folder / "checkpoint")
    modules = [part.eval().to(device) for part in (checkpoint.vision, checkpoint.audio, checkpoint.fusion)]
    spec = checkpoint.config.preprocessing
    T, S = spec.window.steps, spec.window_tokens
    started = time.perf_counter()
    crops, times, pcm = _read_whole(setup, spec.vision.crop_size, spec.vision.margin)
    fps = (len(times) - 1) / (times[-1] - times[0])
    starts = range(0, len(crops) - T + 1, T // 2)
    with torch.inference_mode():
        for start in starts:
            first_sample = round((times[start] - times[0]) * spec.audio.sample_rate_hz)
            sound = _sound(pcm, first_sample, S)
            _encode_window(modules, crops[start : start + T], sound, device)
    wall = time.perf_counter() - started
    # In the middle of a long clip each window brings half of its frames; the first one alone brings all.
    new_frames = len(starts) * T // 2
    return Measurement(
        new_frames / fps, new_frames, wall, note=f"{len(starts)} windows of {T} frames, scaled"
    )


def _encode_window(
    modules: Sequence[nn.Module], crops: NDArray[np.uint8], sound: NDArray[np.float32], device: str
) -> torch.Tensor:
    import torch

    vision, audio, fusion = modules
    embeddings = vision(torch.from_numpy(crops).to(device))[None]
    tokens = audio(torch.from_numpy(sound).to(device)[None])
    logits: torch.Tensor = fusion(
        embeddings,
        torch.ones(embeddings.shape[:2], device=device),
        tokens,
        torch.ones(tokens.shape[:2], device=device),
    )
    return logits.cpu()


def _read_whole(
    setup: Setup, size: int, margin: float
) -> tuple[NDArray[np.uint8], list[float], NDArray[np.float32]]:
    """All crops, their times, and all the sound, as scripts do it; each face is looked for once."""
    from emorec_rt.faces import FaceCropper
    from emorec_rt.media import Frame, Samples, open_media

    cropper = FaceCropper("auto", size=size, margin=margin)
    crops, times, sound = [], [], [np.zeros(0, np.float32)]
    with open_media(setup.clip) as media:
        for item in takewhile(lambda item: item.pts_seconds <= setup.seconds, media):
            if isinstance(item, Frame):
                pixels = cropper.process(item).pixels
                crops.append(np.zeros((size, size, 3), np.uint8) if pixels is None else pixels)
                times.append(item.pts_seconds)
            elif isinstance(item, Samples):
                sound.append(item.pcm)
    return np.stack(crops), times, np.concatenate(sound)


def _sound(pcm: NDArray[np.float32], first: int, tokens: int) -> NDArray[np.float32]:
    """The samples that give a window's tokens, zeros beyond the end."""
    from emorec_rt.constants import chunk_samples

    cut = pcm[first : first + chunk_samples(tokens)]
    return np.pad(cut, (0, chunk_samples(tokens) - len(cut)))


def frames_once(setup: Setup) -> Measurement:
    """PyTorch behind emorec's own windows: each frame and each chunk of sound encoded once."""
    from emorec_rt.faces import FaceCropper
    from emorec_rt.faces.cropped import cropped_items
    from emorec_rt.media import Frame, open_media
    from emorec_rt.windows.iterate import iter_windows
    from emorec_train.features.windows import TorchEngine
    from emorec_train.model.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(setup.folder / "checkpoint")
    spec = checkpoint.config.preprocessing
    vision = TorchEngine(checkpoint.vision, "vision", spec)
    audio = TorchEngine(checkpoint.audio, "audio", spec)
    fusion = TorchEngine(checkpoint.fusion, "fusion", spec, len(checkpoint.config.labels))
    cropper = FaceCropper("auto", size=spec.vision.crop_size, margin=spec.vision.margin)
    started, times = time.perf_counter(), []

    def first_seconds(items: Iterable[MediaItem]) -> Iterator[MediaItem]:
        for item in takewhile(lambda item: item.pts_seconds <= setup.seconds, items):
            if isinstance(item, Frame):
                times.append(item.pts_seconds)
            yield item

    with open_media(setup.clip) as media:
        for window in iter_windows(cropped_items(first_seconds(media), cropper), spec, vision, audio):
            fusion.run({name: array[None] for name, array in window.feeds().items()})
    return Measurement(times[-1] - times[0], len(times), time.perf_counter() - started)


def emorec(setup: Setup, backend: str, precision: Precision) -> Measurement:
    """This toolkit itself, on the whole clip."""
    import emorec_rt
    from emorec_rt.faces import keep_opencv_to_one_thread

    keep_opencv_to_one_thread()  # as the program does
    recognizer = emorec_rt.load(setup.folder / "bundle", backend=backend, precision=precision)
    started = time.perf_counter()
    first_row: float | None = None
    times = []
    for row in recognizer.stream(setup.clip):
        first_row = first_row or _process_seconds()
        times.append(row.time_seconds)
    return Measurement(times[-1] - times[0], len(times), time.perf_counter() - started, first_row)


def vision_alone(setup: Setup, backend: str, precision: Precision) -> Measurement:
    """The vision encoder on crops that are there already, at the batch size that suits it best: the limit."""
    from lanes import run_in_lanes

    from emorec_rt.bundle import open_bundle
    from emorec_rt.engines import open_engine

    bundle = open_bundle(setup.folder / "bundle")
    engine = open_engine(bundle, "vision", backend=backend, precision=precision)
    lanes = engine.lanes
    shape = engine.inputs[0].shape[1:]
    crops = np.random.default_rng(0).integers(0, 256, (lanes * max(VISION_BATCHES), *shape), np.uint8)
    with ThreadPoolExecutor(lanes) as threads:

        def timed(batch: int, seconds: float = VISION_SECONDS) -> tuple[int, float, int]:
            feeds = {"frames": crops[: lanes * batch]}
            return _time_batch(partial(run_in_lanes, engine, feeds, threads), batch, seconds)

        best = max(map(timed, VISION_BATCHES), key=lambda run: run[0] * run[2] / run[1])
        calls, wall, batch = timed(best[2], BEST_SECONDS)
    frames = calls * lanes * batch
    rate_hz = bundle.manifest.preprocessing.grid.rate_hz or 25.0
    together = f", {lanes} at once" if lanes > 1 else ""
    return Measurement(frames / rate_hz, frames, wall, note=f"batch {batch}{together}")


def _time_batch(run: Callable[[], object], batch: int, seconds: float) -> tuple[int, float, int]:
    """Calls, seconds, and the batch."""
    run()
    started, count = time.perf_counter(), 0
    while (wall := time.perf_counter() - started) < seconds or count < 3:
        run()
        count += 1
    return count, wall, batch


CONTENDERS: Final[dict[str, Callable[[Setup], Measurement]]] = {
    "PyTorch, each window anew": windows_anew,
    "PyTorch, each window anew, CUDA": partial(windows_anew, device="cuda"),
    "PyTorch, each frame once": frames_once,
    "emorec onnxruntime FP32": partial(emorec, backend="onnxruntime", precision="fp32"),
    "emorec onnxruntime INT8": partial(emorec, backend="onnxruntime", precision="int8"),
    "emorec openvino FP32": partial(emorec, backend="openvino", precision="fp32"),
    "emorec openvino INT8": partial(emorec, backend="openvino", precision="int8"),
    "emorec tensorrt FP32": partial(emorec, backend="tensorrt", precision="fp32"),
    "emorec tensorrt INT8": partial(emorec, backend="tensorrt", precision="int8"),
    "vision alone, onnxruntime INT8": partial(vision_alone, backend="onnxruntime", precision="int8"),
    "vision alone, openvino INT8": partial(vision_alone, backend="openvino", precision="int8"),
    "vision alone, tensorrt INT8": partial(vision_alone, backend="tensorrt", precision="int8"),
}


def _process_seconds() -> float:
    """Age of this process."""
    ticks = int(Path("/proc/self/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[19])
    up = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    return up - ticks / os.sysconf("SC_CLK_TCK")


def _peak_mib() -> float:
    """Peak memory of this program; the system's account of a child would count its parent's too."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the system tells no peak memory")


def main() -> None:
    """Run one contender and print what it measured."""
    name, folder, clip, seconds = sys.argv[1:]
    answer: dict[str, Any]
    try:
        answer = asdict(CONTENDERS[name](Setup(Path(folder), Path(clip), float(seconds))))
    except BackendUnavailableError as error:
        answer = {"skipped": str(error)}
    sys.stdout.write(json.dumps({**answer, "peak_mib": _peak_mib()}) + "\n")


if __name__ == "__main__":
    main()
