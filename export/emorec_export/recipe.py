"""Recipes of the variants: the whole precision policy, and the reason for each choice.

Products with weights are quantised: ``MatMul`` and ``Gemm``. Weights are symmetric per output channel,
activations symmetric per tensor. Attention scores and values, norms, softmax, GELU and residual sums are
never touched; neither are the outputs of quantised nodes. Names are those that ``tidy`` gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

from onnx import NodeProto

from emorec_calib.observe import WEIGHT_OPS
from emorec_rt.bundle.manifest import Precision

ALL_OPS: Final = WEIGHT_OPS
"""Products with weights: those that were observed."""

LINEAR_OPS: Final = frozenset({"MatMul", "Gemm"})
"""Operators that are quantised. Measured with onnxruntime on a small ResNet: convolutions with explicit Q/DQ
take longer than in FP32, with their outputs quantised (1.15 times) and without (1.6 times). TensorRT for RTX
gives each INT8 convolution of MobileCLIP a kernel more, 382 in all against 240 in FP16, and more memory
(benchmarks/LOG.md); it has FP8 kernels for few convolutions. Products gain everywhere."""

ALPHA: Final = 0.5
"""Share of the difficulty that SmoothQuant moves from activations to weights (Xiao et al. 2022: 0.5 is the
sweet spot of most models)."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Recipe of a variant, from the FP32 graph on.

    Attributes:
        numbers: What weights and activations of quantised products become; ``None`` for no product.
        ops: The products.
        half: Whether everything else is FP16 (see ``HIGH_PRECISION``) or stays FP32.
        alpha: Of SmoothQuant; 0 leaves the channels as they are.
        apart: Whether queries, keys and values are products of their own. TensorRT keeps a joint one out of
            INT8; CPUs are faster with it.
    """

    numbers: Literal["int8", "fp8"] | None
    ops: frozenset[str]
    half: bool
    alpha: float = 0.0
    apart: bool = False


RECIPES: Final[dict[Precision, Recipe]] = {
    # Half the size; on GPUs about twice as fast.
    "fp16": Recipe(None, frozenset(), half=True),
    # For CPUs: the scales stay FP32, because FP16 Q/DQ runs slower than no quantisation at all there.
    "int8": Recipe("int8", LINEAR_OPS, half=False, alpha=ALPHA),
    # For TensorRT, whose strong typing wants FP16 scales wherever FP16 goes on behind the product.
    "int8-fp16": Recipe("int8", LINEAR_OPS, half=True, alpha=ALPHA, apart=True),
    # For GPUs from Ada on. E4M3 keeps its relative precision over nine powers of two and needs no smoothing.
    "fp8": Recipe("fp8", LINEAR_OPS, half=True),
}
"""By the variant's name in the manifest; ``fp32`` is the exported graph itself."""

EXCLUDED: Final[dict[str, str]] = {
    "visual.conv[123]/*": "patch embedding, or the convolutions of a stem: raw pixels, little work",
    "visual.layer?.0.downsample.*": "skip path of a ResNet: little work; its error joins the residual sum",
    "visual/MatMul*": "projection to CLIP's embedding: its error reaches the fusion undamped",
    "visual.attnpool.*": "the pooling and the projection of a ResNet: the same",
    "visual.layer1.0.conv?/*": "first block of a ResNet: close to raw pixels",
    "visual.features.0/*": "first convolution of a plain tower: raw pixels, little work",
    "visual.projection/*": "projection of a plain tower: its error reaches the fusion undamped",
    "visual.trunk.stem.*": "MobileCLIP's convolutions on raw pixels",
    "visual.trunk.*.se.fc?/*": "MobileCLIP's gates of whole channels: one position, hardly any work",
    "visual.trunk.head.fc/*": "MobileCLIP's projection to its embedding",
    "wav2vec2.feature_extractor.*": "convolutions of sound: what is quiet lies below one step of a range "
    "that something loud has set, and the norm behind them makes that rounding as large as the sound",
    "wav2vec2.encoder.pos_conv_embed.*": "positional convolution: grouped, little work, feeds every token",
    "wav2vec2.feature_projection.*": "what all layers add to: a small product, whose error none undoes",
    "mel.*": "log-mel encoder of sound: little work beside the picture's, and INT8 changes the label of one "
    "row in a hundred that is heard alone",
    "*_projection.linear/*": "the same of the fusion",
    "tcn.*": "temporal convolutions: little work, and all of their errors end up in one sum",
    "head.?/*": "the logits, and the layer before them: little work, and their errors are the model's",
    "task_heads.*": "valence, arousal and action units: the same",
}
"""Nodes that are never quantised, by pattern, each with its reason."""

ROUNDED_STORAGE: Final[dict[str, str]] = {
    "wav2vec2.encoder.pos_conv_embed.*": "a tenth of an INT8 bundle for one layer, whose sums of 6144 "
    "products average out what rounding adds to each",
}
"""Weights of products that stay in floating point and are stored as INT8 all the same, by pattern. All other
large ones are stored as FP16."""

HIGH_PRECISION_OPS: Final[dict[str, str]] = {
    "LayerNormalization": "sums of squares; TensorRT's strong typing can't set their precision otherwise",
    "InstanceNormalization": "the same, over a whole chunk of sound",
    "GroupNormalization": "the same",
    "Softmax": "exponentials and their sum",
    "ReduceMean": "sums",
    "ReduceSum": "sums",
    "Pow": "leaves FP16's range",
    "Sqrt": "of variances close to zero",
    "Reciprocal": "of deviations close to zero",
}
"""Operators that stay FP32 in an FP16 graph, each with its reason."""

HIGH_PRECISION: Final[dict[str, str]] = {
    "vision/*": "pixels are normalised before the tower: once a frame, and exactly",
    "mel.log_mel/*": "powers of a spectrum leave FP16's range on both sides",
    "audio/*": "a chunk is brought to unit variance: sums of a hundred thousand squares",
}
"""Nodes that stay FP32 in an FP16 graph, by pattern. So does a sum that only a softmax reads (the bias of
masked keys swallows FP16's digits) and whatever comes near FP16's largest number on real data."""


def quantised(node: NodeProto, weights: frozenset[str], ops: frozenset[str]) -> bool:
    """Say whether a node may be quantised.

    Args:
        node: A node of the FP32 graph.
        weights: Names of the graph's initialisers. A product of two activations (attention scores and
            values) has no weight and stays in floating point.
        ops: The operators that the target gains by.
    """
    has_weight = len(node.input) > 1 and node.input[1] in weights
    return node.op_type in ops and has_weight and exclusion(node) is None


def exclusion(node: NodeProto) -> str | None:
    """Reason why a node is never quantised; ``None`` if it may be."""
    return _reason(node.name, EXCLUDED)


def rounded_storage(node: NodeProto) -> str | None:
    """Reason why the weight of a node that isn't quantised is stored as INT8; ``None`` if it isn't."""
    return _reason(node.name, ROUNDED_STORAGE)


def high_precision(node: NodeProto) -> str | None:
    """Reason why a node stays FP32 in an FP16 graph; ``None`` if it doesn't."""
    if node.op_type == "Split":
        return None  # of an attention inside, whatever its name
    return HIGH_PRECISION_OPS.get(node.op_type) or _reason(node.name, HIGH_PRECISION)


def _reason(name: str, patterns: dict[str, str]) -> str | None:
    return next((why for pattern, why in patterns.items() if fnmatchcase(name, pattern)), None)
