"""Signatures of the bindings' methods, read from their docstrings, and doubles that insist on them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any
from unittest.mock import NonCallableMagicMock, create_autospec

LINE = re.compile(r"^(?:\d+\. )?(\w+)\((.*)\) -> (.+)$")
SIMPLE: dict[str, Callable[[object], bool]] = {
    "int": lambda value: isinstance(value, int),
    "typing.SupportsInt": lambda value: isinstance(value, int),
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "tuple": lambda value: isinstance(value, tuple),
    "list": lambda value: isinstance(value, list),
    "buffer": lambda value: isinstance(value, (bytes, bytearray, memoryview)),
    "typing_extensions.Buffer": lambda value: isinstance(value, (bytes, bytearray, memoryview)),
}


def overloads(method: Any) -> list[inspect.Signature]:
    """The signatures that a method takes, ``self`` left out; empty for what is no method."""
    found = []
    for line in (getattr(method, "__doc__", None) or "").splitlines():
        if (match := LINE.match(line)) and match[2] != "*args, **kwargs":
            found.append(_signature(match[2], match[3]))
    return found


def accepts(method: Any, count: int, keywords: tuple[str, ...]) -> bool:
    """Whether some overload takes so many positional arguments and these keywords."""
    return any(_binds(signature, (None,) * count, dict.fromkeys(keywords)) for signature in overloads(method))


def returns(method: Any) -> set[str]:
    """Bare names of the types that a method's overloads return."""
    return {str(signature.return_annotation).rsplit(".", 1)[-1] for signature in overloads(method)}


def honest(cls: type, **results: Any) -> NonCallableMagicMock:
    """A double of a bound class that has its members and no others, and takes calls as the real one does.

    Args:
        cls: The real class.
        results: By member: a value that the method returns or the property holds, or a function that
            takes the call.
    """
    double = create_autospec(cls, instance=True)
    for name, result in results.items():
        assert hasattr(cls, name), f"{cls.__name__} has no {name}"
        if signatures := overloads(getattr(cls, name)):
            getattr(double, name).side_effect = _guard(f"{cls.__name__}.{name}", signatures, result)
        else:
            setattr(double, name, result)
    for name in dir(cls):
        if name not in results and not name.startswith("_") and overloads(getattr(cls, name)):
            getattr(double, name).side_effect = _unexpected(f"{cls.__name__}.{name}")
    return double


def _guard(name: str, signatures: list[inspect.Signature], result: Any) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        assert any(_fits(signature, args, kwargs) for signature in signatures), f"{name} takes no {args} {kwargs}"
        return result(*args, **kwargs) if inspect.isfunction(result) or inspect.ismethod(result) else result

    return call


def _unexpected(name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"{name} was not expected to be called")

    return call


def _signature(parameters: str, result: str) -> inspect.Signature:
    """From ``self: pkg.Cls, name: str, shape: tuple = ()``."""
    parts = [part.strip() for part in _split(parameters)]
    made = []
    for part in parts[1:] if parts[0].startswith("self") else parts:
        declaration, _, default = part.partition(" = ")
        name, _, annotation = declaration.partition(": ")
        made.append(
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=default or inspect.Parameter.empty,
                annotation=annotation,
            )
        )
    return inspect.Signature(made, return_annotation=result)


def _split(text: str) -> list[str]:
    """At commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char in "[(<") - (char in "])>")
        if char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _binds(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _fits(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if not _binds(signature, args, kwargs):
        return False
    bound = signature.bind(*args, **kwargs).arguments
    return all(_is_a(value, signature.parameters[name].annotation) for name, value in bound.items())


def _is_a(value: Any, annotation: str) -> bool:
    """Plain types by value, bound classes by name (doubles and subclasses included); others go through."""
    if annotation in SIMPLE:
        return SIMPLE[annotation](value)
    bare = annotation.rsplit(".", 1)[-1]
    if bare == "Dims":
        return isinstance(value, tuple)
    if "[" in annotation or not bare.isidentifier():
        return True
    return any(cls.__name__ == bare for cls in value.__class__.__mro__)
