"""Encoders that were read out of a bundle say what its graphs say."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray

from emorec_export.read_back import read_back_pictures, read_back_voices
from emorec_rt.bundle.folder import Bundle, open_bundle
from emorec_rt.bundle.manifest import GraphName
from emorec_rt.errors import UsageError
from emorec_train.model.config import ConvConfig
from emorec_train.settings.presets import find_preset
from emorec_train.training.sound_encoder import ARCHITECTURE

PEOPLE = find_preset("people").model.vision


def by_graph(bundle: Bundle, graph: GraphName, fed: NDArray[np.generic]) -> NDArray[np.float32]:
    session = ort.InferenceSession(bundle.graph_file(graph, "fp32"), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: fed})[0])


@torch.inference_mode()
def test_both_encoders_say_what_the_graphs_say(tmp_path: Path) -> None:
    bundle, rng = open_bundle(), np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    vision = read_back_pictures(bundle, PEOPLE, tmp_path / "pictures")
    expected = by_graph(bundle, "vision", frames)
    np.testing.assert_allclose(vision(torch.from_numpy(frames)).numpy(), expected, atol=1e-5)

    spec = bundle.manifest.preprocessing.audio
    samples = rng.normal(0.0, 0.1, (2, spec.chunk_samples)).astype(np.float32)
    audio = read_back_voices(bundle, ARCHITECTURE, tmp_path / "voices")
    expected = by_graph(bundle, "audio", samples)
    np.testing.assert_allclose(audio(torch.from_numpy(samples)).numpy(), expected, atol=1e-5)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    wider = msgspec.structs.replace(
        PEOPLE, conv=ConvConfig(channels=(64, 96, 192), depths=(2, 2, 2), stem_stride=2)
    )
    with pytest.raises(UsageError, match=r"visual\.features\.0\.weight.*another architecture"):
        read_back_pictures(open_bundle(), wider, tmp_path)
    deeper = msgspec.structs.replace(ARCHITECTURE, layers=5)
    with pytest.raises(UsageError, match=r"mel\.blocks\.4\..*another architecture"):
        read_back_voices(open_bundle(), deeper, tmp_path)
