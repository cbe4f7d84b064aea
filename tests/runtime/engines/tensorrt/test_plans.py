"""The plan cache: where plans lie, which one fits, and that none is loaded that doesn't."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from emorec_rt.bundle.manifest import Graph, TensorSpec
from emorec_rt.constants import chunks_beside
from emorec_rt.engines.tensorrt import plans
from emorec_rt.engines.tensorrt.cuda import Device
from emorec_rt.engines.tensorrt.library import TENSORRT
from emorec_rt.engines.tensorrt.options import FRAMES, SOUND, WINDOWS, BatchRange, BuildOptions, up_to
from emorec_rt.engines.tensorrt.plans import (
    Identity,
    PlanFile,
    Sidecar,
    first_writable,
    places,
    sha256_of_bytes,
)
from emorec_rt.errors import OutputError, UsageError
from emorec_rt.machine import seal

WANTED = Identity(
    model_sha256="a" * 64,
    variant="fp16",
    shapes={"frames": ((1, 3), (16, 3), (32, 3))},
    tensorrt="10.3.0",
    cuda=12,
    gpu="Orin (nvgpu)",
    sm="87",
    options=BuildOptions(),
)


@pytest.fixture
def stored(tmp_path: Path, user_cache: Callable[[], list[str]]) -> PlanFile:
    place = PlanFile(tmp_path / "vision.fp16.plan")
    draft = tmp_path / "draft"
    draft.write_bytes(b"plan")
    place.store(draft, _sidecar())
    return place


def _sidecar(**changes: Any) -> Sidecar:
    fields = {
        "identity": WANTED,
        "plan_sha256": sha256_of_bytes(b"plan"),
        "driver": 12060,
        "runtime": 12060,
        "build_seconds": 1.0,
    }
    return Sidecar(**{**fields, **changes})


def test_names_say_gpu_and_version(
    tmp_path: Path, jetson: Device, user_cache: Callable[[], list[str]]
) -> None:
    beside, cached = places(
        tmp_path / "vision.fp16.onnx", "ab" * 32, TENSORRT.folder(jetson, BuildOptions(), "10.3.0")
    )
    machine = Path("plans") / "orin-nvgpu-sm87-trt10.3.0"
    assert beside.path == tmp_path / machine / "vision.fp16.plan"
    assert beside.sidecar_path == tmp_path / machine / "vision.fp16.json"
    assert cached.path == tmp_path / "cache" / "emorec" / machine / "vision.fp16.abababababababab.plan"
    assert beside.timings_path.parent == beside.path.parent


def test_without_xdg_the_cache_is_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert seal.user_cache() == tmp_path / ".cache" / "emorec"


def test_a_stored_plan_fits(stored: PlanFile) -> None:
    assert stored.misfit(WANTED) is None
    assert sorted(path.name for path in stored.path.parent.iterdir() if path.is_file()) == [
        "vision.fp16.json",
        "vision.fp16.plan",
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_sha256": "b" * 64}, "model_sha256 aaaa"),
        ({"variant": "int8"}, "variant fp16 instead of int8"),
        ({"shapes": {"frames": ((1, 3), (16, 3), (64, 3))}}, "shapes"),
        ({"tensorrt": "10.13.3.9"}, "tensorrt 10.3.0 instead of 10.13.3.9"),
        ({"cuda": 13}, "cuda 12 instead of 13"),
        ({"gpu": "H200"}, r"gpu Orin \(nvgpu\) instead of H200"),
        ({"sm": "90"}, "sm 87 instead of 90"),
        ({"options": BuildOptions(tf32=False)}, "options .*tf32=True.* instead of .*tf32=False"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_anything_else_is_rebuilt_and_says_why(
    stored: PlanFile, changes: dict[str, Any], reason: str
) -> None:
    misfit = stored.misfit(msgspec.structs.replace(WANTED, **changes))
    assert misfit is not None
    assert re.search(reason, misfit)


def test_a_plan_of_somebody_else_is_never_believed(
    stored: PlanFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another home"))
    assert stored.misfit(WANTED) == "it was built elsewhere or by another user", "no key at all"
    seal.seal(b"")
    assert stored.misfit(WANTED) == "it was built elsewhere or by another user", "another key"


@pytest.mark.parametrize("fields", [{"seal": ""}, {"driver": 1}, {"identity": {"gpu": "H200"}}])
def test_a_record_that_was_edited_is_never_believed(stored: PlanFile, fields: dict[str, Any]) -> None:
    record = json.loads(stored.sidecar_path.read_text())
    for name, value in fields.items():
        record[name] = record[name] | value if isinstance(value, dict) else value
    stored.sidecar_path.write_text(json.dumps(record))
    assert stored.misfit(WANTED) == "it was built elsewhere or by another user"


def test_a_driver_update_needs_no_rebuild(stored: PlanFile) -> None:
    (stored.path.parent / "draft").write_bytes(b"plan")
    stored.store(stored.path.parent / "draft", _sidecar(driver=13020))
    assert stored.misfit(WANTED) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda place: place.path.unlink(),
        lambda place: place.path.write_bytes(b"plam"),
        lambda place: place.sidecar_path.unlink(),
        lambda place: place.sidecar_path.write_text("{"),
        lambda place: place.sidecar_path.write_text("{}"),
        lambda place: _edit(place, schema_version=1),
        lambda place: _edit(place, unknown=1),
        lambda place: _edit(place, plan_sha256="../x"),
    ],
)
def test_damaged_plans_and_records_are_rebuilt(
    stored: PlanFile, damage: Callable[[PlanFile], object]
) -> None:
    damage(stored)
    assert stored.misfit(WANTED)


def _edit(place: PlanFile, **fields: Any) -> None:
    record = json.loads(place.sidecar_path.read_text()) | fields
    place.sidecar_path.write_text(json.dumps(record))


def test_a_store_that_breaks_off_leaves_nothing_that_fits(
    stored: PlanFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OutputError(path, "can't be written (No space left on device)")

    monkeypatch.setattr(plans, "write_whole", full)
    draft = stored.path.parent / "draft"
    draft.write_bytes(b"plan")
    with pytest.raises(OutputError, match=r"can't be written .*No space left"):
        stored.store(draft, _sidecar())
    assert stored.misfit(WANTED)


def test_an_unwritable_bundle_sends_plans_to_the_cache(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("a file, so that no folder can be made in it; root ignores permissions")
    candidates = (PlanFile(tmp_path / "bundle" / "plans" / "a.plan"), PlanFile(tmp_path / "cache" / "a.plan"))
    assert first_writable(candidates) is candidates[1]
    assert list(candidates[1].path.parent.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_sends_plans_to_the_cache(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir(mode=0o555)
    candidates = (PlanFile(tmp_path / "bundle" / "plans" / "a.plan"), PlanFile(tmp_path / "cache" / "a.plan"))
    assert first_writable(candidates) is candidates[1]


def test_nowhere_to_write_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    candidates = tuple(PlanFile(tmp_path / "file" / name / "a.plan") for name in "ab")
    with pytest.raises(OutputError, match=r"file/a and .*file/b: no plan can be written there \(Not a dir"):
        first_writable((candidates[0], candidates[1]))


@pytest.mark.parametrize("sizes", [(0, 1, 1), (2, 1, 4), (1, 8, 4)])
def test_batch_ranges_are_ordered(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="smallest <= best <= largest"):
        BatchRange(*sizes)


def test_batches_suit_what_goes_in() -> None:
    frames = TensorSpec(name="frames", dtype="uint8", shape=(-1, 8, 8, 3))
    samples = TensorSpec(name="samples", dtype="float32", shape=(-1, 400))
    assert BuildOptions().batch_for(Graph(inputs=(frames,), outputs=(), variants={})) is FRAMES
    windows = TensorSpec(name="frame_embeddings", dtype="float32", shape=(-1, 9, 4))
    assert BuildOptions().batch_for(Graph(inputs=(samples,), outputs=(), variants={})) is SOUND
    assert BuildOptions().batch_for(Graph(inputs=(windows,), outputs=(), variants={})) is WINDOWS
    asked = BuildOptions(batch=BatchRange(2, 2, 2), windows=BatchRange(1, 1, 1))
    assert asked.batch_for(Graph(inputs=(frames,), outputs=(), variants={})).shapes(frames)[0] == (2, 8, 8, 3)
    assert (
        asked.batch_for(Graph(inputs=(windows,), outputs=(), variants={})).shapes(windows) == ((1, 9, 4),) * 3
    )


@pytest.mark.parametrize(("frames", "chunks"), [(1, 1), (4, 1), (16, 4), (64, 16)])
def test_of_chunks_a_quarter(frames: int, chunks: int) -> None:
    assert chunks_beside(frames) == chunks
    assert up_to(frames) == BatchRange(1, min(16, frames), frames)
