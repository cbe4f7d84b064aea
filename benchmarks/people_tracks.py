"""Voices: the audible side of benchmarks/people.py. A speaker's utterances come one after another.

Statistics of a voice build up over a track as they do at run time, so each utterance is judged by what was
heard up to its end; orders are random. Beside that: once 10 s of the speaker were heard, women and men, and
the worst case, in which a track holds one emotion throughout.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from people_chain import Chain
from people_scores import Figure, interval, unweighted_recall

from emorec_rt.constants import EXPRESSIONS, SAMPLE_RATE_HZ
from emorec_train.console import tracked
from emorec_train.data.recordings import FULL_SCALE, decode, read_voices

SECTION: Final = "voices"
SPOKEN: Final = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness")
"""Emotions that EMO-DB acts; Surprise is heard nowhere in training, so it isn't asked for."""

ORDERS: Final = 3
PAUSE_SECONDS: Final = 0.5
HEARD_SECONDS: Final = 10.0
SEXES: Final = {"f": "women", "m": "men"}


@dataclass(frozen=True, eq=False)
class Utterance:
    """A voice in memory.

    Attributes:
        corpus: Where it is from.
        speaker: Who speaks.
        sex: ``f``, ``m`` or empty.
        label: Index into ``EXPRESSIONS``.
        fold: Of EMO-DB; -1 elsewhere.
        sound: float32, 16 kHz.
    """

    corpus: str
    speaker: str
    sex: str
    label: int
    fold: int
    sound: NDArray[np.float32]

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.sound) / SAMPLE_RATE_HZ


def read_utterances(data: Path, media: Path) -> list[Utterance]:
    """All utterances of EMO-DB, RAVDESS and nEMO that act one of ``SPOKEN``."""
    sexes = {row["file"]: row["sex"] for row in _rows(data / "voices" / "manifest.csv")}
    found = [
        (
            "EMO-DB",
            one.speaker,
            sexes[str(one.path.relative_to(data / "voices"))],
            one.label,
            one.fold,
            one.path,
        )
        for one in read_voices(data / "voices")
    ]
    found += [
        (row["dataset"], row["speaker"], row["sex"], row["label_8class"], -1, media / row["file"])
        for row in _rows(media / "labelled" / "labels.csv")
        if row["dataset"] in {"RAVDESS", "nEMO"}
    ]
    wanted = [one for one in found if one[3] in SPOKEN]
    return [
        Utterance(corpus, speaker, sex, EXPRESSIONS.index(label), fold, np.float32(decode(path) / FULL_SCALE))
        for corpus, speaker, sex, label, fold, path in tracked(wanted, "utterances", len(wanted))
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True, eq=False)
class Heard:
    """Answers of a chain to utterances in their tracks.

    Attributes:
        utterances: All of them, once for each order.
        probabilities: float32 ``[N, C]``, means over each.
        before_seconds: float64 ``[N]``, how much of the speaker was heard before each.
    """

    utterances: tuple[Utterance, ...]
    probabilities: NDArray[np.float32]
    before_seconds: NDArray[np.float64]

    @property
    def truth(self) -> NDArray[np.int64]:
        """int64 ``[N]``."""
        return np.array([one.label for one in self.utterances])

    @property
    def given(self) -> NDArray[np.int64]:
        """The likeliest of the classes that occur, int64 ``[N]``."""
        among = np.unique(self.truth)
        return np.asarray(among[self.probabilities[:, among].argmax(axis=1)])

    def figure(self, material: str, method: str, rows: NDArray[np.bool_] | None = None) -> Figure:
        """Unweighted recall, with an interval by resampled speakers."""
        kept = np.ones(len(self.utterances), bool) if rows is None else rows
        names = np.unique([one.speaker for one in self.utterances], return_inverse=True)[1]
        truth, given = self.truth[kept], self.given[kept]
        low, high = interval(unweighted_recall, truth, given, names[kept])
        value = unweighted_recall(truth, given)
        return Figure(SECTION, material, method, "unweighted recall", value, low, high, len(truth))


def hear(chain: Chain, utterances: Sequence[Utterance], *, one_mood: bool = False) -> Heard:
    """Every speaker's track in random orders; with ``one_mood`` a track for each emotion."""
    tracks: dict[tuple[object, ...], list[Utterance]] = {}
    for one in utterances:
        key = (one.corpus, one.speaker, one.label) if one_mood else (one.corpus, one.speaker)
        tracks.setdefault(key, []).append(one)
    order: list[Utterance] = []
    said: list[NDArray[np.float32]] = []
    before: list[float] = []
    for seed in range(ORDERS):
        rng = np.random.default_rng(seed)
        for own in tracked(list(tracks.values()), "tracks", len(tracks)):
            shuffled = [own[k] for k in rng.permutation(len(own))]
            order += shuffled
            said += _in_track(chain, shuffled)
            lengths = [one.seconds for one in shuffled]
            before += (np.cumsum(lengths) - lengths).tolist()
    return Heard(tuple(order), np.stack(said), np.array(before))


def _in_track(chain: Chain, utterances: Sequence[Utterance]) -> list[NDArray[np.float32]]:
    """Mean probabilities over each utterance of one track."""
    pause = np.zeros(int(PAUSE_SECONDS * SAMPLE_RATE_HZ), np.float32)
    parts = [part for one in utterances for part in (one.sound, pause)]
    times, probabilities = chain(None, np.concatenate(parts), 0.0)
    said, start = [], 0.0
    for one in utterances:
        inside = (times >= start) & (times < start + one.seconds)
        said.append(np.asarray(probabilities[inside].mean(axis=0)))
        start += one.seconds + PAUSE_SECONDS
    return said


def voices(utterances: Sequence[Utterance], methods: Mapping[str, Chain]) -> list[Figure]:
    """RAVDESS and nEMO, of whom nothing was learnt."""
    found: list[Figure] = []
    for corpus in ("RAVDESS", "nEMO"):
        own = [one for one in utterances if one.corpus == corpus]
        for name, chain in methods.items():
            found += _conditions(hear(chain, own), corpus, name)
            mood = hear(chain, own, one_mood=True)
            found.append(mood.figure(f"{corpus}, one emotion throughout", name))
    return found


def folds(utterances: Sequence[Utterance], checkpoints: Path) -> list[Figure]:
    """EMO-DB by fusions that never heard a fold's speakers: folders ``fold0`` and so on."""
    parts = []
    for folder in sorted(checkpoints.glob("fold[0-9]")):
        own = [one for one in utterances if one.corpus == "EMO-DB" and one.fold == int(folder.name[-1])]
        parts.append(hear(Chain(fusion=folder), own))
    joined = Heard(
        tuple(one for part in parts for one in part.utterances),
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.before_seconds for part in parts]),
    )
    return _conditions(joined, f"EMO-DB, {len(parts)} folds", "bundle, fp32")


def _conditions(heard: Heard, material: str, method: str) -> list[Figure]:
    found = [heard.figure(material, method)]
    late = heard.before_seconds >= HEARD_SECONDS
    found.append(heard.figure(f"{material}, after 10 s", method, late))
    for sex, name in SEXES.items():
        rows = np.array([one.sex == sex for one in heard.utterances])
        found.append(heard.figure(f"{material}, {name}", method, rows))
    return found
