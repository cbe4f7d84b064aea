"""Features of frozen encoders on disk: made once, mapped into memory by every training after that.

cache/
  settings.json            what shaped the features; a cache of other settings is refused
  media.json               hashes of media files, by path, size and time of change
  shards/<name>/           a few minutes of clips; appears whole or not at all
    shard.json             the clips in it, and a checksum of each file
    features.npy           rows of frame embeddings and audio tokens, mapped when they are needed
    windows.npz            which rows make which window
"""

from __future__ import annotations

from emorec_train.features.cache.rows import StoredClip
from emorec_train.features.cache.settings import CacheSettings, fingerprint_of
from emorec_train.features.cache.store import CacheError, FeatureCache

__all__ = ["CacheError", "CacheSettings", "FeatureCache", "StoredClip", "fingerprint_of"]
