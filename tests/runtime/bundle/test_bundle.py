"""Bundles that can't be used: one line that names the file, and never a wait or a crash."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from emorec_rt.bundle import DEFAULT_FOLDER, open_bundle
from emorec_rt.bundle.manifest import FILE_NAME, MAX_BYTES
from emorec_rt.cli import cli
from emorec_rt.cli.info import parity_lines
from emorec_rt.errors import BundleError, UsageError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    shutil.copytree(DEFAULT_FOLDER, tmp_path / "bundle")
    return tmp_path / "bundle"


def replace_manifest(bundle: Path, content: bytes) -> None:
    (bundle / FILE_NAME).write_bytes(content)


def edit(bundle: Path, change: Callable[[Any], object]) -> None:
    manifest = json.loads((bundle / FILE_NAME).read_text())
    change(manifest)
    replace_manifest(bundle, json.dumps(manifest).encode())


def refusal(bundle: Path) -> str:
    with pytest.raises(BundleError) as caught:
        open_bundle(bundle).graph_file("vision", "fp32")
    line = str(caught.value)
    assert "\n" not in line
    assert str(bundle) in line
    return line


def test_the_default_bundle_opens(bundle: Path) -> None:
    opened = open_bundle(bundle)
    for graph, entry in opened.manifest.graphs.items():
        for precision in entry.variants:
            assert opened.graph_file(graph, precision).parent == bundle


def test_a_manifest_that_would_never_end_is_not_read(bundle: Path) -> None:
    path = bundle / FILE_NAME
    path.unlink()
    os.mkfifo(path)
    assert "is not a file" in refusal(bundle)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "is not a file" in refusal(bundle)
    path.unlink()
    path.symlink_to(FILE_NAME)
    assert "can't be read" in refusal(bundle)
    path.unlink()
    path.write_bytes(b"{}")
    os.truncate(path, MAX_BYTES + 1)
    assert "far too many for a manifest" in refusal(bundle)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b'{"schema_version": 1}',
        b'{"schema_version": 1, "parity": ' + b"[" * 100_000,
        b'{"schema_version": 1, "notice": "\xff"}',
        b'{"schema_version": 1e999}',
        b'{"schema_version": NaN}',
    ],
    ids=range(9),
)
def test_a_file_that_is_not_a_manifest_is_refused(bundle: Path, content: bytes) -> None:
    replace_manifest(bundle, content)
    refusal(bundle)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda m: m["labels"].__setitem__(0, "a\nb"), "labels"),
        (lambda m: m["labels"].__setitem__(0, ""), "labels"),
        (lambda m: m["labels"].__setitem__(0, "=HYPERLINK(1)"), "labels"),
        (lambda m: m["labels"].extend(map(str, range(10**6))), "labels"),
        (lambda m: m["labels"].__setitem__(0, "a\u2028b"), "labels"),
        (lambda m: m.update(notice="\x1b[2J"), "notice"),
        (lambda m: m.update(notice="two\nlines"), "notice"),
        (lambda m: m["decoding"].update(logit_bias=[1e300] * 8), "logit_bias"),
        (lambda m: m["decoding"].update(smoothing_seconds=float("nan")), "malformed"),
        (lambda m: m["preprocessing"]["window"].update(steps=2**70), "frame_embeddings"),
    ],
)
def test_values_out_of_range_are_named(bundle: Path, change: Callable[[Any], object], part: str) -> None:
    edit(bundle, change)
    assert part in refusal(bundle)


def test_other_alphabets_are_fine(bundle: Path) -> None:
    edit(bundle, lambda m: (m["labels"].__setitem__(0, "Überraschung 驚き"), m.update(notice="démo — 見本")))
    assert open_bundle(bundle).manifest.labels[0] == "Überraschung 驚き"


def test_a_graph_of_another_size_is_not_even_read(bundle: Path) -> None:
    os.truncate(bundle / "vision.fp32.onnx", 2**40)
    assert "has changed" in refusal(bundle)


def test_a_graph_of_the_same_size_with_another_byte(bundle: Path) -> None:
    path = bundle / "vision.fp32.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "has changed" in refusal(bundle)


@pytest.mark.parametrize("target", ["nowhere", "vision.fp32.onnx", "/dev/zero", "/"])
def test_a_graph_that_links_astray(bundle: Path, target: str) -> None:
    path = bundle / "vision.fp32.onnx"
    path.unlink()
    path.symlink_to(target)
    refusal(bundle)


def test_a_graph_may_lie_elsewhere_if_it_is_the_right_one(bundle: Path, tmp_path: Path) -> None:
    """Download caches keep files in one place and link to them."""
    path = bundle / "vision.fp32.onnx"
    path.rename(tmp_path / "blob")
    path.symlink_to(tmp_path / "blob")
    assert open_bundle(bundle).graph_file("vision", "fp32") == path


@pytest.mark.parametrize("folder", ["nowhere", "x" * 5000, "a\0b", __file__])
def test_no_folder_at_all(folder: str) -> None:
    with pytest.raises(BundleError, match="is not a folder"):
        open_bundle(folder)


def test_a_variant_that_is_not_there(bundle: Path) -> None:
    with pytest.raises(UsageError, match="no fp8 variant, only"):
        open_bundle(bundle).graph_file("vision", "fp8")


def test_info_shows_what_the_build_measured() -> None:
    done = CliRunner().invoke(cli, ["info"])
    assert done.exit_code == 0
    assert re.search(r"^parity   int8 +labels as in PyTorch \d+\.\d\d%, macro F1 0\.\d{4}", done.output, re.M)


@pytest.mark.parametrize(
    "parity", [{}, {"variants": []}, {"variants": {"int8": {"chain": {"macro_f1": "?"}}}}]
)
def test_a_parity_of_another_form_is_left_out(parity: dict[str, Any]) -> None:
    assert parity_lines(parity) == []
