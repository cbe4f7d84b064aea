from __future__ import annotations

from typing import get_args

import msgspec
import pytest
import torch
from torch import Tensor, nn

from emorec_train.model.attention import CrossAttention, mask_to_bias
from emorec_train.model.config import Mode
from emorec_train.model.fusion import FusionModel, filled, sinusoids
from emorec_train.model.tcn import TCN
from small_model import PER_STEP, STEPS, config, feeds

MODES: tuple[Mode, ...] = tuple(mode for mode in get_args(Mode) if mode != "zero_shot")


def fusion(mode: Mode = "both") -> FusionModel:
    torch.manual_seed(0)
    model = config(mode)
    return FusionModel(model.fusion, model.preprocessing, len(model.labels)).eval()


@pytest.mark.parametrize("mode", MODES)
def test_logits_for_each_step(mode: Mode) -> None:
    logits, features, _ = fusion(mode).outputs(**feeds(3))
    assert logits.shape == (3, STEPS, 8)
    assert (features is None) == (mode == "audio")
    if features is not None:
        assert features.shape == (3, STEPS, 16)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gone", [("frame",), ("audio",), ("frame", "audio")])
def test_what_lies_under_a_full_mask_does_not_matter(mode: Mode, gone: tuple[str, ...]) -> None:
    model, one, other = fusion(mode), feeds(seed=0), feeds(seed=1)
    names = {"frame": ("frame_embeddings", "frame_mask"), "audio": ("audio_tokens", "audio_mask")}
    for stream, (content, mask) in names.items():
        if stream in gone:
            one[mask] = torch.zeros_like(one[mask])
        else:
            other[content] = one[content]
        other[mask] = one[mask]
    with torch.no_grad():
        first, second = model(**one), model(**other)
    assert first.isfinite().all()
    torch.testing.assert_close(first, second, atol=0.0, rtol=0.0)


@pytest.mark.parametrize("mode", MODES)
def test_what_lies_under_a_partial_mask_does_not_matter(mode: Mode) -> None:
    model, one = fusion(mode), feeds()
    one["frame_mask"][:, 3:7] = 0.0
    one["audio_mask"][:, 10:15] = 0.0
    other = {name: value.clone() for name, value in one.items()}
    other["frame_embeddings"][:, 3:7] = 100.0
    other["audio_tokens"][:, 10:15] = -100.0
    with torch.no_grad():
        torch.testing.assert_close(model(**one), model(**other), atol=0.0, rtol=0.0)


@pytest.mark.parametrize(("mode", "stream"), [("visual", "audio_tokens"), ("audio", "frame_embeddings")])
def test_a_single_stream_model_ignores_the_other(mode: Mode, stream: str) -> None:
    model, one = fusion(mode), feeds()
    other = {**one, stream: torch.randn_like(one[stream])}
    with torch.no_grad():
        torch.testing.assert_close(model(**one), model(**other), atol=0.0, rtol=0.0)


@pytest.mark.parametrize("mode", ["both", "concat", "visual_queries", "audio_queries"])
def test_both_streams_matter(mode: Mode) -> None:
    model, one = fusion(mode), feeds()
    for stream in ("frame_embeddings", "audio_tokens"):
        other = {**one, stream: one[stream].flip(1)}
        with torch.no_grad():
            assert (model(**one) - model(**other)).abs().max() > 1e-4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("masked", [False, True], ids=["all there", "nothing there before"])
def test_a_causal_model_never_looks_ahead(mode: Mode, masked: bool) -> None:
    torch.manual_seed(0)
    model = config(mode)
    causal = msgspec.structs.replace(model.fusion, causal=True)
    fusion, now = FusionModel(causal, model.preprocessing, len(model.labels)).eval(), STEPS // 2
    one = feeds()
    if masked:
        one["frame_mask"][:, :now] = 0.0
        one["audio_mask"][:, : now * PER_STEP] = 0.0
    other = {name: value.clone() for name, value in one.items()}
    other["frame_embeddings"][:, now:] = torch.randn_like(other["frame_embeddings"][:, now:])
    other["audio_tokens"][:, now * PER_STEP :] *= -3.0
    with torch.no_grad():
        before, after = fusion(**one), fusion(**other)
    torch.testing.assert_close(before[:, :now], after[:, :now], atol=1e-6, rtol=0.0)
    assert (before[:, now:] - after[:, now:]).abs().max() > 1e-4
    halves = {name: value.half() for name, value in one.items()}
    with torch.no_grad():
        assert fusion.half()(**halves).isfinite().all()


def test_steps_without_a_face_take_the_others_mean() -> None:
    logits = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [9.0, 9.0]], [[7.0, 7.0]] * 3])
    mask = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    expected = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]], [[0.0, 0.0]] * 3])
    torch.testing.assert_close(filled(logits, mask), expected)


def test_fp16_survives_a_masked_stream() -> None:
    model, one = fusion().half(), feeds()
    one["audio_mask"] = torch.zeros_like(one["audio_mask"])
    with torch.no_grad():
        assert model(**{name: value.half() for name, value in one.items()}).isfinite().all()


def tcn(*, causal: bool) -> TCN:
    torch.manual_seed(0)
    return TCN(8, 3, 3, causal=causal, dropout=0.1).eval()


@pytest.mark.parametrize("causal", [True, False])
def test_tcn_reach(causal: bool) -> None:
    """A change at one step reaches 2 * (1 + 2 + 4) * (kernel - 1) steps ahead, and back only when centred."""
    model, x = tcn(causal=causal), torch.zeros(1, 80, 8)
    y = x.clone()
    y[0, 40] = 1.0
    with torch.no_grad():
        changed = (model(x) - model(y)).abs().amax(dim=(0, 2)).nonzero().flatten()
    ahead = 28 if causal else 14
    assert (int(changed.min()), int(changed.max())) == (40 if causal else 26, 40 + ahead)


def test_attention_equals_torch() -> None:
    torch.manual_seed(0)
    ours, reference = CrossAttention(16, 4, 0.0), nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        for k, linear in enumerate((ours.query, ours.key, ours.value)):
            linear.weight.copy_(reference.in_proj_weight[16 * k : 16 * (k + 1)])
            linear.bias.copy_(reference.in_proj_bias[16 * k : 16 * (k + 1)])
        ours.out.load_state_dict(reference.out_proj.state_dict())
        queries, keys, mask = torch.randn(2, 5, 16), torch.randn(2, 7, 16), torch.ones(2, 7)
        mask[0, 4:] = 0.0
        expected, _ = reference(queries, keys, keys, key_padding_mask=mask == 0)
        torch.testing.assert_close(ours(queries, keys, mask_to_bias(mask)), expected)


def test_step_and_its_first_token_share_a_position() -> None:
    model = fusion()
    torch.testing.assert_close(model.step_positions, model.token_positions[::PER_STEP])
    positions: Tensor = sinusoids(torch.arange(1000.0), 16)
    assert torch.cdist(positions, positions).fill_diagonal_(1.0).min() > 0.01
