"""Collecting: what is observed, and which clips are refused."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from emorec_calib import ranges as ranges_file
from emorec_calib.collect import CalibrationClip, Collection, collect, masked_feeds, media_clips
from emorec_calib.errors import CalibrationError
from emorec_calib.observe import ObservingEngine, watched_tensors
from emorec_calib.observers import METHODS
from emorec_calib.partial import partial_path, put_aside, take_up
from emorec_calib.sanity import Witness
from emorec_export.graphs import write_graph
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, expected_tensors
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.media.types import Frame, MediaItem, Samples
from emorec_rt.windows.window import Window
from emorec_train.data.source import GeneratedClips
from emorec_train.data.synthetic import ClipSpec
from layouts import write_video
from tiny_model import CONFIG, LABELS, tiny_graphs

SPEC = CONFIG.preprocessing
TENSORS = expected_tensors(SPEC, len(LABELS))
PROGRAM = Path(__file__).parents[2] / "calibration" / "collect.py"
CLIPS = GeneratedClips(LABELS, {"train": 3}, ClipSpec(seconds=2.0))
Graphs = dict[GraphName, Path]


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    folder = tmp_path_factory.mktemp("graphs")
    paths: Graphs = {name: folder / f"{name}.onnx" for name in GRAPH_NAMES}
    for name, path in paths.items():
        write_graph(tiny_graphs()[name], path)
    return paths


@pytest.fixture(scope="module")
def drawn() -> list[list[MediaItem]]:
    return [list(CLIPS.open(clip_id).items) for clip_id in CLIPS.clip_ids("train")]


def _clips(drawn: list[list[MediaItem]]) -> Iterator[CalibrationClip]:
    for index, items in enumerate(drawn):
        yield CalibrationClip(str(index), items)


def test_ranges_of_every_product(graphs: Graphs, drawn: list[list[MediaItem]]) -> None:
    ranges = collect(graphs, SPEC, len(LABELS), _clips(drawn), source="generated", seed=5)
    assert (ranges.clips, ranges.source, ranges.seed) == (("0", "1", "2"), "generated", 5)
    assert ranges.preprocessing == SPEC
    assert 100 <= ranges.graphs["vision"].samples <= 150
    for name, path in graphs.items():
        assert set(ranges.graphs[name].tensors) == set(watched_tensors(onnx.load(path)))
    again = collect(graphs, SPEC, len(LABELS), _clips(drawn), source="generated", seed=5)
    assert again == ranges


def test_channels_agree_with_the_ranges(graphs: Graphs, drawn: list[list[MediaItem]]) -> None:
    ranges = collect(graphs, SPEC, len(LABELS), _clips(drawn), source="generated")
    for name, graph in ranges.graphs.items():
        model = onnx.load(graphs[name])
        assert set(graph.channels) == set(watched_tensors(model, frozenset({"MatMul", "Gemm"})))
        for tensor, magnitudes in graph.channels.items():
            assert max(magnitudes) == pytest.approx(graph.tensors[tensor].magnitude, rel=1e-5)


@pytest.mark.parametrize("method", ["max", "entropy"])
def test_a_killed_collection_goes_on(
    method: str, graphs: Graphs, drawn: list[list[MediaItem]], tmp_path: Path
) -> None:
    def clips() -> list[CalibrationClip]:
        return [CalibrationClip(f"{i}.mp4", items, identity=f"id{i}") for i, items in enumerate(drawn)]

    def new() -> Collection:
        return Collection(graphs, SPEC, len(LABELS), method)

    path = partial_path(tmp_path / "ranges.json")
    whole, killed, resumed = new(), new(), new()
    for clip in clips():
        whole.add(clip)
    for clip in clips()[:2]:
        killed.add(clip)
        put_aside(killed, path)
    assert take_up(resumed, path, {"id0", "id1", "id2"}) == "going on after 2 clips that were done before"
    resumed.add(clips()[2])
    assert resumed.ranges("media") == whole.ranges("media")

    refused = new()
    assert "clips that are not asked for" in take_up(refused, path, {"id1", "id2"})
    other = Collection(graphs, SPEC, len(LABELS), "percentile")
    assert "another method" in take_up(other, path, {"id0", "id1"})
    path.write_bytes(path.read_bytes()[:1000])
    assert "damaged" in take_up(refused, path, {"id0", "id1"})
    assert refused.progress.clips == []
    assert take_up(refused, tmp_path / "absent", set()) == ""


def test_an_observed_graph_answers_as_it_did(graphs: Graphs) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    watched = ObservingEngine(graphs["vision"], *TENSORS["vision"], "max")
    plain = OrtEngine(graphs["vision"], *TENSORS["vision"])
    feeds = {"frames": frames}
    expected, actual = plain.run(feeds)["embeddings"], watched.run(feeds)["embeddings"]
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    found = watched.ranges()
    normalised = (frames / 255.0 - SPEC.vision.mean) / SPEC.vision.std
    assert found.samples == 3
    assert found.tensors["vision/Transpose"].low == pytest.approx(normalised.min(), abs=1e-4)
    assert found.tensors["vision/Transpose"].high == pytest.approx(normalised.max(), abs=1e-4)


def _edited(
    items: list[MediaItem], edit: Callable[[NDArray[np.generic]], NDArray[np.generic]]
) -> Iterator[MediaItem]:
    for item in items:
        yield Samples(item.pts_seconds, edit(item.pcm)) if isinstance(item, Samples) else item


def test_silence_noise_and_too_little_are_refused(graphs: Graphs, drawn: list[list[MediaItem]]) -> None:
    rng = np.random.default_rng(0)

    def refusal(clips: list[Iterator[MediaItem]]) -> str:
        given = (CalibrationClip("x", items) for items in clips)
        with pytest.raises(CalibrationError) as caught:
            collect(graphs, SPEC, len(LABELS), given, source="media")
        return str(caught.value)

    assert "only 0 faces" in refusal([])
    assert "only 50 faces, at least 100" in refusal([iter(drawn[0])])
    silent = [_edited(items, np.zeros_like) for items in drawn]
    assert "only 0 chunks of sound" in refusal(silent)
    noisy = [_edited(items, lambda pcm: rng.uniform(-1, 1, len(pcm)).astype(np.float32)) for items in drawn]
    assert "chunks of sound look like random noise" in refusal(noisy)


class _Echo:
    inputs, outputs = TENSORS["vision"]

    def run(self, feeds: dict[str, NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
        return {"embeddings": np.zeros((len(feeds["frames"]), 16), np.float32)}


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (lambda rng: rng.integers(0, 256, (120, 32, 32, 3), dtype=np.uint8), "random noise"),
        (lambda _: np.full((120, 32, 32, 3), 90, np.uint8), "constant or alike"),
        (lambda _: np.repeat(_slope(1), 120, axis=0), "constant or alike"),
        (lambda _: _slope(99), "only 99 faces"),
    ],
)
def test_frames_that_are_no_faces(
    frames: Callable[[np.random.Generator], NDArray[np.uint8]], reason: str
) -> None:
    witness = Witness(_Echo(), 100, "faces")
    witness.run({"frames": frames(np.random.default_rng(0))})
    assert any(reason in complaint for complaint in witness.complaints())


def test_varied_smooth_frames_are_fine() -> None:
    witness = Witness(_Echo(), 100, "faces")
    witness.run({"frames": _slope(120)})
    assert not list(witness.complaints())


def _slope(count: int) -> NDArray[np.uint8]:
    ramp = np.arange(32)[None, None, :, None] * 4 + np.arange(count)[:, None, None, None]
    return np.broadcast_to(ramp, (count, 32, 32, 3)).astype(np.uint8)


def test_each_window_is_seen_without_each_stream() -> None:
    ones = np.ones((2, 3), np.float32)
    feeds = masked_feeds(Window(0, 2, 2, np.zeros(2), ones, ones[:, 0], ones, ones[:, 0]))
    assert feeds["frame_mask"].sum(axis=1).tolist() == [2.0, 0.0, 2.0]
    assert feeds["audio_mask"].sum(axis=1).tolist() == [2.0, 2.0, 0.0]
    assert feeds["frame_embeddings"].sum(axis=(1, 2)).tolist() == [6.0, 0.0, 6.0]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "CLIPS"),
        (["{folder}"], 2, "no recordings"),
        (["{folder}", "--bundle", "{folder}/absent"], 2, "no recordings"),
        (["{folder}/../absent.mp4"], 2, "does not exist"),
    ],
)
def test_program_errors(arguments: list[str], code: int, message: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(PROGRAM), *(argument.format(folder=tmp_path) for argument in arguments)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_the_program_samples_long_recordings_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        write_video(tmp_path / "in" / f"{seed}.mp4", seed, seconds=10.0)
    main = runpy.run_path(str(PROGRAM), run_name="program")["main"]
    out, dump = tmp_path / "ranges.json", ranges_file.dump
    arguments = [str(tmp_path / "in"), "--out", str(out), "--seconds", "16"]

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ranges_file, "dump", killed)
    assert CliRunner().invoke(main, arguments).exit_code == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["ranges.json.partial"]
    monkeypatch.setattr(ranges_file, "dump", dump)
    other = CliRunner().invoke(main, [*arguments, "--seconds", "8"])
    assert "clips that are not asked for; starting anew" in other.stderr
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.stdout) == (0, f"{out}\n"), done.output
    ranges = ranges_file.load(out)
    assert (ranges.source, sorted(ranges.clips)) == ("media", ["0.mp4", "1.mp4"])
    assert 350 <= ranges.graphs["vision"].samples <= 420
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["ranges.json"]


def test_the_program_offers_every_method(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, str(PROGRAM), "--help"],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"[{'|'.join(METHODS)}]" in shown


def test_frames_without_sound_are_refused(graphs: Graphs, drawn: list[list[MediaItem]]) -> None:
    mute = (
        CalibrationClip("x", [item for item in items if isinstance(item, Frame)], has_sound=False)
        for items in drawn
    )
    with pytest.raises(CalibrationError, match="only 0 chunks of sound"):
        collect(graphs, SPEC, len(LABELS), mute, source="media")


def test_recordings(graphs: Graphs, media_root: Path) -> None:
    files = sorted((media_root / "faces").rglob("*.mp4"))[:8]
    ranges = collect(graphs, SPEC, len(LABELS), media_clips(files), source="media")
    assert ranges.clips == tuple(file.name for file in files)
    assert all(graph.samples > 0 for graph in ranges.graphs.values())
