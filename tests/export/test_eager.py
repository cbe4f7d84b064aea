"""Rewritten modules give what the libraries' own give, and the originals stay as they were."""

from __future__ import annotations

import pytest
import torch
from open_clip.modified_resnet import AttentionPool2d
from timm.layers.attention import Attention as TimmAttention
from timm.models.fastvit import Attention as FastVitAttention
from torch import nn
from torch.nn.utils import parametrize
from transformers import Wav2Vec2Config
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2Attention

from emorec_export.eager import EagerAttention, EagerPool, TokenAttention, plain
from emorec_rt.constants import chunk_samples
from emorec_train.model.build import Models


def _inside(attention: nn.Module) -> nn.Module:
    holder = plain(nn.ModuleDict({"attention": attention}))
    assert isinstance(holder, nn.ModuleDict)
    return holder["attention"]


@pytest.mark.parametrize("shape", [(1, 1, 12), (3, 7, 12), (2, 50, 12)])
def test_torch_attention(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(12, 3, batch_first=True).eval()
    nn.init.normal_(attention.in_proj_bias)
    x = torch.randn(shape)
    eager = _inside(attention)
    assert isinstance(eager, EagerAttention)
    torch.testing.assert_close(eager(x, x, x, need_weights=False)[0], attention(x, x, x)[0])


@pytest.mark.parametrize("shape", [(1, 1, 12), (3, 7, 12)])
def test_transformers_attention(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    attention = Wav2Vec2Attention(12, 3, config=Wav2Vec2Config(attn_implementation="eager")).eval()
    x = torch.randn(shape)
    eager = _inside(attention)
    assert isinstance(eager, EagerAttention)
    torch.testing.assert_close(eager(x)[0], attention(x)[0])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kind", "shape"), [(FastVitAttention, (3, 12, 2, 3)), (TimmAttention, (3, 7, 12))])
def test_timm_attention(kind: type[nn.Module], shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    size = {"head_dim": 4} if kind is FastVitAttention else {"num_heads": 3}
    attention = kind(12, **size, qkv_bias=bias).eval()
    x = torch.randn(shape)
    eager = _inside(attention)
    assert isinstance(eager, TokenAttention)
    torch.testing.assert_close(eager(x), attention(x))


def test_timm_attention_with_more_inside_is_left_alone() -> None:
    attention = TimmAttention(12, 3, qk_norm=True, norm_layer=nn.LayerNorm).eval()
    assert isinstance(_inside(attention), TimmAttention)


def test_the_original_stays_as_it_was(models: Models) -> None:
    before = {key: value.clone() for key, value in models.audio.state_dict().items()}
    samples = torch.randn(2, chunk_samples(24))
    expected = models.audio(samples)
    copy = plain(models.audio)
    assert not any(parametrize.is_parametrized(part) for part in copy.modules())
    torch.testing.assert_close(copy(samples), expected)
    after = models.audio.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    torch.testing.assert_close(models.audio(samples), expected, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("batch", [1, 3])
def test_attention_pool(batch: int) -> None:
    torch.manual_seed(0)
    pool = AttentionPool2d(3, 16, 4, 5).eval()
    for part in (pool.q_proj, pool.k_proj, pool.v_proj, pool.c_proj):
        nn.init.normal_(part.bias)
    x = torch.randn(batch, 16, 3, 3)
    eager = _inside(pool)
    assert isinstance(eager, EagerPool)
    torch.testing.assert_close(eager(x), pool(x))


def test_whole_vision_encoder(models: Models) -> None:
    frames = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    torch.testing.assert_close(plain(models.vision)(frames), models.vision(frames))
