"""Rewrite a trained encoder into an equal one whose graph is plain: for export only, on a copy.

- Self-attention is written out with its scale on the queries alone. Fused attention would be exported with
  the square root of the scale on queries *and* keys, which some TensorRT releases miscompile
  (NVIDIA/TensorRT issues 4328 and 4333).
- Towers of timm (MobileCLIP's FastViT) get their training branches folded into one convolution.
- Parametrised weights (wav2vec 2.0's weight-normalised positional convolution) become plain weights:
  exporters would leave the normalisation in the graph.

Shapes: ``B`` batch, ``L`` tokens, ``D`` width, ``H`` heads, ``E`` width of an embedding.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from open_clip.modified_resnet import AttentionPool2d
from timm.layers.attention import Attention as TimmAttention
from timm.models.fastvit import Attention as FastVitAttention
from timm.utils.model import reparameterize_model
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2Attention


class EagerAttention(nn.Module):
    """Multi-head self-attention from one joint projection, written out.

    Stands in for ``nn.MultiheadAttention`` (batch first) and transformers' ``Wav2Vec2Attention``: it takes
    what either is called with and gives the context first and no weights.

    Args:
        joint: Queries', keys' and values' projection, ``D`` to ``3 D``; the scale is in the queries' part.
        out: The projection after it.
        heads: ``H``.
    """

    def __init__(self, joint: nn.Linear, out: nn.Linear, heads: int) -> None:
        super().__init__()
        self.joint = joint
        self.out = out
        self.heads = heads

    def forward(self, x: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        """Map ``[B, L, D]`` to ``[B, L, D]``."""
        q, k, v = self.joint(x).chunk(3, dim=-1)
        return self.out(_attend(q, k, v, self.heads)), None


class TokenAttention(nn.Module):
    """``EagerAttention`` that gives the context alone, as timm's ``Attention`` does."""

    def __init__(self, attention: EagerAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """Map ``[B, L, D]`` to ``[B, L, D]``; pictures are never masked."""
        if attn_mask is not None or is_causal:
            raise ValueError("attention of a visual tower with a mask has no plain form here")
        context: Tensor = self.attention(x)[0]
        return context


class MapAttention(TokenAttention):
    """The same over the positions of a feature map, as in timm's FastViT."""

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """Map ``[B, D, H, W]`` to ``[B, D, H, W]``."""
        tokens = super().forward(x.flatten(2).transpose(1, 2), attn_mask, is_causal)  # [B, H W, D]
        return tokens.transpose(1, 2).reshape(-1, *x.shape[1:])


class GlobalMean(nn.Module):
    """``nn.AdaptiveAvgPool2d(1)``, which the exporter would write as a gather over indices."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, D, H, W]`` to ``[B, D, 1, 1]``."""
        return x.mean(dim=(2, 3), keepdim=True)


class EagerPool(nn.Module):
    """open_clip's ``AttentionPool2d`` written out: the mean position alone asks, for only its answer is used.

    Args:
        pool: The original.
    """

    positions: Tensor

    def __init__(self, pool: AttentionPool2d) -> None:
        super().__init__()
        scale = (pool.q_proj.out_features // pool.num_heads) ** -0.5
        self.query = _linear(pool.q_proj.weight * scale, pool.q_proj.bias * scale)
        self.key = pool.k_proj
        self.value = pool.v_proj
        self.out = pool.c_proj
        self.heads = pool.num_heads
        self.register_buffer("positions", pool.positional_embedding.detach().clone())  # [1 + H W, D]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, D, H, W]`` to ``[B, E]``."""
        tokens = x.flatten(2).transpose(1, 2)  # [B, H W, D]
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1) + self.positions
        q, k, v = self.query(tokens[:, :1]), self.key(tokens), self.value(tokens)
        pooled: Tensor = self.out(_attend(q, k, v, self.heads).flatten(1))
        return pooled


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Attention of scaled queries ``[B, Q, D]`` to ``[B, L, D]``: ``[B, Q, D]``."""
    q, k, v = (_split(part, heads) for part in (q, k, v))  # [B, H, ., D/H]
    weights = torch.softmax(torch.matmul(q, k.transpose(2, 3)), dim=-1)  # [B, H, Q, L]
    return torch.matmul(weights, v).transpose(1, 2).flatten(2)


def _split(x: Tensor, heads: int) -> Tensor:
    return x.reshape(-1, x.shape[1], heads, x.shape[2] // heads).transpose(1, 2)


def plain(module: nn.Module) -> nn.Module:
    """An equal module, in eval mode, that exports to a plain graph; the original stays as it is."""
    module = copy.deepcopy(module).eval().requires_grad_(False)
    for tower in _timm_towers(module):
        with torch.no_grad():
            reparameterize_model(tower, inplace=True)
    for part in list(module.modules()):
        for name, child in part.named_children():
            if (equal := _equal(child)) is not None:
                setattr(part, name, equal)
    return module


def _equal(child: nn.Module) -> nn.Module | None:
    """Substitute for a module; ``None`` where it exports well as it is."""
    if isinstance(child, nn.MultiheadAttention):
        return _from_torch(child)
    if isinstance(child, Wav2Vec2Attention):
        return _from_transformers(child)
    if isinstance(child, FastVitAttention):
        return MapAttention(_from_timm(child))
    if isinstance(child, TimmAttention) and _is_plain(child):
        return TokenAttention(_from_timm(child))
    if isinstance(child, AttentionPool2d):
        return EagerPool(child)
    if isinstance(child, nn.AdaptiveAvgPool2d) and child.output_size in {1, (1, 1)}:
        return GlobalMean()
    return _unparametrized(child) if parametrize.is_parametrized(child) else None


def _timm_towers(module: nn.Module) -> list[nn.Module]:
    """The outermost modules of timm."""
    if type(module).__module__.startswith("timm."):
        return [module]
    return [tower for child in module.children() for tower in _timm_towers(child)]


def _unparametrized(module: nn.Module) -> nn.Module:
    """Not ``remove_parametrizations``: it edits the module's class, which a copy shares with its original."""
    cls: type[nn.Module] = type(module).__mro__[1]
    bare = cls.__new__(cls)
    bare.__dict__ = {name: copy.copy(value) for name, value in vars(module).items()}
    bare._modules = {name: child for name, child in module.named_children() if name != "parametrizations"}
    for name in module.parametrizations:  # type: ignore[union-attr]
        bare.register_parameter(name, nn.Parameter(getattr(module, name).detach(), requires_grad=False))
    return bare


def _from_torch(attention: nn.MultiheadAttention) -> EagerAttention:
    return _eager(
        attention.in_proj_weight, attention.in_proj_bias, attention.out_proj, heads=attention.num_heads
    )


def _from_transformers(attention: Wav2Vec2Attention) -> EagerAttention:
    parts = (attention.q_proj, attention.k_proj, attention.v_proj)
    weight, bias = (torch.cat([getattr(part, name) for part in parts]) for name in ("weight", "bias"))
    return _eager(weight, bias, attention.out_proj, heads=attention.num_heads)


def _from_timm(attention: FastVitAttention | TimmAttention) -> EagerAttention:
    joint = attention.qkv
    bias = torch.zeros(joint.out_features) if joint.bias is None else joint.bias
    return _eager(joint.weight, bias, attention.proj, heads=attention.num_heads)


def _is_plain(attention: TimmAttention) -> bool:
    """Without norms and gates inside, and as wide as its input."""
    extras = [getattr(attention, name, None) for name in ("q_norm", "k_norm", "norm", "gate")]
    narrow = attention.qkv.out_features != 3 * attention.qkv.in_features
    return not narrow and all(extra is None or isinstance(extra, nn.Identity) for extra in extras)


def _eager(weight: Tensor, bias: Tensor, out: nn.Linear, *, heads: int) -> EagerAttention:
    """Fold the scale into the queries' rows of ``weight`` ``[3 D, D]`` and ``bias`` ``[3 D]``."""
    width = weight.shape[1]
    scale = torch.ones(3 * width)
    scale[:width] = (width // heads) ** -0.5
    return EagerAttention(_linear(weight * scale[:, None], bias * scale), out, heads)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight = nn.Parameter(weight.detach(), requires_grad=False)
    linear.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return linear
