"""A face and a voice of the same label, in FP32 and INT8: sections of benchmarks/people.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from people_chain import Chain
from people_faces import stills
from people_scores import Figure, interval, macro_f1
from people_tracks import Utterance

import emorec_rt
from emorec_train.console import tracked
from emorec_train.training.people.calibration import calibration_error

SECTION: Final = "pairs"
FACES_A_VOICE: Final = 4
STREAMS: Final = ("both", "visual", "audio")


class Pairs:
    """Held-out pictures and utterances, several faces a voice.

    Args:
        data: Folder with ``faces``.
        utterances: Of speakers that the models have not heard.
        side: Side of a crop in pixels.
    """

    def __init__(self, data: Path, utterances: Sequence[Utterance], side: int) -> None:
        faces = stills("", f"npz:{data / 'faces/ferplus.npz'}", side)
        rng = np.random.default_rng(0)
        chosen = [rng.choice(np.flatnonzero(faces.truth == one.label), FACES_A_VOICE) for one in utterances]
        self.faces = faces.crops[np.concatenate(chosen)]
        self.voices = [one for one in utterances for _ in range(FACES_A_VOICE)]
        self.truth = np.array([one.label for one in self.voices])
        self.groups = np.repeat(np.arange(len(utterances)), FACES_A_VOICE)

    def heard(self, chain: Chain, streams: str) -> NDArray[np.float32]:
        """Mean probabilities of each pair, float32 ``[N, C]``; ``streams`` is one of ``STREAMS``."""
        return np.stack(
            [
                chain.mean(
                    None if streams == "audio" else face,
                    None if streams == "visual" else one.sound,
                    one.seconds,
                )
                for face, one in tracked(
                    zip(self.faces, self.voices, strict=True), f"pairs, {streams}", len(self.voices)
                )
            ]
        )

    def figures(self, probabilities: NDArray[np.float32], material: str, method: str) -> list[Figure]:
        """Macro F1 and calibration error."""
        given, rows = probabilities.argmax(axis=1), np.arange(len(self.truth))

        def error(chosen: NDArray[np.int64], _: NDArray[np.int64]) -> float:
            return calibration_error(probabilities[chosen], self.truth[chosen])

        return [
            Figure(
                SECTION,
                material,
                method,
                "macro F1",
                macro_f1(self.truth, given),
                *interval(macro_f1, self.truth, given, self.groups),
                len(given),
            ),
            Figure(
                SECTION,
                material,
                method,
                "calibration error",
                error(rows, rows),
                *interval(error, rows, rows, self.groups),
                len(given),
            ),
        ]


def pairs(
    data: Path, utterances: Sequence[Utterance], methods: Mapping[str, Chain], singles: Path | None
) -> list[Figure]:
    """Both streams, either of them masked, and models that have a single stream only.

    Args:
        data: Folder with ``faces``.
        utterances: Held out.
        methods: Bundles by name.
        singles: Folder with the checkpoints ``fusion-visual`` and ``fusion-audio``; ``None`` leaves them out.
    """
    found: list[Figure] = []
    for name, chain in methods.items():
        made = Pairs(data, utterances, chain.spec.vision.crop_size)
        for streams in STREAMS:
            found += made.figures(made.heard(chain, streams), f"pairs, {streams}", name)
    for streams in STREAMS[1:]:
        folder = None if singles is None else singles / f"fusion-{streams}"
        if folder is not None and folder.is_dir():
            chain = Chain(fusion=folder)
            made = Pairs(data, utterances, chain.spec.vision.crop_size)
            found += made.figures(made.heard(chain, streams), f"pairs, {streams}", "a model of its own")
    return found


def agreement(data: Path, utterances: Sequence[Utterance], bundle: Path | None) -> list[Figure]:
    """INT8 against FP32 on the same pairs."""
    plain, small = Chain(bundle, "fp32"), Chain(bundle, "int8")
    made = Pairs(data, utterances, plain.spec.vision.crop_size)
    found = []
    for streams in STREAMS:
        first, second = (made.heard(chain, streams).argmax(axis=1) for chain in (plain, small))
        low, high = interval(_same, first, second, made.groups)
        found.append(
            Figure(
                "int8",
                f"pairs, {streams}",
                "int8",
                "same label as fp32",
                _same(first, second),
                low,
                high,
                len(first),
            )
        )
        change = macro_f1(made.truth, second) - macro_f1(made.truth, first)
        found.append(
            Figure(
                "int8", f"pairs, {streams}", "int8", "change of macro F1", change, change, change, len(first)
            )
        )
    return found


def _same(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    return float((first == second).mean())


def talking(media: Path, bundles: Mapping[str, Path | None]) -> list[Figure]:
    """Share of Neutral rows in GRID, in which people read without feeling, by the whole runtime."""
    found = []
    for name, bundle in bundles.items():
        recognizer = emorec_rt.load(bundle)
        labels, groups = [], []
        for number, path in enumerate(sorted((media / "faces" / "grid").iterdir())):
            own = [row.label == "Neutral" for row in recognizer.stream(path)]
            labels += own
            groups += [number] * len(own)
        given = np.array(labels, np.int64)
        truth = np.ones_like(given)
        low, high = interval(_same, truth, given, np.array(groups))
        found.append(
            Figure(
                "talking",
                "GRID, picture and sound",
                name,
                "Neutral",
                _same(truth, given),
                low,
                high,
                len(given),
            )
        )
    return found
