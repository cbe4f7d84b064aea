"""Batches of still pictures, drawn by class frequency, on the device that trains.

Shapes: ``N`` pictures, ``B`` of a batch, ``S`` side, ``K`` channels, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from emorec_train.data.pictures.types import PictureSet, as_grey, as_rgb

STRONGEST_JPEG, WEAKEST_JPEG = 15, 60
"""Range of JPEG qualities of the compressed copies."""


@dataclass(frozen=True, slots=True)
class StillBatches:
    """All training pictures, and how likely each is drawn.

    Attributes:
        pixels: uint8 ``[N, K, S, S]``.
        compressed: The same with strong JPEG compression.
        targets: float32 ``[N, C]``.
        chances: float32 ``[N]``.
        epoch_pictures: How many are drawn in an epoch.
    """

    pixels: Tensor
    compressed: Tensor
    targets: Tensor
    chances: Tensor
    epoch_pictures: int

    def order(self, generator: Generator) -> Tensor:
        """Pictures of one epoch, int64 ``[epoch_pictures]``."""
        return torch.multinomial(self.chances, self.epoch_pictures, replacement=True, generator=generator)

    def crops(self, index: Tensor, compressed_share: float, generator: Generator) -> Tensor:
        """Pictures by their numbers ``[B]``, some compressed, float32 ``[B, K, S, S]`` from 0 to 1."""
        draw = torch.rand(len(index), generator=generator, device=index.device)
        strong = (draw < compressed_share).view(-1, 1, 1, 1)
        return torch.where(strong, self.compressed[index], self.pixels[index]).float() / 255.0


def still_batches(
    sets: Sequence[PictureSet], *, balance: float, grey: bool, seed: int, device: torch.device
) -> StillBatches:
    """Put the training pictures of all sets together.

    Args:
        sets: Data sets; an epoch has as many pictures as the first one.
        balance: Power of the class frequency by which pictures are drawn less, see ``StillSettings``.
        grey: Make everything grey; otherwise everything has three channels.
        seed: Of the qualities of compression.
        device: Where the pictures are kept.
    """
    channels = as_grey if grey else as_rgb
    pixels = np.concatenate([channels(one.train.pixels) for one in sets])
    targets = np.concatenate([one.train.targets for one in sets])
    weights = np.concatenate([np.full(len(one.train), one.weight) for one in sets])
    return StillBatches(
        _channels_first(pixels).to(device),
        _channels_first(jpeg_copies(pixels, seed)).to(device),
        torch.from_numpy(targets).to(device),
        torch.from_numpy(chances(targets, weights, balance)).to(device),
        len(sets[0].train),
    )


def chances(
    targets: NDArray[np.float32], weights: NDArray[np.float64], balance: float
) -> NDArray[np.float32]:
    """Probability of each picture, ``[N]``: its weight over a power of its class's frequency."""
    labels = targets.argmax(axis=1)
    counts = np.bincount(labels, weights, minlength=targets.shape[1])
    return np.asarray(weights * np.maximum(counts, 1e-9)[labels] ** -balance, np.float32)


def jpeg_copies(pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Each picture compressed and decoded, with a quality of its own."""
    qualities = np.random.default_rng(seed).integers(STRONGEST_JPEG, WEAKEST_JPEG, len(pixels))
    with ThreadPoolExecutor() as threads:
        copies = threads.map(_compressed, pixels, qualities.tolist(), chunksize=256)
        return np.stack(list(copies)) if len(pixels) else pixels


def _compressed(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8)


def _channels_first(pixels: NDArray[np.uint8]) -> Tensor:
    tensor = torch.from_numpy(pixels)
    return tensor[:, None] if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2).contiguous()
