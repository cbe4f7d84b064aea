"""Cross-attention written out, so that every exporter and quantiser sees the same plain operations.

Shapes: ``B`` windows, ``Q`` queries, ``K`` keys, ``D`` width, ``H`` heads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MASKED_BIAS = -1e4
"""Added to the score of a masked key: nothing after softmax, and still finite in FP16."""

FUTURE_BIAS = -2e4
"""Added to the score of a later key in causal models. It outweighs ``MASKED_BIAS``: earlier keys win even
where all of them are masked. The sum of both is finite in FP16."""


class CrossAttention(nn.Module):
    """Multi-head attention of one stream to another (Vaswani et al. 2017).

    When every key is masked, all scores shift alike and the weights are those of the "missing" embeddings:
    finite, and independent of what lies under the mask.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.head_width = width // heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, keys: Tensor, key_bias: Tensor) -> Tensor:
        """Attend.

        Args:
            queries: ``[B, Q, D]``.
            keys: ``[B, K, D]``, the values too.
            key_bias: ``[B, 1, 1, K]``, 0 or ``MASKED_BIAS``; in causal models ``[B, 1, Q, K]``, with
                ``FUTURE_BIAS``.

        Returns:
            ``[B, Q, D]``.
        """
        q = self._split(self.query(queries) * self.head_width**-0.5)  # [B, H, Q, D/H]
        k, v = self._split(self.key(keys)), self._split(self.value(keys))  # [B, H, K, D/H]
        weights = torch.softmax(torch.matmul(q, k.transpose(2, 3)) + key_bias, dim=-1)  # [B, H, Q, K]
        context = torch.matmul(self.dropout(weights), v).transpose(1, 2)  # [B, Q, H, D/H]
        out: Tensor = self.out(context.flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(-1, x.shape[1], self.heads, self.head_width).transpose(1, 2)


class CrossBlock(nn.Module):
    """Attention and feed-forward, each with residual and norm after it (post-norm)."""

    def __init__(self, width: int, heads: int, ffn_ratio: int, dropout: float) -> None:
        super().__init__()
        self.attention = CrossAttention(width, heads, dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.ffn = nn.Sequential(
            nn.Linear(width, ffn_ratio * width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(ffn_ratio * width, width),
        )
        self.ffn_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, keys: Tensor, key_bias: Tensor) -> Tensor:
        """As ``CrossAttention``: ``[B, Q, D]`` out."""
        x = self.attention_norm(queries + self.dropout(self.attention(queries, keys, key_bias)))
        out: Tensor = self.ffn_norm(x + self.dropout(self.ffn(x)))
        return out


def mask_to_bias(mask: Tensor) -> Tensor:
    """A mask ``[B, K]`` of 0 and 1 as ``[B, 1, 1, K]`` of ``MASKED_BIAS`` and 0."""
    return ((1.0 - mask) * MASKED_BIAS)[:, None, None, :]


def future_bias(queries: Tensor, keys: Tensor) -> Tensor:
    """Bias ``[1, 1, Q, K]`` that hides later keys, from the steps of queries ``[Q]`` and keys ``[K]``."""
    return torch.where(keys[None, :] > queries[:, None], FUTURE_BIAS, 0.0)[None, None]
