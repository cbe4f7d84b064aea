from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from emorec_rt.constants import EXPRESSIONS
from emorec_train.data.datasets import (
    ClipRecord,
    DatasetError,
    LeakError,
    assign_splits,
    check_disjoint,
    deal_fold,
    k_folds,
)
from emorec_train.data.datasets.disjoint import sound_hash
from emorec_train.data.datasets.record import FrameFolder
from emorec_train.data.synthetic import SPLITS

from .conftest import tone

SOUND = Path("sound.wav")


def clip(clip_id: str, speaker: str | None, label: str | None = "Neutral", sound: Path = SOUND) -> ClipRecord:
    return ClipRecord(clip_id, speaker=speaker, label=label, sound=sound)


@st.composite
def record_lists(draw: st.DrawFn) -> list[ClipRecord]:
    rows = draw(
        st.lists(st.tuples(st.integers(0, 9), st.sampled_from((*EXPRESSIONS, None))), min_size=6, max_size=60)
    )
    return [clip(f"{index:03d}", f"s{speaker}", label) for index, (speaker, label) in enumerate(rows)]


@settings(deadline=None)
@given(record_lists(), st.integers(0, 5), st.randoms())
def test_splits_share_no_speaker_and_order_plays_no_part(
    records: list[ClipRecord], seed: int, random: object
) -> None:
    if len({record.group for record in records}) < 3:
        with pytest.raises(DatasetError, match="can't be put into 3 parts"):
            assign_splits(records, seed=seed)
        return
    divided = assign_splits(records, seed=seed)
    assert [record.clip_id for record in divided] == [record.clip_id for record in records]
    homes = {(record.speaker, record.split) for record in divided}
    assert len(homes) == len({record.speaker for record in records})
    assert {record.split for record in divided} == {"train", "validation", "test"}
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = assign_splits(shuffled, seed=seed)
    assert [(r.clip_id, r.split) for r in again] == [(r.clip_id, r.split) for r in divided]


@settings(deadline=None)
@given(record_lists(), st.integers(2, 5))
def test_folds_cover_everything_once(records: list[ClipRecord], k: int) -> None:
    if len({record.group for record in records}) < k:
        with pytest.raises(DatasetError, match=f"into {k} parts"):
            k_folds(records, k)
        return
    folds = k_folds(records, k)
    held_out = Counter(record.clip_id for fold in folds for record in fold.validation)
    assert held_out == Counter(record.clip_id for record in records)
    for fold in folds:
        assert fold.validation
        assert len(fold.train) + len(fold.validation) == len(records)
        assert not {r.group for r in fold.train} & {r.group for r in fold.validation}


def spread(parts: list[list[int]]) -> float:
    """How uneven classes are over parts: the sum over classes of the variance of their shares."""
    counts = np.array([np.bincount(part, minlength=len(EXPRESSIONS)) for part in parts], float)
    return float((counts / counts.sum(axis=0)).var(axis=0).sum())


def test_folds_are_about_as_even_as_scikit_learns() -> None:
    ours, theirs = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        speakers = rng.integers(0, 30, 600)
        labels = rng.choice(8, 600, p=np.array([30, 5, 3, 3, 20, 12, 7, 20]) / 100)
        records = [
            clip(f"{i:04d}", f"s{s:02d}", EXPRESSIONS[y])
            for i, (s, y) in enumerate(zip(speakers, labels, strict=True))
        ]
        folds = k_folds(records, 5, seed=seed)
        ours.append(spread([[EXPRESSIONS.index(r.label or "") for r in f.validation] for f in folds]))
        reference = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        theirs.append(spread([labels[i].tolist() for _, i in reference.split(labels, labels, speakers)]))
    assert np.mean(ours) < 1.05 * np.mean(theirs)


def test_a_seed_changes_the_splits() -> None:
    records = [clip(f"{n:02d}", f"s{n:02d}") for n in range(20)]
    splits = {tuple(record.split for record in assign_splits(records, seed=seed)) for seed in range(5)}
    assert len(splits) == 5
    assert all(split.count("train") == 14 for split in splits)


def test_clips_without_a_speaker_stand_alone() -> None:
    divided = assign_splits([clip(str(n), None) for n in range(9)])
    assert {record.split for record in divided} == {"train", "validation", "test"}


@settings(deadline=None)
@given(record_lists(), st.integers(3, 5))
def test_over_all_folds_each_clip_is_tested_once(records: list[ClipRecord], k: int) -> None:
    if len({record.group for record in records}) < k:
        return
    tested: Counter[str] = Counter()
    for fold in range(1, k + 1):
        divided = deal_fold(records, fold, k)
        assert [record.clip_id for record in divided] == sorted(record.clip_id for record in records)
        groups = {split: {r.group for r in divided if r.split == split} for split in SPLITS}
        assert all(groups.values())
        assert sum(map(len, groups.values())) == len({record.group for record in records})
        tested.update(record.clip_id for record in divided if record.split == "test")
    assert tested == Counter(record.clip_id for record in records)


def test_one_fold_is_refused() -> None:
    with pytest.raises(DatasetError, match="1 folds are not a cross-validation"):
        k_folds([clip("a", "s")], 1)


def test_a_shared_speaker_is_a_leak() -> None:
    splits = {"train": [clip("a", "x"), clip("b", "y")], "test": [clip("c", "x"), clip("d", "y")]}
    with pytest.raises(LeakError) as caught:
        check_disjoint(splits, sound=False)
    assert str(caught.value) == "splits: speaker x is in train (a) and test (c); 1 more"
    check_disjoint({"train": splits["train"], "test": [clip("e", "z")]}, sound=False)


def test_ravdess_modalities_are_one_utterance() -> None:
    seen = ClipRecord("a", speaker="1", label="Fear", video=Path("v/01-01-06-01-02-01-12.mp4"))
    heard = ClipRecord("b", speaker="2", label="Fear", sound=Path("a/03-01-06-01-02-01-12.wav"))
    with pytest.raises(LeakError, match="RAVDESS utterance 01-06-01-02-01-12 is in train"):
        check_disjoint({"train": [seen], "validation": [heard]}, sound=False)


def test_the_same_sound_in_another_container_is_a_leak(
    write_wave: Callable[[str, np.ndarray], Path], write_sound: Callable[[str, np.ndarray, str], Path]
) -> None:
    one = clip("one", "a", sound=write_wave("one.wav", tone(1)))
    copy = clip("copy", "b", sound=write_sound("copy.flac", tone(1), "flac"))
    other = clip("other", "c", sound=write_wave("other.wav", tone(2)))
    check_disjoint({"train": [one], "test": [other]})
    check_disjoint({"train": [one, copy], "test": [other]})
    with pytest.raises(LeakError, match=r"sound [0-9a-f]{12} is in train \(one\) and test \(copy\)"):
        check_disjoint({"train": [one], "test": [other, copy]})


def test_silence_and_unreadable_files_are_nobodys_sound(
    write_wave: Callable[[str, np.ndarray], Path], tmp_path: Path
) -> None:
    silent = [clip(name, name, sound=write_wave(f"{name}.wav", 0 * tone(0))) for name in "ab"]
    check_disjoint({"train": silent[:1], "test": silent[1:]})
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    assert sound_hash(broken) is None


def test_real_sounds(media_root: Path) -> None:
    files = sorted((media_root / "labelled" / "ravdess").glob("*.wav"))[:6]
    hashes = [sound_hash(path) for path in files]
    assert len({*hashes}) == len(files)
    assert None not in hashes


def test_a_record_is_checked() -> None:
    with pytest.raises(ValueError, match="'happy' is not one of"):
        clip("a", "x", "happy")
    with pytest.raises(ValueError, match="neither a picture nor sound"):
        ClipRecord("a")
    with pytest.raises(ValueError, match="as a whole and labels for its frames"):
        ClipRecord("a", label="Fear", frame_labels=np.zeros(3, np.int64), sound=SOUND)


def test_found_frames_end_where_asked() -> None:
    folder = FrameFolder(Path("x"), np.array([1, 3, 9]))
    assert folder.found(4).tolist() == [True, False, True, False]
    assert folder.file(12).name == "00012.jpg"
