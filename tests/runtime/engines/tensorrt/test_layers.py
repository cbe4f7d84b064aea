"""Layer tables: lines of TensorRT for RTX's log, and the form of TensorRT's inspector."""

from __future__ import annotations

import json
from collections.abc import Sequence

from emorec_rt.engines.tensorrt.layers import from_inspector, from_log, inspect

NODE = "blocks.0.attn.joint/MatMul"


def tensor(kind: str, dimensions: Sequence[int]) -> str:
    sizes = ",".join(map(str, dimensions))
    return (
        f"{{ Name: t, Dimensions: [{sizes}], Strides: [1], StrideOrder: [0], Datatype: {kind}, Format: x }}"
    )


def line(
    name: str,
    layer_type: str,
    inputs: Sequence[tuple[str, Sequence[int]]],
    constants: Sequence[tuple[str, Sequence[int]]] = (),
    nodes: Sequence[str] = (),
) -> str:
    parts = [", ".join(tensor(*one) for one in group) for group in (inputs, constants)]
    metadata = "".join(f"[ONNX Layer: {node}]" for node in nodes)
    return (
        f"Name: {name}, LayerType: {layer_type}, Inputs: [ {parts[0]}], Constants: [ {parts[1]}], "
        f"Outputs: [ {tensor('Half', (-1, 768))}], TacticName: t_0x1, StreamId: 0, Metadata: {metadata}"
    )


INT8 = line("a", "gemm", [("Int8", (-1, 768))], [("Int8", (768, 768)), ("Float", (1,))], ["out/MatMul"])
HALF = line("b", "correlation", [("Half", (-1, 3, 8, 8))], [("Half", (64, 3, 8, 8))], ["conv1/Conv"])
BACK = line("__myl_CastMul_myl0_4", "kgen", [], [("Int8", (768, 2304))], ["w/Dequantize", NODE])
JOINT = line(
    "__myl_CastMulFc_myl0_5", "runtime_fusion", [("Int8", (-1, 768)), ("Half", (1, 768, 2304))], [], [NODE]
)
REST = line("__myl_MulAdd_myl0_6", "kgen", [("Half", (-1, 768))], [], ["out/MatMul", "norm/Add"])
MOVE = line("__myl_MoveReshTran_myl0_7", "kgen", [("Int8", (-1, 50, 64))], [], ["attn/Transpose"])
MHA = line("_gemm_mha_v2_myl0_8", "kgen", [("Half", (-1, 50, 64))], [], ["attn/MatMul", "attn/Softmax"])
TABLE = "\n".join(
    ["", INT8, HALF, BACK, JOINT, REST, MOVE, MHA, "", "I/O Tensors:", "Name: x, IOMode: Input"]
)


def test_a_log_is_summed_up() -> None:
    layers = from_log(TABLE)
    assert len(layers) == 7
    found = inspect(layers, engine_bytes=1 << 20, activation_bytes=3)
    assert found.kernels == 7
    assert found.products == {"int8": 1, "fp16": 2}, (
        "a product whose weights were turned back is none in INT8"
    )
    assert found.dequantised == 1
    assert found.reformats == 1
    assert found.fused_attention == 1
    assert found.eight_bit == ("out/MatMul",)


def test_what_the_recipe_wanted_is_compared() -> None:
    found = inspect(from_log(TABLE), engine_bytes=1).against(["out/MatMul", NODE])
    assert found.stray == (NODE,)
    assert found.eight_bit == ()
    assert found.warnings() == [
        f"1 products of the recipe are not in 8 bits: {NODE}",
        "1 kernels turn 8-bit weights back into larger numbers at every run",
    ]
    assert inspect(from_log(INT8), engine_bytes=1).against(["out/MatMul"]).warnings() == []


def test_an_inspector_is_read() -> None:
    layer = {
        "Name": "a",
        "LayerType": "gemm",
        "Inputs": [{"Name": "x", "Dimensions": [-1, 768], "Format/Datatype": "Row major Int8 format"}],
        "Constants": [{"Dimensions": [768, 768], "Format/Datatype": "Int8"}],
        "Outputs": [],
        "Metadata": "[ONNX Layer: out/MatMul]",
    }
    found = inspect(from_inspector(json.dumps({"Layers": [layer]})), engine_bytes=1)
    assert found.products == {"int8": 1}
    assert found.eight_bit == ("out/MatMul",)


def test_tables_of_another_form_are_left_out() -> None:
    assert from_log("Name: nothing like it") == []
    assert from_inspector("no JSON") == from_inspector("[]") == from_inspector('{"Layers": ["name"]}') == []
