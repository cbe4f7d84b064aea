"""Tensors of weight files by their names, without running anything that a file holds.

Safetensors, torch files of tensors, TorchScript archives (as OpenAI publishes CLIP) and pickled modules (as
EmotiEffNet is published). The latter two hold references to code beside the tensors: these become empty
containers here, nothing is imported or called for them.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from emorec_train.model.hub import WeightsError, short

_NESTED: Final = ("state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema")
"""Keys under which training programs store the weights."""

_PREFIXES: Final = ("module.", "_orig_mod.")
"""Added to every name by torch's wrappers."""

_DTYPES: Final = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def read_tensors(path: Path, name: str) -> dict[str, Tensor]:
    """Tensors by name, on the CPU.

    Args:
        path: The file.
        name: The weights as the user gave them, for errors.

    Raises:
        WeightsError: The file is damaged, or of a form that can't be read without running code.
    """
    try:
        return _plain(_content(path))
    except (pickle.UnpicklingError, RuntimeError, zipfile.BadZipFile) as error:
        raise WeightsError(
            name,
            f"{path} is damaged, or holds code beside tensors, which is never run ({short(error)});"
            " give safetensors",
        ) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, EOFError, SafetensorError) as error:
        raise WeightsError(name, f"{path} can't be read: {short(error)}") from error


def _content(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return load_file(path)
    if zipfile.is_zipfile(path) and _is_torchscript(path):
        return _archive(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError):
        if not zipfile.is_zipfile(path):
            raise
        return _archive(path)


def _is_torchscript(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _plain(content: Any) -> dict[str, Tensor]:
    """The mapping of names to tensors within what a file holds."""
    for key in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    for prefix in _PREFIXES:
        if tensors and all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    if not tensors:
        raise ValueError("it holds no tensors by name")
    return tensors


def _archive(path: Path) -> dict[str, Tensor]:
    """Parameters and buffers of a module that is stored as a whole."""
    with zipfile.ZipFile(path) as archive:
        (entry,) = (name for name in archive.namelist() if re.fullmatch(r"[^/]+/data\.pkl", name))
        with archive.open(entry) as file:
            module = _Reader(file, archive, entry.removesuffix("data.pkl")).load()
    return dict(_tensors(module, ""))


class _Object(dict[str, Any]):
    """Stands for an object of any class: its attributes, and nothing that it could do."""

    def __new__(cls, *_: object, **__: object) -> _Object:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.update(part)


class _Reader(pickle.Unpickler):
    """Unpickler that knows tensors and plain containers, and takes every other class for ``_Object``."""

    def __init__(self, file: IO[bytes], archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(file)
        self._archive, self._folder = archive, folder
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Resolve a reference; nothing is imported."""
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
            return _rebuilt if name == "_rebuild_tensor_v2" else _first
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        return _Object

    def persistent_load(self, reference: Any) -> Tensor:
        """A storage as a flat tensor."""
        _, dtype, key, *_ = reference
        if key not in self._storages:
            content = bytearray(self._archive.read(f"{self._folder}data/{key}"))
            self._storages[key] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0)
        return self._storages[key]


def _rebuilt(storage: Tensor, offset: int, size: Any, stride: Any, *_: object) -> Tensor:
    return torch.as_strided(storage, tuple(size), tuple(stride), offset)


def _first(tensor: Tensor, *_: object) -> Tensor:
    return tensor


def _tensors(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Tensors below a module by their dotted names: of TorchScript, or of a pickled ``nn.Module``."""
    if isinstance(value, Tensor | nn.Parameter):
        yield name, value
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key in ("_parameters", "_buffers", "_modules"):
            yield from _tensors(inner, name)
        elif not str(key).startswith("_"):
            yield from _tensors(inner, f"{name}.{key}" if name else str(key))
