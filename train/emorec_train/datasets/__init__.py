"""Labelled data sets on disk, all behind one protocol: see ``protocol.DataSet``."""

from __future__ import annotations

from emorec_train.datasets.affwild2 import AffWild2
from emorec_train.datasets.cremad import CremaD
from emorec_train.datasets.disjoint import LeakError, check_disjoint
from emorec_train.datasets.folder import ClassFolders
from emorec_train.datasets.manifest_csv import ManifestCsv
from emorec_train.datasets.meld import Meld
from emorec_train.datasets.opening import open_data_set
from emorec_train.datasets.protocol import (
    ClipRecord,
    DataSet,
    DatasetError,
    EmptySplitError,
    FrameFolder,
    Problem,
    Scan,
)
from emorec_train.datasets.ravdess import Ravdess
from emorec_train.datasets.splits import Fold, assign_splits, deal_fold, k_folds

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
