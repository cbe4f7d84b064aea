"""Files of CLIP weights that open_clip knows: of a tag, a file, a folder or a repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import open_clip
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.pretrained import get_pretrained_cfg
from torch import Tensor

from emorec_rt.errors import UsageError
from emorec_train.model.hub import (
    OFFLINE,
    HubFile,
    UnavailableError,
    WeightsError,
    absent,
    fetch_command,
    hub_file,
    short,
)

WEIGHT_FILES: Final = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
CONFIG_FILE: Final = "open_clip_config.json"
FORMS: Final = (
    "MODEL:TAG, MODEL:TAG=FILE, MODEL:FILE, local-dir:FOLDER or hf-hub:REPOSITORY for open_clip,"
    " transformers:ID or transformers:FOLDER for CLIP and SigLIP, timm:NAME for any model of timm"
)


@dataclass(frozen=True, slots=True)
class ClipWeights:
    """Weights on this machine and what is known about them.

    Attributes:
        file: Where they are.
        revision: Their commit; empty for a local file.
        model: open_clip's configuration of the model.
        preprocess: Mean, standard deviation and interpolation of its pictures.
        note: What had to be assumed about them; empty if nothing.
        convert: Renames tensors of another library as open_clip's.
    """

    file: Path
    revision: str
    model: dict[str, Any]
    preprocess: dict[str, Any]
    note: str = ""
    convert: Callable[[dict[str, Tensor]], dict[str, Tensor]] = field(default=lambda state: state)

    @property
    def mean(self) -> tuple[float, ...]:
        """Of each channel, in [0, 1]."""
        return tuple(self.preprocess.get("mean") or OPENAI_DATASET_MEAN)

    @property
    def std(self) -> tuple[float, ...]:
        """Of each channel, in [0, 1]."""
        return tuple(self.preprocess.get("std") or OPENAI_DATASET_STD)

    @property
    def interpolation(self) -> str:
        """``bilinear`` or ``bicubic``."""
        name = self.preprocess.get("interpolation") or "bicubic"
        return name if name in ("bilinear", "bicubic") else "bilinear"

    @property
    def quick_gelu(self) -> bool:
        """True for OpenAI's activation."""
        return bool(self.model.get("quick_gelu", False))

    @property
    def traits(self) -> str:
        """Properties that the tensors don't show, in words."""
        mean, std = (" ".join(f"{value:.3g}" for value in values) for values in (self.mean, self.std))
        gelu = "quick GELU" if self.quick_gelu else "plain GELU"
        return f"{gelu}, mean {mean}, standard deviation {std}, {self.interpolation}"


def find_clip(pretrained: str, revision: str, *, offline: bool) -> ClipWeights:
    """Find CLIP weights.

    Args:
        pretrained: ``ViT-B-32:openai``, ``ViT-B-32:openai=/path/file`` (the tag's weights, from a file),
            ``ViT-B-32:/path/file``, ``local-dir:/path`` or ``hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K``.
            A configuration beside a file of no tag wins over the model's name.
        revision: Commit of the repository; empty takes the newest.
        offline: Don't touch the network.

    Raises:
        UsageError: open_clip knows no such model or tag.
        WeightsError: They can't be had; the message says how to fetch them.
    """
    name, colon, rest = pretrained.partition(":")
    if not colon or not rest:
        raise UsageError(f"vision weights {pretrained!r}: give {FORMS}")
    if name == "local-dir":
        return _folder(pretrained, Path(rest).expanduser())
    if name == "hf-hub":
        return _repository(pretrained, rest, revision, offline)
    if open_clip.get_model_config(name) is None:
        raise UsageError(f"vision weights {pretrained!r}: open_clip knows no model {name}; give {FORMS}")
    tag, equals, file = rest.partition("=")
    if not get_pretrained_cfg(name, tag):
        return _untagged(pretrained, name, Path(rest).expanduser())
    found = _given(pretrained, file) if equals else _published(pretrained, name, tag, revision, offline)
    return _as_tagged(name, tag, found)


def _as_tagged(name: str, tag: str, found: HubFile) -> ClipWeights:
    known: dict[str, Any] = get_pretrained_cfg(name, tag)
    model = {**(open_clip.get_model_config(name) or {}), "quick_gelu": bool(known.get("quick_gelu", False))}
    return ClipWeights(found.path, found.revision, model, known)


def _given(pretrained: str, file: str) -> HubFile:
    path = Path(file).expanduser()
    if not path.is_file():
        raise WeightsError(pretrained, f"there is no file {path}")
    return HubFile(path, "")


def _untagged(pretrained: str, name: str, file: Path) -> ClipWeights:
    tags = open_clip.list_pretrained_tags_by_model(name)
    if not file.is_file():
        raise UsageError(
            f"vision weights {pretrained!r}: {file} is neither a file nor a tag of {name}"
            f" ({', '.join(tags) or 'none'})"
        )
    beside = file.parent / CONFIG_FILE
    if beside.is_file():
        return _with_config(pretrained, file, "", beside)
    return _assumed(name, file, tags)


def _assumed(name: str, file: Path, tags: list[str]) -> ClipWeights:
    """A file of which only the architecture is known: what all its published weights agree on is taken."""
    own = ClipWeights(file, "", dict(open_clip.get_model_config(name) or {}), {})
    published = {tag: _as_tagged(name, tag, HubFile(file, "")) for tag in tags}
    traits = {weights.traits for weights in published.values()}
    taken = published[tags[0]] if len(traits) == 1 else own
    if traits <= {own.traits}:
        return own
    other = next((tag for tag in tags if published[tag].traits != taken.traits), tags[0])
    note = (
        f"note: weights {name}:{file}: nothing says how they were trained, so {taken.traits} are assumed;"
        f" for those of a tag, name it, as in --vision {name}:{other}={file}"
    )
    return ClipWeights(file, "", taken.model, taken.preprocess, note)


def _folder(pretrained: str, folder: Path) -> ClipWeights:
    files = [folder / name for name in WEIGHT_FILES if (folder / name).is_file()]
    if not files or not (folder / CONFIG_FILE).is_file():
        raise WeightsError(pretrained, f"{folder} must hold {CONFIG_FILE} and {' or '.join(WEIGHT_FILES)}")
    return _with_config(pretrained, files[0], "", folder / CONFIG_FILE)


def _repository(pretrained: str, repository: str, revision: str, offline: bool) -> ClipWeights:
    try:
        config = hub_file(repository, (CONFIG_FILE,), revision, offline=offline)
        file = hub_file(repository, WEIGHT_FILES, revision or config.revision, offline=offline)
    except UnavailableError as error:
        command = fetch_command(repository, (CONFIG_FILE, WEIGHT_FILES[0]), revision, "DIR")
        raise absent(pretrained, error, command, "DIR", "--vision local-dir:DIR") from error
    return _with_config(pretrained, file.path, file.revision, config.path)


def _published(pretrained: str, name: str, tag: str, revision: str, offline: bool) -> HubFile:
    """The file of a tag."""
    known = get_pretrained_cfg(name, tag)
    repository, _, file = str(known.get("hf_hub") or "").rpartition("/")
    address = str(known.get("url") or "")
    names = _alternatives(file) if file else WEIGHT_FILES
    try:
        if repository:
            return hub_file(repository, names, revision, offline=offline)
        return _from_address(address, offline)
    except UnavailableError as error:
        wanted = file or WEIGHT_FILES[0]
        command, made, path = f"curl -LO {address}", Path(address).name, Path(address).name
        if repository:
            command = fetch_command(repository, (wanted,), revision, "DIR")
            made, path = "DIR", f"DIR/{wanted}"
        raise absent(pretrained, error, command, made, f"--vision {name}:{tag}={path}") from error


def _alternatives(name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((str(Path(name).with_suffix(".safetensors")), name)))


def _from_address(address: str, offline: bool) -> HubFile:
    kept = Path("~/.cache/clip").expanduser() / Path(address).name
    if offline and not kept.is_file():
        raise UnavailableError(OFFLINE)
    try:
        return HubFile(kept if offline else Path(open_clip.download_pretrained_from_url(address)), "")
    except (OSError, RuntimeError) as error:
        raise UnavailableError(f"can't be had: {short(error)}") from error


def _with_config(pretrained: str, file: Path, revision: str, config: Path) -> ClipWeights:
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
        return ClipWeights(file, revision, content["model_cfg"], content.get("preprocess_cfg") or {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(pretrained, f"{config} is not a configuration of open_clip: {error!r}") from error
