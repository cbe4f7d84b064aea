"""Features of frozen encoders: worker processes decode and crop, this one encodes, the cache keeps them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from emorec_rt.bundle.manifest import Preprocessing
from emorec_train.console import say
from emorec_train.data.source import ClipSource
from emorec_train.features.cache import CacheSettings, FeatureCache, StoredClip, fingerprint_of
from emorec_train.features.cache.settings import Storage
from emorec_train.features.cache.store import storage_of
from emorec_train.features.crops import crop_clips
from emorec_train.features.windows import ClipEncoder, ClipWindows, labelled_windows, with_labels
from emorec_train.model.build import Models


def open_cache(
    folder: Path, spec: Preprocessing, models: Models, *, storage: Storage | None = None, remake: bool = False
) -> FeatureCache:
    """A cache for the features of these encoders, see ``FeatureCache``; ``storage`` as it is, or float32."""
    settings = CacheSettings(
        preprocessing=spec,
        vision=fingerprint_of(models.vision),
        audio=fingerprint_of(models.audio),
        storage=storage or storage_of(folder),
    )
    return FeatureCache(folder, settings, remake=remake)


def extract(
    source: ClipSource, clip_ids: Sequence[str], spec: Preprocessing, models: Models, *, workers: int
) -> list[ClipWindows]:
    """Features of clips, kept in memory. Clips that can't be read are reported and left out."""
    return list(iter_features(source, clip_ids, spec, models, workers=workers))


def iter_features(
    source: ClipSource, clip_ids: Sequence[str], spec: Preprocessing, models: Models, *, workers: int
) -> Iterator[ClipWindows]:
    """The same, one clip in memory at a time."""
    encode = ClipEncoder(spec, models.vision, models.audio)
    with tempfile.TemporaryDirectory(prefix="emorec-train-") as scratch:
        for clip in crop_clips(
            source, clip_ids, spec.vision, Path(scratch), workers=workers, label="features", keep=False
        ):
            own = with_labels(clip.clip_id, encode(clip), clip.truth, clip.frame_times_seconds)
            if _has_windows(own.clip_id, own.labels):
                yield own


def fill_cache(
    cache: FeatureCache,
    source: ClipSource,
    clip_ids: Sequence[str],
    spec: Preprocessing,
    models: Models,
    *,
    workers: int,
) -> int:
    """Add the clips that a cache lacks; returns how many. Clips that can't be read are left out.

    Raises:
        OutputError: The disk is full; what is finished is kept.
        CacheError: Another process is writing to the cache.
    """
    keys = {clip_id: source.fingerprint(clip_id) for clip_id in clip_ids}
    lacking = {key: clip_id for clip_id, key in keys.items() if key not in cache}
    if not lacking:
        return 0
    encode, added = ClipEncoder(spec, models.vision, models.audio), 0
    for clip in crop_clips(
        source,
        list(lacking.values()),
        spec.vision,
        cache.scratch(),
        workers=workers,
        label="features",
        keep=False,
    ):
        windows = encode(clip)
        if _has_windows(clip.clip_id, windows):
            cache.add(keys[clip.clip_id], windows, clip.frame_times_seconds)
            added += 1
    cache.flush()
    return added


def cached_windows(cache: FeatureCache, source: ClipSource, clip_ids: Sequence[str]) -> list[ClipWindows]:
    """The clips that a cache has, with today's labels; their features stay on disk."""
    keys = {clip_id: source.fingerprint(clip_id) for clip_id in clip_ids}
    return [_labelled(clip_id, cache.load(key), source) for clip_id, key in keys.items() if key in cache]


def _labelled(clip_id: str, clip: StoredClip, source: ClipSource) -> ClipWindows:
    spans = list(zip(clip.index.times_seconds, clip.index.spans[:, 1].tolist(), strict=True))
    return labelled_windows(clip_id, clip.windows, spans, source.truth(clip_id), clip.frame_times_seconds)


def _has_windows(clip_id: str, windows: Sequence[object]) -> bool:
    if not windows:
        say(f"{clip_id}: has neither frames nor sound; left out")
    return bool(windows)
