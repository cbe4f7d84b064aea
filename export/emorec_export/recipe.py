"""Which parts of which graph run in INT8: the whole policy, and the reason for each exception.

Products with weights are quantised: ``MatMul``, ``Gemm`` and, where a backend gains by it, ``Conv``. Weights
are symmetric per output channel, activations symmetric per tensor. Norms, softmax, GELU and residual sums are
never touched; neither are the outputs of quantised nodes. Names are those that ``tidy`` gives.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

from onnx import NodeProto

CPU_OPS: Final = frozenset({"MatMul", "Gemm"})
"""What is quantised for CPUs. Measured with onnxruntime on a small ResNet: convolutions with explicit Q/DQ
take longer than in FP32, with their outputs quantised (1.15 times) and without (1.6 times). Products gain."""

EXCLUDED: Final[dict[str, str]] = {
    "visual.conv1/*": "patch embedding or first convolution: raw pixels, little work",
    "visual/MatMul*": "projection to CLIP's embedding: its error reaches the fusion undamped",
    "visual.attnpool.out/*": "the same of a ResNet",
    "wav2vec2.feature_extractor.conv_layers.0.*": "first convolution: raw samples of any loudness",
    "wav2vec2.encoder.pos_conv_embed.*": "positional convolution: grouped, little work, feeds every token",
    "head.3/*": "the logits",
}
"""Nodes that stay in floating point, by pattern, each with its reason."""


def quantised(node: NodeProto, weights: frozenset[str], ops: frozenset[str]) -> bool:
    """Whether a node runs in INT8.

    Args:
        node: A node of the FP32 graph.
        weights: Names of the graph's initialisers. A product of two activations (attention scores and
            values) has no weight and stays in floating point.
        ops: The operators that the target gains by.
    """
    has_weight = len(node.input) > 1 and node.input[1] in weights
    return node.op_type in ops and has_weight and exclusion(node) is None


def exclusion(node: NodeProto) -> str | None:
    """Why a node is left out by name; ``None`` if it isn't."""
    return next((why for pattern, why in EXCLUDED.items() if fnmatchcase(node.name, pattern)), None)
