"""Visual towers of timm with weights of their own: by name, from a file, or from a folder of the hub."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import timm
import torch
from torch import Tensor, nn

from emorec_rt.errors import UsageError
from emorec_train.console import say
from emorec_train.model.config import ModelConfig, TimmConfig
from emorec_train.model.hub import UnavailableError, WeightsError, absent, fetch_command, hub_file, short
from emorec_train.model.tensor_files import read_tensors
from emorec_train.model.vision import VisionEncoder, timm_tower

WEIGHT_FILES: Final = ("model.safetensors", "pytorch_model.bin")
CONFIG_FILE: Final = "config.json"
FORMS: Final = "timm:NAME, timm:NAME@SIZE, timm:NAME=FILE or timm:FOLDER"

State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class TimmWeights:
    """Weights on this machine and the architecture that they belong to.

    Attributes:
        file: Their place.
        revision: Their commit; empty for a local file.
        model: timm's name of the architecture and its options.
        preprocess: timm's ``mean``, ``std``, ``interpolation`` and ``input_size``.
        convert: Renames tensors of another library as timm's.
    """

    file: Path
    revision: str
    model: TimmConfig
    preprocess: dict[str, Any]
    convert: Callable[[State], State] = field(default=lambda state: state)

    @property
    def image_size(self) -> int:
        """Side of the pictures in pixels."""
        return int(self.model.options.get("img_size", self.preprocess["input_size"][-1]))


def find_timm(pretrained: str, revision: str, *, offline: bool) -> TimmWeights:
    """Find weights of a timm model.

    Args:
        pretrained: ``timm:vit_small_patch14_dinov2.lvd142m``, with ``@224`` behind it for another size of the
            pictures, with ``=FILE`` behind it for a file that is here; or ``timm:FOLDER`` as timm saves one.
        revision: Commit of the repository; empty takes the newest.
        offline: Use local files only.

    Raises:
        UsageError: timm has no such model.
        WeightsError: They can't be had; the message says how to fetch them.
    """
    rest = pretrained.removeprefix("timm:")
    folder = Path(rest).expanduser()
    if folder.is_dir():
        return _in_folder(pretrained, folder)
    name, _, given = rest.partition("=")
    name, _, size = name.partition("@")
    known = _configuration(pretrained, name)
    options = _sized(pretrained, known, size)
    model = TimmConfig(name=name, options=options)
    if size and "img_size" not in options:
        known = {**known, "input_size": (3, int(size), int(size))}
    if given:
        file = Path(given).expanduser()
        if not file.is_file():
            raise WeightsError(pretrained, f"there is no file {file}")
        return TimmWeights(file, "", model, known)
    repository = str(known.get("hf_hub_id") or f"timm/{name}")
    try:
        found = hub_file(repository, WEIGHT_FILES, revision, offline=offline)
    except UnavailableError as error:
        command = fetch_command(repository, (WEIGHT_FILES[0],), revision, "DIR")
        option = f"--vision timm:{name}=DIR/{WEIGHT_FILES[0]}"
        raise absent(pretrained, error, command, "DIR", option) from error
    return TimmWeights(found.path, found.revision, model, known)


def _configuration(pretrained: str, name: str) -> dict[str, Any]:
    """Timm's configuration of published weights."""
    known = timm.models.get_pretrained_cfg(name) if timm.is_model(name) else None
    if known is None:
        near = ", ".join(timm.list_models(f"*{name.partition('.')[0][:12]}*")[:3])
        hint = f"; near it are {near}" if near else ""
        raise UsageError(f"vision weights {pretrained!r}: timm has no model {name}{hint}; give {FORMS}")
    return dict(known.to_dict())  # type: ignore[no-untyped-call]


def _sized(pretrained: str, known: dict[str, Any], size: str) -> dict[str, Any]:
    """Option that makes an architecture of a fixed size take pictures of another one."""
    if size and not size.isdecimal():
        raise UsageError(f"vision weights {pretrained!r}: @{size} is not a size in pixels, as in @224")
    return {"img_size": int(size)} if size and known.get("fixed_input_size") else {}


def _in_folder(pretrained: str, folder: Path) -> TimmWeights:
    files = [folder / name for name in WEIGHT_FILES if (folder / name).is_file()]
    try:
        content = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        name, own = str(content["architecture"]), dict(content.get("pretrained_cfg") or content)
        options = dict(content.get("model_args") or {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(pretrained, f"{folder / CONFIG_FILE} is not a configuration of timm") from error
    if not files:
        raise WeightsError(pretrained, f"{folder} holds none of {', '.join(WEIGHT_FILES)}")
    known = {**_configuration(pretrained, name), **own}
    return TimmWeights(files[0], "", TimmConfig(name=name, options=options), known)


def adopt_timm(config: ModelConfig, weights: TimmWeights) -> ModelConfig:
    """The configuration with the architecture and preprocessing of these weights.

    Text guidance stays where ``text.pretrained`` names a text tower of its own; a line says so otherwise.

    Raises:
        WeightsError: The model can't be built, or takes other pictures.
    """
    name, size = config.vision.pretrained, weights.image_size
    try:
        width: Any = timm_tower(weights.model).num_features
        interpolation = weights.preprocess.get("interpolation")
        preprocess = {
            "mean": tuple(weights.preprocess["mean"]),
            "std": tuple(weights.preprocess["std"]),
            "interpolation": interpolation if interpolation in ("bilinear", "bicubic") else "bilinear",
            "crop_size": size,
            "embedding_dim": int(width),
        }
        spec = msgspec.convert(
            msgspec.to_builtins(config.preprocessing.vision) | preprocess, type(config.preprocessing.vision)
        )
    except Exception as error:
        raise WeightsError(name, f"timm can't build {weights.model.name}: {short(error)}") from error
    replace = msgspec.structs.replace
    vision = replace(
        config.vision,
        revision=weights.revision or config.vision.revision,
        image_size=size,
        embed_dim=int(width),
        timm=weights.model,
        extra={},
    )
    text = config.text
    if text is not None and not text.pretrained:
        say(
            f"{name}: has no text tower, so there is no text guidance;"
            " --set model.text.pretrained=ViT-B-32:openai takes CLIP's"
        )
        text = None
    preprocessing = replace(config.preprocessing, vision=spec)
    return replace(config, vision=vision, text=text, preprocessing=preprocessing)


def load_timm(weights: TimmWeights, pretrained: str, vision: VisionEncoder) -> None:
    """Fill the tower, by timm's own renaming and resizing of what is stored.

    Raises:
        WeightsError: The file is damaged, or belongs to another architecture.
    """
    state, tower = weights.convert(read_tensors(weights.file, pretrained)), vision.visual
    source = {**weights.preprocess, "state_dict": state, "custom_load": False, "source": ""}
    own = tower.state_dict()
    for tensor in own.values():
        if tensor.is_floating_point():
            tensor.fill_(torch.nan)  # what the file lacks stays so
    try:
        with _quiet():
            timm.models.load_pretrained(tower, source, num_classes=0, filter_fn=_renaming(tower))
    except Exception as error:
        reason = f"{weights.file} doesn't fit {weights.model.name}: {short(error)}"
        raise WeightsError(pretrained, reason) from error
    lacking = [key for key, tensor in own.items() if bool(tensor.isnan().any())]
    if lacking:
        raise WeightsError(
            pretrained,
            f"{weights.file} lacks {len(lacking)} weights of {weights.model.name}: {lacking[0]}, ...",
        )


def _renaming(tower: nn.Module) -> Any:
    """Timm's function that renames stored tensors of older forms; ``None`` where an architecture has none."""
    return getattr(sys.modules[type(tower).__module__], "checkpoint_filter_fn", None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep timm from warning about a classifier that isn't taken."""
    logger = logging.getLogger("timm.models._builder")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
