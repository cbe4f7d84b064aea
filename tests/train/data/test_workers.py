from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emorec_train.data.workers import WorkerLostError, map_ahead

PARENT = """
import os, time
from emorec_train.data.workers import map_ahead

def task(_):
    print(os.getpid(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    list(map_ahead(task, range(2), workers=2))
"""


def double(number: int) -> int:
    time.sleep(0.01 * (number % 3))
    return 2 * number


def die(number: int) -> int:
    if number == 3:
        os._exit(9)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    assert list(map_ahead(double, range(12), workers=workers)) == [2 * number for number in range(12)]


def test_work_stops_a_little_ahead_of_need() -> None:
    asked = []

    def tasks() -> object:
        for number in range(100):
            asked.append(number)
            yield number

    results = map_ahead(double, tasks(), workers=2)  # type: ignore[arg-type, var-annotated]
    assert next(results) == 0
    assert len(asked) <= 5
    results.close()


def test_a_worker_that_dies_is_told_in_a_line() -> None:
    with pytest.raises(WorkerLostError, match="--workers 1"):
        list(map_ahead(die, range(8), workers=2))


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(PARENT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, str(program)], env=environment, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        workers = [int(parent.stdout.readline()) for _ in range(2)]
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20.0
    while any(_runs(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
