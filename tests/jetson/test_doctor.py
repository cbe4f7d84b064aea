"""``emorec-rt doctor`` on a Jetson that isn't one, and how its memory plan reaches builds and runs."""

from __future__ import annotations

import dataclasses
from importlib import metadata
from pathlib import Path

import msgspec
import pytest

from emorec_rt.bundle import open_bundle
from emorec_rt.bundle.manifest import Manifest
from emorec_rt.cli.doctor import jetson as findings
from emorec_rt.cli.doctor.finding import Finding
from emorec_rt.cli.doctor.jetson import jetson_findings
from emorec_rt.engines import default_precision, tensorrt
from emorec_rt.engines.tensorrt import api, opening
from emorec_rt.engines.tensorrt.cuda import Device
from emorec_rt.engines.tensorrt.options import BatchRange, BuildOptions
from emorec_rt.machine.jetson import plan
from emorec_rt.machine.jetson.module import desktop_runs
from emorec_rt.machine.jetson.plan import REFERENCE, ModelSize, plan_memory, variant_for

from .conftest import Install, write

MIB = 2**20
ORIN = Device("Orin (nvgpu)", (8, 7), integrated=True, memory_bytes=7620 * MIB, driver=12060, runtime=12060)


def found(root: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in jetson_findings(root)}


@pytest.fixture
def healthy(orin: Path, program: Install, monkeypatch: pytest.MonkeyPatch) -> Path:
    program("nvpmodel", "printf 'NV Power Mode: 25W\\n1\\n'")
    program("tegrastats", "")
    program("jetson_clocks", "")
    origin = Path("/usr/lib/python3/dist-packages/tensorrt/__init__.py")
    monkeypatch.setattr(findings, "tensorrt_origin", lambda: origin)
    monkeypatch.setattr(metadata, "distributions", lambda: iter(()))
    return orin


def test_a_jetson_that_lacks_nothing(healthy: Path) -> None:
    seen = found(healthy)
    assert {name for name, finding in seen.items() if finding.state != "ok"} == set()
    assert seen["jetson"].detail == "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
    expected = "Jetson Linux 36.4.3, JetPack 6.1 to 6.2.1, CUDA 12.6, TensorRT 10.3"
    assert seen["jetpack"].detail == expected
    assert seen["power mode"].detail == "25W; there are 0 15W, 1 25W, 2 MAXN_SUPER"
    assert seen["clocks"].detail == "2 cores up to 1344 MHz, GPU up to 918 MHz, as the load asks"
    assert seen["jetson memory"].detail == "7620 MiB for Linux, CPU and GPU, 5120 free"
    assert seen["memory plan"].detail.startswith("fp16, batch 16, workspace 512 MiB, one context")
    assert "dist-packages/tensorrt" in seen["jetpack tensorrt"].detail


def test_another_machine_has_no_such_lines(tmp_path: Path) -> None:
    assert found(tmp_path) == {}


def test_an_old_jetpack_and_an_unknown_one(healthy: Path) -> None:
    write(healthy, "etc/nv_tegra_release", "# R36 (release), REVISION: 3.0, GCID: 1\n")
    assert found(healthy)["jetpack"].fix.startswith("upgrade to JetPack 6.1")
    write(healthy, "etc/nv_tegra_release", "# R45 (release), REVISION: 1.0, GCID: 1\n")
    assert "45.1.0, a release that emorec doesn't know" in found(healthy)["jetpack"].detail
    write(healthy, "etc/nv_tegra_release", "nonsense\n")
    assert "names no release" in found(healthy)["jetson"].detail


def test_in_a_container_the_tools_are_missing(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (healthy / "etc/nvpmodel.conf").unlink()
    seen = found(healthy)
    assert seen["jetson tools"].detail == "without nvpmodel, tegrastats, jetson_clocks"
    assert "is this a Jetson?" in seen["power mode"].detail


def test_held_clocks_little_memory_and_a_desktop(healthy: Path) -> None:
    for core in range(2):
        write(healthy, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_min_freq", "1344000\n")
    write(healthy, "proc/meminfo", "MemTotal: 3502080 kB\nMemAvailable: 512000 kB\n")
    seen = found(healthy)
    assert seen["clocks"].detail.endswith("held there (jetson_clocks)")
    assert seen["jetson memory"].state == "optional"
    assert seen["memory plan"].state == "ok"
    write(healthy, "tmp/.X11-unix/X0", "")
    assert desktop_runs(healthy)
    seen = found(healthy)
    assert seen["memory plan"].state == "optional"
    assert "isolate multi-user.target" in seen["memory plan"].fix


def test_packages_from_pip_in_jetpacks_place(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings.sys, "prefix", "/opt/emorec/venv")
    monkeypatch.setattr(findings.sys, "base_prefix", "/usr")
    inside = Path("/opt/emorec/venv/lib/python3.10/site-packages/tensorrt/__init__.py")
    monkeypatch.setattr(findings, "tensorrt_origin", lambda: inside)
    monkeypatch.setattr(findings, "intruders", lambda *_: ["tensorrt-cu12", "torch"])
    seen = found(healthy)
    assert seen["jetpack tensorrt"].fix == "pip uninstall tensorrt"
    assert seen["jetpack libraries"].detail == "tensorrt-cu12, torch from pip in their place"
    monkeypatch.setattr(findings, "tensorrt_origin", lambda: None)
    assert found(healthy)["jetpack tensorrt"].fix == "sudo apt-get install python3-libnvinfer"
    (healthy / "usr/lib/python3.10/dist-packages/tensorrt").mkdir(parents=True)
    unseen = found(healthy)["jetpack tensorrt"]
    assert "is not seen by this Python" in unseen.detail
    assert "--system-site-packages" in (unseen.fix or "")


def test_builds_on_a_jetson_keep_to_its_memory_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "desktop_runs", lambda: False)
    assert opening.default_options(ORIN) == BuildOptions(
        batch=BatchRange(1, 16, 16), windows=BatchRange(1, 4, 4), workspace_bytes=512 * MIB
    )
    small = dataclasses.replace(ORIN, memory_bytes=2600 * MIB)
    chosen = plan_memory(2600)
    assert chosen.batch < 16
    assert opening.default_options(small).batch == BatchRange(1, chosen.batch, chosen.batch)
    assert opening.default_options(dataclasses.replace(ORIN, integrated=False)) == BuildOptions()


def offering(*precisions: str) -> Manifest:
    manifest = open_bundle().manifest
    one = next(iter(manifest.graphs["vision"].variants.values()))
    graphs = {
        name: msgspec.structs.replace(graph, variants=dict.fromkeys(precisions, one))
        for name, graph in manifest.graphs.items()
    }
    return msgspec.structs.replace(manifest, graphs=graphs)


def test_a_jetson_runs_the_variant_of_the_plan_if_the_bundle_has_it(orin: Path) -> None:
    assert variant_for(offering("fp32", "fp16", "int8-fp16"), orin) == "fp16"
    assert variant_for(offering("fp32", "int8"), orin) == "fp32"


def test_a_large_model_on_a_small_module_runs_in_int8(orin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = ModelSize.of([4000 * MIB] * 3)
    monkeypatch.setattr(plan.ModelSize, "of_bundle", classmethod(lambda *_: large))
    assert plan_memory(7620, model=large).kind == "int8"
    assert variant_for(offering("fp32", "fp16", "int8-fp16"), orin) == "int8-fp16"


def test_a_models_size_comes_from_its_graphs() -> None:
    manifest = open_bundle().manifest
    sizes = [graph.variants["fp32"].size_bytes for graph in manifest.graphs.values()]
    size = ModelSize.of_bundle(manifest)
    assert size.weights_mib["fp16"] == int(sum(sizes) / 2 / MIB)
    assert size.largest_mib == max(sizes) // MIB
    assert ModelSize.of_bundle(offering("int8")) is REFERENCE
    assert REFERENCE.weights_mib == {"fp16": 360, "int8": 216}
    assert plan_memory(3420, model=size).run_mib < plan_memory(3420).run_mib


def test_elsewhere_the_bundle_chooses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = open_bundle()
    monkeypatch.setattr(api, "JETSON_RELEASE", tmp_path / "none")
    for backend in ("tensorrt", "onnxruntime"):
        assert default_precision(bundle, backend) == bundle.manifest.precision
    monkeypatch.setattr(tensorrt, "on_jetson", lambda: True)
    monkeypatch.setattr(plan, "variant_for", lambda _: "int8")
    assert default_precision(bundle, "tensorrt") == "int8" != bundle.manifest.precision
    assert default_precision(bundle, "onnxruntime") == bundle.manifest.precision
