"""A model that tells valence, arousal and action units: checkpoint, bundle, and rows of the runtime."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
import torch

import emorec_rt
from emorec_export import build as build_module
from emorec_export.build import Console, Request, build
from emorec_export.graphs import export_graph
from emorec_export.measures import MeasuredRows
from emorec_export.report import MeasureParity, Report, failures, table
from emorec_rt.bundle import manifest as manifest_file
from emorec_rt.bundle import open_bundle
from emorec_rt.bundle.manifest import TASKS_VERSION, GraphName, tasks_of
from emorec_rt.bundle.tasks import MEASURES, Tasks
from emorec_rt.errors import BundleError
from emorec_train.data.synthetic import ClipSpec, clip_seeds, draw_clip, write_clip
from emorec_train.model.checkpoint import load_checkpoint, save_checkpoint
from emorec_train.model.checkpoint_parts import TrainingRecord
from emorec_train.model.fusion import new_fusion
from tiny_model import CONFIG, tiny_graphs, tiny_models

TASKS = Tasks(valence_arousal=True, action_units=("AU12", "AU04", "AU26"))
CONFIGURED = msgspec.structs.replace(CONFIG, tasks=TASKS)


def graph_of(name: GraphName, *rest: Any) -> onnx.ModelProto:
    return export_graph(name, *rest) if name == "fusion" else tiny_graphs()[name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle in FP32 and INT8 of random weights, built from a checkpoint on disk."""
    root = tmp_path_factory.mktemp("tasks")
    models = tiny_models()
    torch.manual_seed(1)
    fusion = new_fusion(CONFIGURED).eval()
    clips = {split: [str(seed) for seed in clip_seeds(split, 3)] for split in ("train", "validation", "test")}
    record = TrainingRecord(command="run.py", clips=clips, settings={"clip_seconds": 2.0})
    save_checkpoint(root / "run", CONFIGURED, record, vision=models.vision, audio=models.audio, fusion=fusion)
    request = Request(
        out=root / "bundle",
        name="tasks",
        precisions=("fp32", "int8"),
        calibration_clips=3,
        test_clips=1,
        max_drop=1.0,
    )
    with pytest.MonkeyPatch.context() as patch:
        # The encoders are those of other tests; the fusion alone is exported anew.
        patch.setattr(build_module, "export_graph", graph_of)
        build(load_checkpoint(root / "run"), request, Console(print, lambda items, *_: nullcontext(items)))
    return root / "bundle"


def test_the_manifest_declares_them_and_the_report_compares_them(folder: Path) -> None:
    manifest = open_bundle(folder).manifest
    assert manifest.schema_version == TASKS_VERSION
    assert tasks_of(manifest) == TASKS
    report = msgspec.convert(manifest.parity, Report)
    exact, rounded = (report.variants[name].chain.measures for name in ("fp32", "int8"))
    assert exact is not None
    assert rounded is not None
    assert exact.concordance == pytest.approx({"valence": 1.0, "arousal": 1.0}, abs=1e-4)
    assert set(exact.unit_agreement) == {"AU12", "AU04", "AU26"}
    assert min(exact.unit_agreement.values()) > 0.99
    assert 0.5 < rounded.concordance["valence"] <= 1.0
    assert "CCC with PyTorch's valence" in table(report)


def test_rows_carry_them_in_every_table(folder: Path, tmp_path: Path) -> None:
    video = tmp_path / "talk.mp4"
    write_clip(draw_clip(clip_seeds("test", 1)[0], ClipSpec(seconds=2.0)), video)
    recognizer = emorec_rt.load(folder, threads=1)
    rows = list(recognizer.stream(video))
    assert recognizer.measures == ("valence", "arousal", "AU12", "AU04", "AU26")
    assert all(tuple(row.measures) == recognizer.measures for row in rows)
    assert all(-1.0 <= row.measures["arousal"] <= 1.0 and 0.0 < row.measures["AU26"] < 1.0 for row in rows)
    assert len({round(row.measures["AU26"], 6) for row in rows}) > 1
    np.testing.assert_allclose([row.probabilities.sum() for row in rows], 1.0, atol=1e-5)
    columns = emorec_rt.table(rows)
    assert columns["valence"].tolist() == pytest.approx([row.measures["valence"] for row in rows])


def test_a_label_of_the_same_name_and_a_version_of_before_are_refused(folder: Path, tmp_path: Path) -> None:
    manifest = open_bundle(folder).manifest
    path = tmp_path / "manifest.json"
    with pytest.raises(BundleError, match="label and a measure of one name, valence"):
        manifest_file.dump(msgspec.structs.replace(manifest, labels=("valence", *manifest.labels[1:])), path)
    with pytest.raises(BundleError, match="schema version 1 doesn't go with its tasks"):
        manifest_file.dump(msgspec.structs.replace(manifest, schema_version=1), path)
    path.write_bytes(msgspec.json.encode(manifest).replace(b'"schema_version":2', b'"schema_version":3'))
    with pytest.raises(BundleError, match="has schema version 3, this emorec reads 1 and 2"):
        manifest_file.load(path)


def test_a_loss_of_ccc_past_the_limit_fails_the_build(folder: Path) -> None:
    report = msgspec.convert(open_bundle(folder).manifest.parity, Report)
    worse = MeasureParity(mean_ccc=0.4, mean_ccc_change=-0.05, unit_f1=0.6, unit_f1_change=-0.2)
    chain = msgspec.structs.replace(report.variants["int8"].chain, measures=worse, macro_f1_change=0.0)
    variants = {"int8": msgspec.structs.replace(report.variants["int8"], chain=chain)}
    assert list(failures(msgspec.structs.replace(report, variants=variants), 0.1)) == [
        "int8 loses 0.2000 macro-F1 of action units, more than --max-drop 0.1"
    ]


def test_agreement_is_with_the_reference_and_change_by_the_truth() -> None:
    rows = MeasuredRows(TASKS)
    rng = np.random.default_rng(0)
    truth = np.full((200, len(MEASURES)), np.nan, np.float32)
    truth[:, 0] = rng.uniform(-1.0, 1.0, 200)
    expected = rng.normal(size=(200, 5)).astype(np.float32)
    expected[:, 0] = truth[:, 0]
    own = expected.copy()
    own[:, 0] *= 0.5
    own[:50, 2] *= -1.0
    rows.add("", expected, truth)
    rows.add("int8", own, truth)
    found = rows.parity("int8")
    assert found is not None
    assert found.concordance["valence"] == pytest.approx(0.8, abs=0.01)  # 2 * 0.5 / (1 + 0.25)
    assert found.concordance["arousal"] == pytest.approx(1.0)
    assert found.unit_agreement == {"AU12": 0.75, "AU04": 1.0, "AU26": 1.0}
    assert found.mean_ccc_change == pytest.approx(-0.1, abs=0.01)  # the mean of two, of which one has labels
    assert MeasuredRows(Tasks()).parity("int8") is None
