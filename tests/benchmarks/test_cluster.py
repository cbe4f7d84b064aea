"""The parts of the cluster benchmark that need no cluster."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cluster


def test_clips_are_copies_under_other_names(tmp_path: Path) -> None:
    cluster.lay_out(tmp_path / "in", cluster.DIFFERENT + 1, 0.2)
    paths = sorted((tmp_path / "in").iterdir())
    assert len({path.read_bytes() for path in paths}) == cluster.DIFFERENT
    assert paths[0].read_bytes() == paths[-1].read_bytes()


def test_workers_are_known_by_their_names() -> None:
    named = ["bash", "-c", "exec -a 'ray::MapWorker(MapBatches(Worker))' sleep 30"]
    with subprocess.Popen(named) as process:
        try:
            while process.pid not in cluster.workers():
                assert process.poll() is None
        finally:
            process.kill()
