"""Every member of the library that the code takes is in the installed TensorRT for RTX."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from emorec_rt.engines import tensorrt, tensorrt_rtx

rtx = pytest.importorskip("tensorrt_rtx")


def modules() -> list[Path]:
    return [
        path for package in (tensorrt, tensorrt_rtx) for path in Path(package.__file__).parent.glob("*.py")
    ]


def members() -> set[tuple[str, ...]]:
    """``("DataType", "FLOAT")`` of ``trt.DataType.FLOAT`` and ``rtx. ...`` anywhere in the code."""
    found: set[tuple[str, ...]] = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                names = ast.unparse(node).split(".")
                if names[0] in {"trt", "rtx"}:
                    found.add(tuple(names[1:3]))
    return found


def test_all_members_exist() -> None:
    assert len(members()) > 15
    for names in members():
        held: object = rtx
        for name in names:
            assert hasattr(held, name), names
            held = getattr(held, name)


def test_what_a_context_needs_exists() -> None:
    for name in ("create_runtime_config", "create_execution_context", "create_engine_inspector"):
        assert hasattr(rtx.ICudaEngine, name)
    for name in (
        "create_runtime_cache",
        "set_runtime_cache",
        "cuda_graph_strategy",
        "dynamic_shapes_kernel_specialization_strategy",
    ):
        assert hasattr(rtx.IRuntimeConfig, name)
    for name in ("deserialize", "serialize"):
        assert hasattr(rtx.IRuntimeCache, name)
    assert hasattr(rtx.IBuilderConfig, "num_compute_capabilities")
    assert hasattr(rtx.IBuilderConfig, "set_compute_capability")
