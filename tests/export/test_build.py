"""Checkpoint to bundle, and the program around it."""

from __future__ import annotations

import dataclasses
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from emorec_calib import excerpts
from emorec_calib import ranges as ranges_file
from emorec_calib.errors import CalibrationError
from emorec_export import build as build_module
from emorec_export.build import Console, Request, build
from emorec_export.graphs import ExportError
from emorec_export.page import PAGE_FILE_NAME
from emorec_export.quantize import count_quantized
from emorec_export.recipe import RECIPES
from emorec_export.report import Report
from emorec_export.sensitivity import Bench
from emorec_export.variants import wanted
from emorec_rt.bundle import open_bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, Decoding, GraphName
from emorec_rt.constants import PRECISIONS
from emorec_rt.engines import open_engine
from emorec_rt.errors import UsageError
from emorec_rt.recognizer.options import Options
from emorec_rt.recognizer.recognizer import Recognizer
from emorec_train.data.dataset_clips import DataRequest
from emorec_train.model.checkpoint import Checkpoint, load_checkpoint, store_decoding
from layouts import write_affwild2, write_video
from tiny_model import CONFIG, LABELS, tiny_checkpoint, tiny_graphs

PROGRAM = Path(__file__).parents[2] / "export" / "build_engine.py"
INT8 = wanted(int8=True)
QUICK = {"calibration_clips": 3, "test_clips": 1, "max_drop": 1.0}


class Lines(list[str]):
    """A console that remembers."""

    def console(self) -> Console:
        return Console(say=self.append, track=self.track)

    def track(self, items: Iterable[Any], label: str, length: int) -> AbstractContextManager[Iterable[Any]]:
        self.append(f"{label} {length}")
        return nullcontext(items)


@pytest.fixture(autouse=True)
def exported_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint's graphs are ``tiny_graphs``: exporting them again would only take time."""
    monkeypatch.setattr(build_module, "export_graph", lambda name, *_: tiny_graphs()[name])


@pytest.fixture(scope="module")
def bundle_folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("engines") / "tiny"
    build(
        checkpoint,
        Request(out=out, name="tiny", precisions=PRECISIONS, notice="a test", **QUICK),
        Lines().console(),
    )
    return out


def test_the_runtime_takes_it(bundle_folder: Path) -> None:
    bundle = open_bundle(bundle_folder)
    assert bundle.manifest.labels == LABELS
    assert bundle.manifest.preprocessing == CONFIG.preprocessing
    assert bundle.manifest.notice == "a test"
    for name in GRAPH_NAMES:
        for precision in PRECISIONS:
            engine = open_engine(bundle, name, precision=precision, threads=1)
            feeds = {spec.name: np.zeros((2, *spec.shape[1:]), spec.dtype) for spec in engine.inputs}
            assert all(np.isfinite(values).all() for values in engine.run(feeds).values())


def test_it_says_how_it_came_about(bundle_folder: Path) -> None:
    manifest = open_bundle(bundle_folder).manifest
    assert manifest.provenance["calibration"]["source"] == "generated"
    assert manifest.provenance["calibration"]["samples"]["vision"] >= 100
    assert len(manifest.provenance["checkpoint"]["vision.safetensors"]) == 64
    chain = manifest.parity["variants"]["int8"]["chain"]
    assert 0.9 <= chain["label_agreement"] <= 1.0
    graphs = manifest.parity["variants"]["int8"]["graphs"]
    assert all(0 < graphs[name]["quantized_layers"] < graphs[name]["products"] for name in GRAPH_NAMES)
    assert set(manifest.parity["variants"]) == {"fp32", *RECIPES}
    assert manifest.parity["variants"]["fp16"]["chain"]["label_agreement"] >= 0.99
    assert manifest.parity["engine"].startswith("onnxruntime")
    assert manifest.parity["variants"]["fp32"]["chain"]["label_agreement"] == 1.0


def test_the_page_lies_beside_it_and_needs_nothing(bundle_folder: Path) -> None:
    text = (bundle_folder / PAGE_FILE_NAME).read_text(encoding="utf-8")
    assert all(precision in text for precision in PRECISIONS)
    assert "http" not in text
    assert "<script" not in text


def test_the_best_mix_leaves_out_the_most_sensitive(
    checkpoint: Checkpoint, bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpatched = Bench.open

    def opened(bench: Bench, name: GraphName, model: onnx.ModelProto, scratch: Path) -> Any:
        engine: Any = unpatched(bench, name, model, scratch)
        engine.quantized = count_quantized(model)
        return engine

    def drop(_: Bench, engines: Any) -> float:
        """As if five layers in INT8 were fine, and six too many."""
        return 1.0 if sum(engine.quantized for engine in engines.values()) > 5 else 0.0

    monkeypatch.setattr(Bench, "open", opened)
    monkeypatch.setattr(Bench, "drop", drop)
    request = Request(
        out=tmp_path / "mixed",
        name="mixed",
        precisions=INT8,
        auto_mixed=True,
        ranges=bundle_folder / ranges_file.FILE_NAME,
        **QUICK | {"max_drop": 0.5},
    )
    build(checkpoint, request, Lines().console())
    manifest = open_bundle(tmp_path / "mixed").manifest
    layers = msgspec.convert(manifest.parity, Report).sensitivity
    divergences = [layer.divergence for layer in layers]
    assert divergences == sorted(divergences, reverse=True)
    assert max(divergences) > 0
    assert all(0.9 < layer.cosine <= 1.0 for layer in layers)
    assert [layer.quantized for layer in layers] == [False] * (len(layers) - 5) + [True] * 5
    graphs = manifest.parity["variants"]["int8"]["graphs"]
    assert sum(graphs[name]["quantized_layers"] for name in GRAPH_NAMES) == 5
    assert layers[0].layer in (tmp_path / "mixed" / PAGE_FILE_NAME).read_text(encoding="utf-8")


def test_its_ranges_serve_again(checkpoint: Checkpoint, bundle_folder: Path, tmp_path: Path) -> None:
    ranges = bundle_folder / ranges_file.FILE_NAME
    request = Request(
        out=tmp_path / "again", name="again", precisions=("fp32", "int8"), ranges=ranges, **QUICK
    )
    lines = Lines()
    build(checkpoint, request, lines.console())
    assert not any(line.startswith("calibrate") for line in lines)
    for name in GRAPH_NAMES:
        file = f"{name}.int8.onnx"
        assert (tmp_path / "again" / file).read_bytes() == (bundle_folder / file).read_bytes()


def test_a_tuned_decoding_goes_into_the_bundle(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path / "run")
    decoding = Decoding(smoothing_seconds=0.5, logit_bias=(0.25, *[-0.5] * 7))
    store_decoding(tmp_path / "run", decoding, {"split": "validation"})
    request = Request(out=tmp_path / "bundle", name="tuned", **QUICK)
    build(load_checkpoint(tmp_path / "run"), request, Lines().console())
    assert open_bundle(tmp_path / "bundle").manifest.decoding == decoding


def test_stale_ranges_leave_nothing(checkpoint: Checkpoint, bundle_folder: Path, tmp_path: Path) -> None:
    ranges = ranges_file.load(bundle_folder / ranges_file.FILE_NAME)
    graphs = {**ranges.graphs}
    graphs["audio"] = build_module.ranges_file.GraphRanges(graph_sha256="0" * 64, samples=1, tensors={})
    stale = tmp_path / "stale.json"
    ranges_file.dump(_replaced(ranges, graphs=graphs), stale)
    request = Request(
        out=tmp_path / "out" / "x", name="x", precisions=("fp32", "int8"), ranges=stale, **QUICK
    )
    with pytest.raises(CalibrationError, match="stale: they were collected on another audio graph"):
        build(checkpoint, request, Lines().console())
    assert list((tmp_path / "out").iterdir()) == []


def _replaced(ranges: ranges_file.Ranges, **fields: Any) -> ranges_file.Ranges:
    return msgspec.structs.replace(ranges, **fields)


def test_too_much_loss_leaves_nothing(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "failures", lambda _, max_drop: [f"lost over {max_drop}"])
    lines = Lines()
    request = Request(out=tmp_path / "x", name="x", test_clips=1, max_drop=0.03)
    with pytest.raises(ExportError, match=r"nothing was written: lost over 0\.03"):
        build(checkpoint, request, lines.console())
    assert list(tmp_path.iterdir()) == []
    assert any("whole chain" in line for line in lines), "the report is shown all the same"


def test_a_checkpoint_of_recordings_asks_where_they_are(checkpoint: Checkpoint, tmp_path: Path) -> None:
    record = msgspec.structs.replace(checkpoint.training, clips={"test": ["ravdess:interview"]})
    foreign = dataclasses.replace(checkpoint, training=record)
    with pytest.raises(UsageError, match="doesn't say where they are"):
        build(foreign, Request(out=tmp_path / "x", name="x"), Lines().console())
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_data_sets(checkpoint: Checkpoint, tmp_path: Path) -> None:
    root = write_affwild2(tmp_path / "affwild2")
    clips = {"train": ["affwild2:10-25-96x96_left"], "validation": ["affwild2:video7"], "test": []}
    settings = {"data": DataRequest((f"affwild2:{root}",)).recorded()}
    record = msgspec.structs.replace(checkpoint.training, clips=clips, settings=settings)
    trained = dataclasses.replace(checkpoint, training=record)
    build(
        trained,
        Request(out=tmp_path / "x", name="x", precisions=("fp32", "fp16"), max_drop=1.0),
        Lines().console(),
    )
    reference = open_bundle(tmp_path / "x").manifest.parity["reference"]
    assert reference["clips"] == 1
    assert reference["rows"] > 10
    assert sum(reference["support"].values()) == reference["rows"]


def test_recordings_calibrate(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        write_video(tmp_path / "clips" / f"{seed}.mp4", seed, seconds=3.0)
    monkeypatch.setattr(excerpts, "EXCERPT_SECONDS", 2.0)
    request = Request(
        out=tmp_path / "x", name="x", precisions=INT8, recordings=(tmp_path / "clips",), **QUICK
    )
    lines = Lines()
    build(checkpoint, request, lines.console())
    assert "calibrate 2" in lines
    provenance = open_bundle(tmp_path / "x").manifest.provenance["calibration"]
    assert (provenance["source"], provenance["clips"]) == ("media", 2)
    assert provenance["samples"]["vision"] >= 100


def _documented() -> list[str]:
    """The options of each command in the page's list of variants."""
    page = (PROGRAM.parents[1] / "docs" / "export.md").read_text(encoding="utf-8")
    section = page.partition("## One command for each variant")[2].partition("\n## ")[0]
    return re.findall(r"^python export/build_engine\.py *(.*?) *#", section, re.MULTILINE)


VARIANTS_OF = {
    "": ("fp32",),
    "--fp16": ("fp32", "fp16"),
    "--int8": ("fp32", "int8"),
    "--fp16 --int8": ("fp32", "fp16", "int8", "int8-fp16"),
    "--fp8": ("fp32", "fp8"),
    "--int8 --auto-mixed": ("fp32", "int8"),
    "--int8 --only": ("int8",),
}


def test_the_page_has_a_command_for_each_variant() -> None:
    assert _documented() == list(VARIANTS_OF)


@pytest.mark.parametrize("options", VARIANTS_OF)
def test_one_command_for_each_variant(
    options: str, checkpoint: Checkpoint, bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process keeps its own
    monkeypatch.setattr(build_module, "MIX_CLIPS", 1)
    main = runpy.run_path(str(PROGRAM), run_name="program")["main"]
    out = tmp_path / "bundle"
    calib = [] if options in ("", "--fp16") else ["--calib", bundle_folder / ranges_file.FILE_NAME]
    arguments = ["--checkpoint", checkpoint.folder, "--out", out, "--test-clips", 1, "--max-drop", 1, *calib]
    done = CliRunner().invoke(main, [*options.split(), *map(str, arguments)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}\n"
    assert "whole chain on 1 held-out clips" in done.stderr
    manifest = open_bundle(out).manifest
    assert tuple(manifest.graphs["vision"].variants) == VARIANTS_OF[options]
    assert manifest.precision == ("int8" if "--int8" in options else "fp32")
    assert {path.name for path in out.glob("*.onnx")} == {
        variant.file for graph in manifest.graphs.values() for variant in graph.variants.values()
    }
    assert set(Recognizer(open_bundle(out), Options(backend="onnxruntime", face="off", threads=1)).labels)
    assert (out / PAGE_FILE_NAME).is_file()
    assert bool(manifest.parity["sensitivity"]) == ("--auto-mixed" in options)


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--checkpoint", "{empty}"], 1, "run train/run.py"),
        (["--calib", "ranges.json"], 2, "add --int8"),
        (["--calib", "{empty}/absent.json", "--int8"], 2, "no such file or folder"),
        (["--calib", "{file}.json", "--calib", "{empty}", "--int8"], 2, "one ranges.json"),
        (["--checkpoint", "{file}.json"], 2, "is a file"),
        (["--out", "{file}.json/bundle", "--checkpoint", "{empty}"], 1, "run train/run.py"),
        (["--data", "nonsense", "--checkpoint", "{tiny}"], 2, "give NAME:PATH"),
        (["--checkpoint", "{tiny}", "--out", "{file}.json/bundle"], 1, "can't be written"),
        (["--auto-mixed", "--fp8"], 2, "add --int8"),
        (["--only", "--checkpoint", "{tiny}"], 2, "nothing else is built"),
        (["--int8", "--precision", "fp16", "--checkpoint", "{tiny}"], 2, "it is not built"),
        (["--int8", "--only", "--precision", "fp32"], 2, "--only leaves FP32 out"),
        (["--int8", "--only", "--backend", "torch-tensorrt"], 2, "name the other backends"),
        (["--int8", "--only", "--backend", "all"], 2, "name the other backends"),
        (["--calib-clips", "3"], 2, "--calib-clips is for INT8 and FP8"),
        (["--int8", "--calib-seconds", "3"], 2, "take --calib-clips"),
        (["--int8", "--calib", "{empty}", "--calib-clips", "3"], 2, "take --calib-seconds"),
        (["--int8", "--calib", "{file}.json", "--calib-method", "max"], 2, "would do nothing"),
        (["--fp16", "--workspace", "256"], 2, "--workspace is for TensorRT"),
        (["--int4"], 2, "--int4"),
        (["--max-drop", "2"], 2, "--max-drop"),
        (["--nonsense"], 2, "--nonsense"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], code: int, message: str, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.json").touch()
    places = {"empty": tmp_path / "empty", "file": tmp_path / "file", "tiny": checkpoint.folder}
    result = _run(*(argument.format(**places) for argument in arguments))
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing(
    number: signal.Signals, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    out = tmp_path / "engines"
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), "--checkpoint", str(checkpoint.folder), "--out", str(out / "tiny")],
        env={"PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (out.is_dir() and any(out.iterdir())):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    shown, told = process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert (shown, "Traceback" in told) == ("", False)
    assert list(out.iterdir()) == []


def test_a_foreign_output_folder_is_refused_before_any_work(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    result = _run("--checkpoint", checkpoint.folder, "--out", tmp_path)
    assert result.returncode == 1
    assert "is not a bundle" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
