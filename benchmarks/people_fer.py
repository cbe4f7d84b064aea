"""Expressions of the package ``fer`` for crops: what benchmarks/people.py calls, with that package's Python.

    PYTHON people_fer.py CROPS.npy

Prints a JSON object of labels and probabilities.
"""

import json
import sys

import cv2
import numpy as np
from fer.fer import FER  # type: ignore[import-not-found]  # in an environment of its own

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SIDE = 480
"""fer adds 10 pixels around a face, whatever its size: hardly any at this one."""

recogniser = FER()
rows = []
for crop in np.load(sys.argv[1]):
    picture = cv2.resize(crop[..., ::-1], (SIDE, SIDE))
    (face,) = recogniser.detect_emotions(picture, face_rectangles=[(0, 0, SIDE, SIDE)])
    rows.append([face["emotions"][label] for label in LABELS])
sys.stdout.write(json.dumps({"labels": LABELS, "rows": rows}))
