"""Layer tables of builders, read and summed up.

TensorRT for RTX writes the table at the end of a detailed build's log, TensorRT gives it through an engine's
inspector; both name kernels, element types and the ONNX nodes that a kernel stands for.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

LEAST_WEIGHTS: Final = 1 << 12
"""A constant of fewer elements, or of one dimension, is a scale or a bias."""

_KINDS: Final = {
    "int8": "int8",
    "fp8": "fp8",
    "float8e4m3fn": "fp8",
    "half": "fp16",
    "fp16": "fp16",
    "bfloat16": "bf16",
    "float": "fp32",
    "fp32": "fp32",
    "uint8": "uint8",
    "int32": "int32",
    "int64": "int64",
    "bool": "bool",
}
_WIDTHS: Final = ("bool", "int8", "uint8", "fp8", "fp16", "bf16", "fp32", "int32", "int64")
_SMALL: Final = frozenset({"int8", "fp8"})
_PRODUCT: Final = re.compile(r"gemm|correlation|convolution|matrix_multiply", re.IGNORECASE)
_FUSED_PRODUCT: Final = re.compile(r"__myl_\w*?(?:Fc|Corr)")
_PRODUCT_NODE: Final = re.compile(r"(?:MatMul|Gemm|Conv)(?:_\d+)?$")
_ATTENTION: Final = re.compile(r"_mha|fmha", re.IGNORECASE)
_REFORMAT: Final = re.compile(r"__myl_(?:Tran|Move|Resh|Slic|Conc|Copy|Repl|Pad)+_|reformat", re.IGNORECASE)
_LINE: Final = re.compile(
    r"Name: (?P<name>.*?), LayerType: (?P<type>\w+), Inputs: \[(?P<inputs>.*?)\], "
    r"(?:Constants: \[(?P<constants>.*)\], )?Outputs: \[(?P<outputs>.*?)\]"
    r"(?:, TacticName: (?P<tactic>.*?), StreamId.*?)?(?:, Metadata: ?(?P<metadata>.*))?$"
)
_TENSOR: Final = re.compile(r"Dimensions: \[([^\]]*)\].*?Datatype: (\w+)")
_NODE: Final = re.compile(r"ONNX Layer: ([^\]]+)")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that a kernel reads or writes.

    Attributes:
        kind: Its elements: ``int8``, ``fp8``, ``fp16``, ``fp32``, ...
        dimensions: Its shape; -1 is the batch.
    """

    kind: str
    dimensions: tuple[int, ...]

    @property
    def holds_weights(self) -> bool:
        """Say whether a constant is a matrix, not scales or a bias."""
        wide = [size for size in self.dimensions if size > 1]
        return len(wide) >= 2 and math.prod(wide) >= LEAST_WEIGHTS


@dataclass(frozen=True, slots=True)
class Layer:
    """One kernel.

    Attributes:
        name: The builder's name.
        type: Such as ``gemm``, ``correlation``, ``kgen``.
        inputs: Activations that it reads.
        constants: Weights, scales, biases.
        outputs: What it writes.
        nodes: ONNX nodes that it stands for.
    """

    name: str
    type: str
    inputs: tuple[Tensor, ...]
    constants: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    nodes: tuple[str, ...]

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """Constants that are weights."""
        return tuple(tensor for tensor in self.constants if tensor.holds_weights)

    @property
    def products(self) -> tuple[str, ...]:
        """ONNX products with weights that it computes."""
        if not (_PRODUCT.search(self.type) or _FUSED_PRODUCT.match(self.name)):
            return ()
        return tuple(dict.fromkeys(name for name in self.nodes if _PRODUCT_NODE.search(name)))

    @property
    def product_kind(self) -> str:
        """Elements that its products multiply: the larger of the activation's and the weights'."""
        factors = self.inputs[:1] + (self.weights or self.inputs[1:2])
        return max((tensor.kind for tensor in factors), key=_WIDTHS.index, default="fp32")

    @property
    def dequantises(self) -> bool:
        """Say whether it does nothing but turn small weights into larger numbers, at every run."""
        return not self.products and any(tensor.kind in _SMALL for tensor in self.weights)


class Inspection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layer table, summed up.

    Attributes:
        kernels: Kernels of one run.
        products: Products with weights, by the numbers that they multiply.
        dequantised: Kernels that turn small weights into larger numbers at every run: a product that was to
            be INT8 or FP8 is not.
        reformats: Kernels that only change the layout.
        fused_attention: Kernels that are a whole attention.
        engine_bytes: Size of the engine.
        activation_bytes: Memory that a context takes; 0 where the builder didn't say.
        eight_bit: ONNX nodes of the products in INT8 or FP8.
        stray: ONNX nodes that the recipe quantises and the engine doesn't; where the recipe is known.
    """

    kernels: int
    products: dict[str, int]
    dequantised: int
    reformats: int
    fused_attention: int
    engine_bytes: int
    activation_bytes: int
    eight_bit: tuple[str, ...] = ()
    stray: tuple[str, ...] = ()

    def against(self, quantised: Iterable[str]) -> Inspection:
        """Compare it with the ONNX nodes that the recipe quantises; the long list of names goes."""
        stray = sorted(set(quantised) - set(self.eight_bit))
        return msgspec.structs.replace(self, eight_bit=(), stray=tuple(stray))

    def line(self) -> str:
        """One line for people."""
        products = ", ".join(f"{count} {kind}" for kind, count in sorted(self.products.items()))
        attention = f", {self.fused_attention} attention kernels" if self.fused_attention else ""
        mib = 1 << 20
        return (
            f"{self.kernels} kernels, products: {products or 'none'}{attention}, "
            f"{self.engine_bytes / mib:.1f} MiB, activations {self.activation_bytes / mib:.1f} MiB"
        )

    def warnings(self) -> list[str]:
        """Warnings: products that are not in the asked numbers, one line each."""
        lines = []
        if self.stray:
            some = ", ".join(self.stray[:3])
            more = f" and {len(self.stray) - 3} more" if len(self.stray) > 3 else ""
            lines.append(f"{len(self.stray)} products of the recipe are not in 8 bits: {some}{more}")
        if self.dequantised:
            lines.append(
                f"{self.dequantised} kernels turn 8-bit weights back into larger numbers at every run"
            )
        return lines


def inspect(layers: Iterable[Layer], *, engine_bytes: int, activation_bytes: int = 0) -> Inspection:
    """Sum up a layer table.

    Args:
        layers: The table.
        engine_bytes: Size of the engine.
        activation_bytes: Memory that a context takes.
    """
    table = list(layers)
    kinds = {name: layer.product_kind for layer in table for name in layer.products}
    return Inspection(
        kernels=sum(layer.type not in {"shape_call", "signal", "wait"} for layer in table),
        products=dict(Counter(kinds.values())),
        dequantised=sum(layer.dequantises for layer in table),
        reformats=sum(_is_reformat(layer) for layer in table),
        fused_attention=sum(bool(_ATTENTION.search(f"{layer.name} {layer.type}")) for layer in table),
        engine_bytes=engine_bytes,
        activation_bytes=activation_bytes,
        eight_bit=tuple(sorted(name for name, kind in kinds.items() if kind in _SMALL)),
    )


def _is_reformat(layer: Layer) -> bool:
    return not layer.products and bool(_REFORMAT.search(layer.name) or _REFORMAT.search(layer.type))


def from_log(text: str) -> list[Layer]:
    """The table that TensorRT for RTX logs; lines of another form are left out."""
    return [_layer(found) for line in text.splitlines() if (found := _LINE.match(line.strip()))]


def _layer(found: re.Match[str]) -> Layer:
    inputs, constants, outputs = (
        tuple(_tensor(*pair) for pair in _TENSOR.findall(found[part] or ""))
        for part in ("inputs", "constants", "outputs")
    )
    nodes = tuple(_NODE.findall(found["metadata"] or ""))
    return Layer(found["name"], found["type"], inputs, constants, outputs, nodes)


def _tensor(dimensions: str, kind: str) -> Tensor:
    sizes = tuple(int(size) for size in dimensions.split(",") if size.strip().lstrip("-").isdigit())
    return Tensor(_KINDS.get(kind.lower(), "fp32"), sizes)


def from_inspector(text: str) -> list[Layer]:
    """The table that TensorRT's engine inspector gives as JSON; empty where it gives only names.

    The form is the documented one of TensorRT 10 and 11; no TensorRT has been at hand to try it on.
    """
    try:
        found = json.loads(text).get("Layers", [])
    except (ValueError, AttributeError):
        return []
    return [_inspected(layer) for layer in found if isinstance(layer, dict)]


def _inspected(layer: dict[str, Any]) -> Layer:
    inputs, constants, outputs = (
        tuple(_described(tensor) for tensor in layer.get(part, []) if isinstance(tensor, dict))
        for part in ("Inputs", "Constants", "Outputs")
    )
    nodes = tuple(_NODE.findall(str(layer.get("Metadata", ""))))
    return Layer(
        str(layer.get("Name", "")), str(layer.get("LayerType", "")), inputs, constants, outputs, nodes
    )


def _described(tensor: dict[str, Any]) -> Tensor:
    words = str(tensor.get("Format/Datatype") or tensor.get("Datatype") or "").lower().split()
    kind = next((_KINDS[word] for word in words if word in _KINDS), "fp32")
    sizes = tuple(int(size) for size in tensor.get("Dimensions", []) if isinstance(size, int))
    return Tensor(kind, sizes)
