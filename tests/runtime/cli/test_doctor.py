"""``emorec-rt doctor``: every backend, what it lacks, and how to add it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from backends import change
from emorec_rt.cli import cli
from emorec_rt.cli.doctor import checks
from emorec_rt.cli.doctor.checks import _backends as examine_backends
from emorec_rt.cli.doctor.checks import examine
from emorec_rt.engines import BACKENDS


def test_every_backend_is_there() -> None:
    names = [finding.name for finding in examine()]
    assert {f"backend {name}" for name in BACKENDS} <= set(names)
    assert len(names) == len(set(names))


def test_what_is_missing_has_a_line_and_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "onnxruntime-cuda"):
        reason = f"backend {name} needs a thing; run: it"
        change(monkeypatch, name, unavailable=lambda reason=reason: reason)
    change(monkeypatch, "torch-tensorrt", unavailable=lambda: None)
    done = CliRunner().invoke(cli, ["doctor"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    place = next(index for index, line in enumerate(lines) if "backend onnxruntime-cuda" in line)
    assert lines[place].split() == ["-", "backend", "onnxruntime-cuda", "needs", "a", "thing"]
    assert (
        lines[place + 1].strip() == "add it with: pip uninstall -y onnxruntime && pip install 'emorec[cuda]'"
    )
    assert any(line.split() == ["ok", "backend", "torch-tensorrt"] for line in lines)


def test_one_backend_for_cpus_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(*modules: str) -> dict[str, str]:
        absent = {f"backend {name}" for name in modules}
        for name in BACKENDS:
            there = f"backend {name}" not in absent and name in ("onnxruntime", "openvino")
            change(monkeypatch, name, unavailable=lambda there=there: None if there else "absent")
        found = {finding.name: finding for finding in examine_backends()}
        return {name: finding.state for name, finding in found.items() if name in absent}

    assert without("onnxruntime") == {"backend onnxruntime": "optional"}
    assert without("onnxruntime", "openvino") == {
        "backend onnxruntime": "missing",
        "backend openvino": "optional",
    }


def test_versions_that_are_not_tested_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(finding.name.endswith(" version") for finding in examine())
    monkeypatch.setattr(checks, "TESTED_PYTHON", ((3, 2), (3, 4)))
    monkeypatch.setattr(checks, "TESTED_MAJORS", {"av": (1, 2)})
    told = {finding.name: finding.detail for finding in examine() if finding.name.endswith(" version")}
    assert told["python version"].endswith("is not tested; 3.2 to 3.4 are")
    assert told["av version"].endswith("is not tested; releases 1 to 2 are")
