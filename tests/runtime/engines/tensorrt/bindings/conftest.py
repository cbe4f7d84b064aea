"""Fixtures for checks against the real bindings, which can't build or run anything: doubles do that part."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emorec_rt.engines.tensorrt import api, cuda, log, memory
from simulated_cuda import SimulatedCuda


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCuda]:
    """A CUDA runtime in host memory, wherever the backend asks for one."""
    runtime = SimulatedCuda()
    for module in (api, cuda, memory):
        monkeypatch.setattr(module, "import_cuda_runtime", lambda: runtime)
    log.shared_log().complaints.clear()
    yield runtime
    log.shared_log().complaints.clear()
