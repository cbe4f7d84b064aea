"""Many inputs in one call: batches fill across them, and each stands for itself."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emorec_rt.bundle import open_bundle
from emorec_rt.bundle.manifest import TensorSpec
from emorec_rt.engines import open_engines
from emorec_rt.engines.base import Engine, Tensors
from emorec_rt.errors import EngineError
from emorec_rt.jobs.plan import plan
from emorec_rt.jobs.session import Session
from emorec_rt.media.sources import Source, SourceOptions, open_source
from emorec_rt.recognizer import batchers as module
from emorec_rt.recognizer import recognizer as recognizer_module
from emorec_rt.recognizer.events import Done, Failed, Row
from emorec_rt.recognizer.options import Options
from emorec_rt.recognizer.recognizer import Recognizer
from folder_clips import write_clip


class Counting(Engine):
    """An engine that notes the size of each batch."""

    def __init__(self, engine: Engine) -> None:
        self.inputs = engine.inputs
        self.outputs = engine.outputs
        self.batches: list[int] = []
        self._engine = engine

    def run(self, feeds: Tensors) -> dict[str, Any]:
        self.batches.append(len(next(iter(feeds.values()))))
        return self._engine.run(feeds)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Recognizer:
    def opened(*arguments: Any, **options: Any) -> tuple[str, dict[str, Engine]]:
        name, engines = open_engines(*arguments, **options)
        return name, {graph: Counting(engine) for graph, engine in engines.items()}

    monkeypatch.setattr(module, "open_engines", opened)
    return Recognizer(open_bundle(), Options(backend="onnxruntime", batch_size=16, face="off"))


def batches(recognizer: Recognizer, graph: str) -> list[int]:
    engine: Any = recognizer.engine(graph)  # type: ignore[arg-type]
    found: list[int] = engine.batches
    return found


@pytest.fixture
def short(tmp_path: Path) -> list[Path]:
    """Seven clips of 10 frames and a broken file between them."""
    files = [write_clip(tmp_path / f"{k}.mkv") for k in range(7)]
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"nothing that is media")
    return [*files[:3], broken, *files[3:]]


def test_batches_fill_across_files(counted: Recognizer, short: list[Path]) -> None:
    events = list(counted.run(short))
    frames = 7 * 10
    assert batches(counted, "vision") == [16] * (frames // 16) + [frames % 16]
    assert len(batches(counted, "fusion")) == math.ceil(7 / 4)
    assert sum(isinstance(event, Row) for event in events) == frames
    assert [event.source.name for event in events if isinstance(event, Failed)] == ["broken.mkv"]
    assert [event.source for event in events if isinstance(event, Done)] == [
        path for path in short if path.name != "broken.mkv"
    ]


class Broken(Counting):
    """A fusion engine whose logits are not finite for the clip that it sees second."""

    def run(self, feeds: Tensors) -> dict[str, Any]:
        outputs = super().run(feeds)
        if len(self.batches) == 1:
            outputs["logits"] = np.array(outputs["logits"])
            outputs["logits"][1] = np.nan
        return outputs


def test_logits_that_are_not_finite_fail_their_input_alone(
    monkeypatch: pytest.MonkeyPatch, short: list[Path]
) -> None:
    def opened(*arguments: Any, **options: Any) -> tuple[str, dict[str, Engine]]:
        name, engines = open_engines(*arguments, **options)
        return name, {**engines, "fusion": Broken(engines["fusion"])}

    monkeypatch.setattr(module, "open_engines", opened)
    loaded = Recognizer(open_bundle(), Options(backend="onnxruntime", face="off"))
    events = list(loaded.run(short))
    failed = [event for event in events if isinstance(event, Failed)]
    assert [event.source.name for event in failed] == ["broken.mkv", "1.mkv"]
    assert "1.mkv: the model gave logits that are not finite" in str(failed[1].error)
    assert [event.source.stem for event in events if isinstance(event, Done)] == list("023456")
    assert {event.source.stem for event in events if isinstance(event, Row)} == set("023456")


def test_a_fast_mode_keeps_every_row_of_real_faces(media_root: Path) -> None:
    clip = media_root / "faces" / "grid" / "lrwp9a.mpg"
    exact = Recognizer(open_bundle(), Options(backend="onnxruntime"))
    fast = Recognizer(open_bundle(), Options(backend="onnxruntime", vision_fps=5.0))
    slow_rows, fast_rows = list(exact.stream(clip)), list(fast.stream(clip))
    assert [(p.index, p.time_seconds, p.face, p.box) for p in fast_rows] == [
        (p.index, p.time_seconds, p.face, p.box) for p in slow_rows
    ]
    assert 0 < fast.frames_encoded <= 0.25 * exact.frames_encoded
    assert exact.frames_encoded == sum(p.face for p in slow_rows)


def test_folders_of_real_media_give_the_rows_of_single_files(media_root: Path) -> None:
    clips = sorted((media_root / "faces" / "grid").glob("*.mpg"))[:2]
    loaded = Recognizer(open_bundle(), Options(backend="onnxruntime", face="off"))
    together = [(e.source, e.prediction) for e in loaded.run(clips) if isinstance(e, Row)]
    for clip in clips:
        alone = list(Recognizer(open_bundle(), Options(backend="onnxruntime", face="off")).stream(clip))
        mine = [prediction for source, prediction in together if source == clip]
        assert [p.time_seconds for p in mine] == [p.time_seconds for p in alone]
        np.testing.assert_allclose(
            [p.probabilities for p in mine], [p.probabilities for p in alone], atol=1e-4
        )


def test_a_file_that_is_stopped_fails_and_the_next_run_starts_afresh(
    counted: Recognizer, short: list[Path]
) -> None:
    events = []
    for event in counted.run(short):
        events.append(event)
        counted.stop()
    (failed,) = (event for event in events if isinstance(event, Failed))
    assert (failed.source, failed.error.reason) == (short[0], "stopped before its end")
    assert not any(isinstance(event, Done) for event in events)
    assert {event.source for event in events} == {short[0]}
    assert sum(isinstance(event, Done) for event in counted.run(short)) == 7


def test_after_a_failure_engines_are_loaded_again(
    monkeypatch: pytest.MonkeyPatch, short: list[Path], tmp_path: Path
) -> None:
    loads: list[str] = []

    class FailsOnce(Counting):
        def run(self, feeds: Tensors) -> dict[str, Any]:
            if len(loads) == 1:
                raise EngineError("the library failed")
            return super().run(feeds)

    def opened(*arguments: Any, **options: Any) -> tuple[str, dict[str, Engine]]:
        name, engines = open_engines(*arguments, **options)
        loads.append(name)
        return name, {graph: FailsOnce(engine) for graph, engine in engines.items()}

    monkeypatch.setattr(module, "open_engines", opened)
    recognizer = Recognizer(open_bundle(), Options(backend="onnxruntime", face="off"))
    jobs = plan(short, [], tmp_path / "out", ["csv"])
    account = Session(recognizer, jobs).run()
    assert loads == ["onnxruntime"] * 2
    lost = [outcome for outcome in account.outcomes if "the library failed" in outcome.cause]
    assert 1 <= len(lost) <= 2  # the first batch holds frames of two clips
    assert account.done == 7 - len(lost)
    assert len(list((tmp_path / "out").iterdir())) == account.done


class SlowEngine(Engine):
    """Takes a while for a frame, beside others or alone."""

    inputs = (TensorSpec(name="frames", dtype="uint8", shape=(-1, 4, 4, 3)),)
    outputs = ()

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes

    def run(self, feeds: Tensors) -> Tensors:
        time.sleep(0.01)
        return {name: array[:1] for name, array in feeds.items()}


def test_small_pictures_are_decoded_in_one_thread_beside_a_slow_encoder() -> None:
    assert 640 * 360 < recognizer_module._single_thread_pixels(SlowEngine(2)) < 4 * 640 * 360
    assert recognizer_module._single_thread_pixels(SlowEngine(1)) == 0  # a GPU's


def test_files_are_opened_with_that(monkeypatch: pytest.MonkeyPatch, short: list[Path]) -> None:
    seen: list[SourceOptions] = []

    def opened(source: Path, options: SourceOptions) -> Source:
        seen.append(options)
        return open_source(source, options)

    monkeypatch.setattr(recognizer_module, "_single_thread_pixels", lambda _: 123)
    monkeypatch.setattr(recognizer_module, "open_source", opened)
    recognizer = Recognizer(open_bundle(), Options(backend="onnxruntime", face="off"))
    assert list(recognizer.stream(short[0]))
    assert [options.single_thread_pixels for options in seen] == [123]
