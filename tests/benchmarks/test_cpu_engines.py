"""The arithmetic of the side-by-side benchmark, with engines that take the time they are told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cpu_engines
import numpy as np
import pytest
from full_size import QUICK, feeds

SECONDS = {"onnxruntime fp32": 1.2, "onnxruntime int8": 0.6, "openvino fp32": 0.9, "openvino int8": 0.5}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Engines that move a clock of their own; gives the order in which they ran."""
    now, order = [0.0], []

    def engine(key: str) -> Any:
        def run(batch: Any) -> dict[str, np.ndarray]:
            order.append(key)
            now[0] += SECONDS[key] * (10 if len(order) <= 3 * len(SECONDS) else 1)
            return {"logits": np.ones((2, 3))}

        return SimpleNamespace(run=run, lanes=1)

    monkeypatch.setattr(cpu_engines, "_open", lambda *_: {key: engine(key) for key in SECONDS})
    monkeypatch.setattr(cpu_engines.time, "perf_counter", lambda: now[0])
    return order


def test_engines_take_turns_and_are_held_to_their_limits(clock: list[str]) -> None:
    figures = cpu_engines.measure(QUICK, "fusion", {}, 3, cpu_engines.LIMITS)
    assert clock == list(SECONDS) * (1 + cpu_engines.WARM_UP + 3)
    found = {figure.engine: (round(figure.times_reference, 2), figure.holds) for figure in figures}
    assert found == {
        "onnxruntime fp32": (1.0, True),
        "onnxruntime int8": (2.0, True),
        "openvino fp32": (1.33, True),
        "openvino int8": (2.4, False),
    }
    assert [round(figure.batch_ms) for figure in figures] == [1200, 600, 900, 500], "warm-up doesn't count"
    assert figures[0].items_per_second == pytest.approx(cpu_engines.BATCH / 1.2)
    assert "MISSED" in cpu_engines.show(figures[3])
    assert cpu_engines.show(figures[1]).endswith("ok")


def test_inputs_are_the_graphs_own() -> None:
    made = feeds(QUICK, "fusion", 3)
    for spec in QUICK.tensors["fusion"][0]:
        assert made[spec.name].shape == (3, *spec.shape[1:])
        assert made[spec.name].dtype == spec.dtype
    assert made["audio_mask"].all()
    np.testing.assert_array_equal(made["audio_tokens"], feeds(QUICK, "fusion", 3)["audio_tokens"])


def test_results_lie_beside_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    import machine

    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    record = json.loads(machine.save("x", {"figures": []}).read_bytes())
    assert record["figures"] == []
    assert record["machine"]["cores"] >= 1
    assert machine.save("x", {}, by_machine=True).name == f"x.{machine.machine_id()}.json"
    assert set(record["machine"]["isa"]) <= set(machine.EXTENSIONS.values())
