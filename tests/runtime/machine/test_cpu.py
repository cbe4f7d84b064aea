"""CPU flags, and the order of backends that follows from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from emorec_rt import engines
from emorec_rt.machine.cpu import has_int8_dot_products

X86 = "processor\t: 0\nmodel name\t: some\nflags\t\t: fpu avx2 {}\n"


@pytest.mark.parametrize(
    ("text", "there"),
    [
        (X86.format("avx512_vnni"), True),
        (X86.format("avx_vnni"), True),
        (X86.format("avx512f"), False),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n", None),
        ("", None),
    ],
)
def test_flags(text: str, there: bool | None, tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert has_int8_dot_products(file) is there
    assert has_int8_dot_products(tmp_path / "nowhere") is None


@pytest.mark.parametrize(("there", "first"), [(True, "openvino"), (None, "openvino"), (False, "onnxruntime")])
def test_backends_by_speed(there: bool | None, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "has_int8_dot_products", lambda: there)
    names = engines.by_speed()
    assert sorted(names) == sorted(engines.BACKENDS)
    assert next(name for name in names if name in ("openvino", "onnxruntime")) == first
    assert names[0] == "tensorrt"
