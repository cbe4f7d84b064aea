"""``emorec-rt bench``: where the time goes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from emorec_rt.cli.bench import bench

DEMO_CLIP = Path(__file__).parents[3] / "examples" / "demo.mp4"
FRAMES = 500


def test_every_stage_is_timed_with_the_batches_of_the_call() -> None:
    call = [str(DEMO_CLIP), "--backend", "onnxruntime", "--batch-size", "7", "--json"]
    done = CliRunner().invoke(bench, call)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    stages = {stage["name"]: stage for stage in found["stages"]}
    assert stages.keys() == {"decode", "face", "vision", "audio", "fusion", "write"}
    assert (stages["face"]["calls"], stages["write"]["calls"]) == (FRAMES, FRAMES)
    assert stages["vision"]["calls"] == math.ceil(FRAMES / 7)
    for stage in stages.values():
        assert 0.0 < stage["p50_ms"] <= stage["p95_ms"] <= 1e3 * stage["total_seconds"]
    assert found["frames"] == FRAMES
    assert found["times_real_time"] == pytest.approx(found["media_seconds"] / found["wall_seconds"])
    assert found["media_seconds"] == pytest.approx(FRAMES / 25, abs=0.1)


def test_the_table_has_a_line_for_each_stage() -> None:
    done = CliRunner().invoke(bench, [str(DEMO_CLIP), "--backend", "onnxruntime"])
    first = {line.split()[0] for line in done.stdout.splitlines()}
    assert {"stage", "decode", "face", "vision", "audio", "fusion", "write"} <= first
    assert "whole chain: 500 frames" in done.stdout
