"""The command on real clusters of several node processes; one of them is killed in the middle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from emorec_ray.cluster import Cluster, worker_count
from emorec_ray.command import command
from emorec_ray.running import Call, Ledger, execute
from emorec_rt.cli import cli
from emorec_rt.errors import UsageError
from emorec_rt.jobs.plan import Job, plan
from emorec_rt.jobs.reporter import Reporter
from emorec_rt.jobs.summary import Outcome
from emorec_rt.recognizer.options import Options
from emorec_rt.writers import OutputOptions
from folder_clips import environment, write_clip

ray = pytest.importorskip("ray", reason="needs the extra ray")

CLIPS = 12
OPTIONS = Options(backend="onnxruntime", face="off")
FAST = ("--face", "off", "--backend", "onnxruntime")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without cores, and two machines with one each."""
    from ray.cluster_utils import Cluster as Processes

    os.environ.update(environment())  # the modules of this checkout, where it is not installed
    processes = Processes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    processes.nodes = [processes.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=processes.address, log_to_driver=False, logging_level="error")
    yield processes
    ray.shutdown()
    processes.shutdown()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for index in range(CLIPS):
        write_clip(folder / f"{index:02}.mp4", frames=10 + index)
    (folder / "bad.mp4").write_bytes(bytes(100))
    return folder


@pytest.fixture(scope="module")
def expected(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one machine writes."""
    out = tmp_path_factory.mktemp("one")
    CliRunner().invoke(cli, ["run", str(clips), "--out-dir", str(out), "--threads", "1", *FAST])
    return contents(out)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*") if not path.name.startswith(".")}


class KillsANode(Reporter):
    """Kills a machine once some inputs are done."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.settled = 0

    def settle(self, job: Job, outcome: Outcome) -> None:  # noqa: ARG002
        self.settled += 1
        if self.settled == 3:
            self.cluster.remove_node(self.cluster.nodes[1], allow_graceful=False)


def test_the_command_gives_what_one_machine_gives(
    cluster: Any, clips: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    words = [str(clips), "--out-dir", str(tmp_path), "--resume", "--cpus", "1", *FAST]
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 1, done.output  # one input is bad
    assert f"{CLIPS} of {CLIPS + 1} inputs done, 1 failed" in done.output
    assert contents(tmp_path) == expected
    again = CliRunner().invoke(command, words)
    assert f"{CLIPS} skipped as done before" in again.output


def test_a_killed_machine_costs_nothing_but_time(
    cluster: Any, clips: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    call = Call(
        plan([clips], [], tmp_path, []),
        tmp_path,
        "",
        None,
        OPTIONS,
        OutputOptions(),
        resume=False,
        cluster=Cluster(num_cpus=1),
    )
    totals = execute(call, KillsANode(cluster), Ledger(""))
    assert (totals.done, totals.failed) == (CLIPS, 1)
    assert contents(tmp_path) == expected


def test_a_worker_that_has_no_room_is_refused(cluster: Any) -> None:
    with pytest.raises(UsageError, match="needs 64 cores"):
        worker_count(Cluster(num_cpus=64), 5)
    with pytest.raises(UsageError, match="1 GPUs"):
        worker_count(Cluster(num_cpus=1, num_gpus=1), 5)
