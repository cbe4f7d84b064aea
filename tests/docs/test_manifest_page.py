"""docs/manifest.md has every field of ``manifest.json``, with its type, bounds and default."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

from emorec_rt.bundle import manifest, tasks
from pages import ROOT, rows, section

PAGE = ROOT / "docs" / "manifest.md"
STRUCTS = [
    struct
    for struct in vars(manifest).values()
    if isinstance(struct, type)
    and issubclass(struct, msgspec.Struct)
    and struct.__module__ in {manifest.__name__, tasks.__name__}
    and not struct.__name__.startswith("_")
]
SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def described(hint: Any) -> str:
    """A field's type as the page writes it."""
    if hint is msgspec.UnsetType:
        return "left out"
    if hint is tasks.ActionUnit:
        return "action unit"
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = [text for meta in hint.__metadata__ for text in _bounds(meta)]
        return described(arguments[0]) + (f" ({', '.join(bounds)})" if bounds else "")
    if origin is Literal:
        return " or ".join(msgspec.json.encode(value).decode() for value in arguments)
    if origin in (types.UnionType, Union):
        return " or ".join(described(argument) for argument in arguments)
    if origin is tuple:
        items = arguments[:1] if arguments[-1] is Ellipsis else arguments
        count = "" if Ellipsis in arguments else f"{len(items)} x "
        return f"list of {count}{described(items[0])}"
    if origin is dict:
        return "object" if arguments[1] is Any else f"object of {described(arguments[1])}"
    if hint is type(None):
        return "null"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return {int: "integer", float: "number", str: "text", bool: "true or false"}[hint]


def _bounds(meta: msgspec.Meta) -> list[str]:
    texts = [
        f"{sign} {value:g}" for name, sign in SIGNS.items() if (value := getattr(meta, name)) is not None
    ]
    if meta.max_length is not None:
        texts.append(f"at most {meta.max_length} characters")
    if meta.min_length is not None and meta.min_length > 1:
        texts.append(f"at least {meta.min_length}")
    return texts


def expected(struct: type[msgspec.Struct]) -> list[list[str]]:
    """Field, type, default."""
    hints = get_type_hints(struct, include_extras=True)
    found = []
    for field in msgspec.structs.fields(struct):
        required = field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
        default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory
        if default is msgspec.UNSET:
            found.append([f"`{field.name}`", described(hints[field.name]), "left out"])
            continue
        text = (
            msgspec.json.encode(default() if callable(default) else default).decode() if not required else ""
        )
        found.append([f"`{field.name}`", described(hints[field.name]), f"`{text}`" if text else "required"])
    return found


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_field_is_there(struct: type[msgspec.Struct]) -> None:
    table = rows(section(PAGE, struct.__name__))
    assert [row[:3] for row in table] == expected(struct), "docs/manifest.md, expected field, type, default"
    assert all(row[3] for row in table), "every field has a meaning"


def test_version_precisions_and_graphs() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"schema version {manifest.SCHEMA_VERSION}, and {manifest.TASKS_VERSION}" in text
    for precision in get_args(manifest.Precision):
        assert f"`{precision}`" in text


def test_tensors_of_the_graphs() -> None:
    """The table of tensors is what the runtime demands, with letters for the manifest's numbers."""
    spec = manifest.Preprocessing(
        grid=manifest.Grid(),
        window=manifest.Window(steps=7001, stride=1, tokens_per_step=2),
        vision=manifest.Vision(crop_size=7003, mean=(0, 0, 0), std=(1, 1, 1), embedding_dim=7005),
        audio=manifest.Audio(embedding_dim=7007, chunk_tokens=7009),
    )
    letters = {
        -1: "B",
        7001: "T",
        14002: "S",
        7003: "side",
        7005: "Dv",
        7007: "Da",
        7009: "chunk",
        7011: "C",
        2: "2",
        len(tasks.ACTION_UNITS): "A",
        3: "3",
    }
    letters[spec.audio.chunk_samples] = "N"
    every = tasks.Tasks(valence_arousal=True, action_units=tasks.ACTION_UNITS)
    wanted = [
        [
            f"`{graph}`",
            kind,
            f"`{tensor.name}`",
            tensor.dtype,
            f"[{', '.join(letters[n] for n in tensor.shape)}]",
        ]
        for graph, (inputs, outputs) in manifest.expected_tensors(spec, 7011, every).items()
        for kind, tensors in (("input", inputs), ("output", outputs))
        for tensor in tensors
    ]
    assert [row[:5] for row in rows(section(PAGE, "Tensors"))] == wanted
