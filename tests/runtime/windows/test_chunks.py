"""The chunker against the obvious slicing of the whole signal."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emorec_rt.bundle.manifest import Audio
from emorec_rt.constants import SAMPLE_RATE_HZ, TOKEN_HOP_SAMPLES, chunk_samples
from emorec_rt.media.types import Samples
from emorec_rt.windows.chunks import AudioChunker, Chunk

AUDIO = Audio(chunk_tokens=20, context_tokens=5, embedding_dim=4)
CORE = 10
CONTEXT_SAMPLES = 5 * TOKEN_HOP_SAMPLES


def run(blocks: list[Samples]) -> list[Chunk]:
    chunker = AudioChunker(AUDIO, 5, 5)
    chunks = [chunk for block in blocks for chunk in chunker.push(block)]
    return chunks + chunker.finish()


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(count).astype(np.float32)


def expected(pcm: np.ndarray, index: int) -> np.ndarray:
    start = index * CORE * TOKEN_HOP_SAMPLES
    padded = np.pad(pcm, (CONTEXT_SAMPLES, 2 * AUDIO.chunk_samples))
    return padded[start : start + AUDIO.chunk_samples]


@settings(deadline=None)
@given(st.integers(1, 30_000), st.lists(st.integers(1, 29_999), max_size=12))
def test_any_cut_into_blocks_gives_the_same_chunks(count: int, cuts: list[int]) -> None:
    pcm = noise(count)
    edges = [0, *sorted({cut for cut in cuts if cut < count}), count]
    blocks = [Samples(7.5 + a / SAMPLE_RATE_HZ, pcm[a:b]) for a, b in itertools.pairwise(edges)]
    chunks = run(blocks)
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        np.testing.assert_array_equal(chunk.samples, expected(pcm, chunk.index))
    mask = np.concatenate([chunk.mask for chunk in chunks]) if chunks else np.zeros(0, bool)
    centres = np.arange(len(mask)) * TOKEN_HOP_SAMPLES + 200
    np.testing.assert_array_equal(mask, centres < count)


def test_a_gap_is_masked_at_its_true_time() -> None:
    pcm = noise(SAMPLE_RATE_HZ)
    chunks = run([Samples(0.0, pcm), Samples(1.1, pcm)])
    mask = np.concatenate([chunk.mask for chunk in chunks])
    assert not mask[51:54].any()
    assert mask[:49].all()
    assert mask[56:104].all()


def test_a_long_gap_is_leapt_over() -> None:
    pcm = noise(SAMPLE_RATE_HZ)
    chunks = run([Samples(0.0, pcm), Samples(3600.0, pcm)])
    assert len(chunks) < 15
    heard = sorted(
        chunk.index * CORE + int(token) for chunk in chunks for token in np.flatnonzero(chunk.mask)
    )
    assert next(token for token in heard if token >= 100) == 3600 * 50
    late = next(chunk for chunk in chunks if chunk.index * CORE == 3600 * 50)
    np.testing.assert_array_equal(late.samples[CONTEXT_SAMPLES:], pcm[: len(late.samples) - CONTEXT_SAMPLES])


def test_jitter_is_glued_and_overlap_is_heard_once() -> None:
    pcm = noise(2 * SAMPLE_RATE_HZ)
    plain = run([Samples(0.0, pcm)])
    jittery = run([Samples(0.0, pcm[:16_000]), Samples(1.004, pcm[16_000:])])
    overlapping = run([Samples(0.0, pcm[:16_000]), Samples(0.5, pcm[8_000:])])
    for other in (jittery, overlapping):
        np.testing.assert_array_equal([c.samples for c in plain], [c.samples for c in other])


def test_no_sound_gives_no_chunks() -> None:
    assert AudioChunker(AUDIO, 5, 5).finish() == []


@pytest.mark.parametrize("tokens", [1, 2, 49, 200])
def test_chunk_length_is_what_the_conv_stack_needs(tokens: int) -> None:
    length = chunk_samples(tokens)
    for kernel, stride in [(10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)]:
        length = (length - kernel) // stride + 1
    assert length == tokens
