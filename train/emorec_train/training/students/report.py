"""Students beside their teacher, on clips that neither the towers nor the fusion have learnt from."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emorec_rt.constants import TOKEN_RATE_HZ
from emorec_train.data.labels import IGNORED
from emorec_train.evaluation.stitched import StitchedClip, score_clips
from emorec_train.model.student_towers import gmacs
from emorec_train.training.students.embeddings import Lesson

FRAMES: Final = 8
"""Crops of a batch whose time is taken."""

FRAME_RATE_HZ: Final = 25.0
REPEATS: Final = 5
MIB: Final = 2**20


class Tower(msgspec.Struct, frozen=True, kw_only=True):
    """One tower of the student beside the teacher's.

    Attributes:
        cosine: Mean cosine of standardised embeddings on held-out clips.
        student_gmacs: Billions of multiply-adds for a frame, or for a second of sound.
        teacher_gmacs: The teacher's.
        student_ms: Milliseconds for the same, in PyTorch on this machine, as many threads as torch has.
        teacher_ms: The teacher's, in turn with the student's.
        student_mib: Weights in FP32.
        teacher_mib: The teacher's.
    """

    cosine: float
    student_gmacs: float
    teacher_gmacs: float
    student_ms: float
    teacher_ms: float
    student_mib: float
    teacher_mib: float


class StudentReport(msgspec.Struct, frozen=True, kw_only=True):
    """Comparison of a student and its teacher.

    Attributes:
        clips: Held-out clips.
        agreement: Share of their steps with the teacher's label.
        macro_f1: Of the student, where the clips have labels.
        teacher_macro_f1: Of the teacher, likewise.
        speedup: Time of the teacher's towers for a second of video with sound over the student's.
        visual: The visual tower.
        audio: The sound tower; ``None`` where no clip has sound.
    """

    clips: int
    agreement: float
    macro_f1: float | None
    teacher_macro_f1: float | None
    speedup: float
    visual: Tower | None
    audio: Tower | None

    def lines(self) -> str:
        """A table for a person."""
        rows = [f"{'':10}{'cosine':>8}{'GMAC':>16}{'ms':>18}{'MiB':>16}"]
        for name, unit, tower in (("visual", "frame", self.visual), ("sound", "second", self.audio)):
            if tower is not None:
                rows.append(
                    f"{name:10}{tower.cosine:8.3f}"
                    f"{tower.student_gmacs:8.2f} /{tower.teacher_gmacs:6.2f}"
                    f"{tower.student_ms:10.2f} /{tower.teacher_ms:6.1f}"
                    f"{tower.student_mib:9.1f} /{tower.teacher_mib:5.0f}  a {unit}, student / teacher"
                )
        rows.append(
            f"same label as the teacher: {self.agreement:.1%} of the steps of {self.clips} held-out clips"
        )
        if self.macro_f1 is not None:
            rows.append(f"macro F1: student {self.macro_f1:.3f}, teacher {self.teacher_macro_f1:.3f}")
        rows.append(f"towers: {self.speedup:.1f} times as fast")
        return "\n".join(rows)


def compare_towers(
    student: nn.Module, teacher: nn.Module, lesson: Lesson, large: Tensor, unit_seconds: float
) -> Tower:
    """Compare two towers.

    Args:
        student: The small one.
        teacher: The large one.
        lesson: Held-out inputs of the student, and the teacher's embeddings.
        large: The teacher's own inputs, some of them; the student's are taken from ``lesson``.
        unit_seconds: Length of one input in frames or seconds of sound.
    """
    small = lesson.inputs[: len(large)]
    inputs = len(large) * unit_seconds
    times = in_turn([lambda: student(small), lambda: teacher(large)])
    return Tower(
        cosine=_cosine(student, lesson),
        student_gmacs=gmacs(student, small) / inputs,
        teacher_gmacs=gmacs(teacher, large) / inputs,
        student_ms=1000.0 * times[0] / inputs,
        teacher_ms=1000.0 * times[1] / inputs,
        student_mib=_mib(student),
        teacher_mib=_mib(teacher),
    )


def chunk_seconds(tokens: int) -> float:
    """Sound that a chunk of so many tokens covers, in seconds."""
    return tokens / TOKEN_RATE_HZ


def speedup(visual: Tower | None, audio: Tower | None) -> float:
    """Time of the teacher's towers for a second of video with sound over the student's."""
    student = teacher = 0.0
    for tower, rate in ((visual, FRAME_RATE_HZ), (audio, 1.0)):
        if tower is not None:
            student += rate * tower.student_ms
            teacher += rate * tower.teacher_ms
    return teacher / student


def agreement(student: Sequence[StitchedClip], teacher: Sequence[StitchedClip]) -> float:
    """Share of all steps on which both say the same."""
    same = [
        own.logits.argmax(1) == other.logits.argmax(1) for own, other in zip(student, teacher, strict=True)
    ]
    return float(np.concatenate(same).mean())


def macro_f1(clips: Sequence[StitchedClip], labels: Sequence[str]) -> float | None:
    """Of clips that have labels; ``None`` where none has."""
    if not any((clip.labels != IGNORED).any() for clip in clips):
        return None
    return score_clips(clips, labels).macro_f1


@torch.inference_mode()
def _cosine(student: nn.Module, lesson: Lesson) -> float:
    """Mean over all real embeddings, standardised by the teacher's."""
    said = torch.cat([student(part) for part in torch.split(lesson.inputs, FRAMES)])[lesson.real]
    meant = lesson.known()
    mean, deviation = meant.mean(dim=0), meant.std(dim=0).clamp(min=1e-6)
    return float(F.cosine_similarity((said - mean) / deviation, (meant - mean) / deviation, dim=-1).mean())


@torch.inference_mode()
def in_turn(passes: Sequence[Callable[[], object]]) -> list[float]:
    """Median seconds of each, taken in turn after a first one."""
    taken: list[list[float]] = [[] for _ in passes]
    for repeat in range(REPEATS + 1):
        for own, one in zip(taken, passes, strict=True):
            begun = time.perf_counter()
            one()
            if repeat:
                own.append(time.perf_counter() - begun)
    return [float(np.median(own)) for own in taken]


def _mib(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) * 4 / MIB
