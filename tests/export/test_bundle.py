"""A bundle appears whole or not at all, and takes the place of nothing but a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from emorec_export.bundle import new_bundle
from emorec_rt.engines.tensorrt.plans import places
from emorec_rt.errors import OutputError


def _write(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)


def test_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "engine"
    with new_bundle(target) as folder:
        _write(folder, "new")
        assert not target.exists()
    assert (target / "manifest.json").read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["engine"]


def _fail(target: Path, error: type[BaseException]) -> None:
    with new_bundle(target) as folder:
        _write(folder, "half")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_failure_leaves_nothing_and_keeps_the_old(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "engine"
    target.mkdir()
    _write(target, "old")
    with pytest.raises(error):
        _fail(target, error)
    assert (target / "manifest.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


def test_an_older_bundle_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "engine"
    target.mkdir()
    _write(target, "old")
    (target / "vision.int8.onnx").write_bytes(b"old")
    with new_bundle(target) as folder:
        _write(folder, "new")
    assert [path.name for path in target.iterdir()] == ["manifest.json"]


def test_kernel_timings_of_the_older_one_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "engine"
    place = places(target / "vision.fp16.onnx", "0" * 64, "nvidia-test-sm87-trt10.13.3")[0]
    place.path.parent.mkdir(parents=True)
    _write(target, "old")
    place.path.write_bytes(b"old")
    place.timings_path.write_bytes(b"kernels")
    with new_bundle(target) as folder:
        _write(folder, "new")
    assert place.timings_path.read_bytes() == b"kernels"
    assert not place.path.exists()


def test_the_old_one_comes_back_when_the_exchange_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, rename = tmp_path / "engine", Path.rename
    target.mkdir()
    _write(target, "old")

    def refusing(self: Path, other: Path) -> Path:
        if self.name == "new":
            raise OSError(28, "No space left on device")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", refusing)
    monkeypatch.setattr("emorec_rt.files._exchanged", lambda *_: False)  # as on a disk that can't
    with pytest.raises(OutputError, match="No space left"), new_bundle(target) as folder:
        _write(folder, "new")
    assert (target / "manifest.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mother.txt").write_text("dear")
    with pytest.raises(OutputError, match="is not a bundle"), new_bundle(tmp_path / "letters"):
        raise AssertionError
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is not a bundle"), new_bundle(tmp_path / "file"):
        raise AssertionError


def test_an_impossible_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="can't be written"), new_bundle(tmp_path / "file" / "engine"):
        raise AssertionError
