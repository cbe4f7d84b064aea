"""Labelled data sets on disk, all behind one protocol: see ``protocol.DataSet``."""

from __future__ import annotations

from emorec_train.data.datasets.affwild2 import AffWild2
from emorec_train.data.datasets.cremad import CremaD
from emorec_train.data.datasets.disjoint import LeakError, check_disjoint
from emorec_train.data.datasets.folder import ClassFolders
from emorec_train.data.datasets.manifest_csv import ManifestCsv
from emorec_train.data.datasets.meld import Meld
from emorec_train.data.datasets.protocol import DataSet
from emorec_train.data.datasets.ravdess import Ravdess
from emorec_train.data.datasets.record import (
    ClipRecord,
    DatasetError,
    EmptySplitError,
    FrameFolder,
    Problem,
    Scan,
)
from emorec_train.data.datasets.registry import open_data_set
from emorec_train.data.datasets.splits import Fold, assign_splits, deal_fold, k_folds

__all__ = [
    "AffWild2",
    "ClassFolders",
    "ClipRecord",
    "CremaD",
    "DataSet",
    "DatasetError",
    "EmptySplitError",
    "Fold",
    "FrameFolder",
    "LeakError",
    "ManifestCsv",
    "Meld",
    "Problem",
    "Ravdess",
    "Scan",
    "assign_splits",
    "check_disjoint",
    "deal_fold",
    "k_folds",
    "open_data_set",
]
