"""The cluster that a call runs on: one that is there, or processes of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from emorec_rt.errors import EngineError, UsageError
from emorec_rt.jobs.parallel import AUTO_CORES

# Before ray is imported, by whomever: it would tell its makers how it is used.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

ADDRESS: Final = "RAY_ADDRESS"
"""Ray's own variable for the address of a cluster."""

_HERE: Final = "local"
"""Ray's word for a cluster of this machine alone, whatever it finds that was started before."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Workers of a call, and where they run.

    Attributes:
        address: ``HOST:PORT`` of a cluster's head; ``auto`` finds the one that this machine belongs to.
            ``None`` takes what ``RAY_ADDRESS`` says, or starts Ray on this machine alone.
        workers: Workers at most; ``None`` takes as many as the cluster has room for.
        num_cpus: Cores of each worker.
        num_gpus: GPUs of each worker; 0.5 lets two share one.
    """

    address: str | None = None
    workers: int | None = None
    num_cpus: int = AUTO_CORES
    num_gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.num_cpus < 1 or self.num_gpus < 0 or (self.workers is not None and self.workers < 1):
            raise UsageError("a worker needs 1 core or more, and there must be 1 worker or more")


@contextmanager
def connected(cluster: Cluster) -> Iterator[None]:
    """Reach the cluster for as long as the block runs; a connection that is there already stays.

    Raises:
        EngineError: It can't be reached.
        ImportError: Ray is not installed.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    address = cluster.address or os.environ.get(ADDRESS) or _HERE
    alone = {"include_dashboard": False} if address == _HERE else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error", **alone)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise EngineError(f"the cluster {address} can't be reached: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def worker_count(cluster: Cluster, inputs: int) -> int:
    """Workers to start: never more than there are inputs.

    Raises:
        UsageError: The cluster has no room for one.
    """
    import ray

    return max(min(cluster.workers or _room(cluster, ray.cluster_resources()), inputs), 1)


def _room(cluster: Cluster, resources: dict[str, float]) -> int:
    room = int(resources.get("CPU", 0.0) // cluster.num_cpus)
    if cluster.num_gpus:
        room = min(room, int(resources.get("GPU", 0.0) // cluster.num_gpus))
    if room < 1:
        cores, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
        raise UsageError(
            f"a worker needs {cluster.num_cpus} cores and {cluster.num_gpus:g} GPUs; the cluster has "
            f"{cores:g} and {gpus:g}"
        )
    return room
