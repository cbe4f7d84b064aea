"""Signatures of the bindings' methods, read from their docstrings, and doubles that insist on them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

LINE = re.compile(r"^(?:\d+\. )?(\w+)\((.*)\) -> (.+)$")
SIMPLE: dict[str, Callable[[object], bool]] = {
    "int": lambda value: isinstance(value, int),
    "typing.SupportsInt": lambda value: isinstance(value, int),
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "tuple": lambda value: isinstance(value, tuple),
    "list": lambda value: isinstance(value, list),
    "buffer": lambda value: isinstance(value, (bytes, bytearray, memoryview)),
    "collections.abc.Buffer": lambda value: isinstance(value, (bytes, bytearray, memoryview)),
    "typing_extensions.Buffer": lambda value: isinstance(value, (bytes, bytearray, memoryview)),
}


def overloads(method: Any) -> list[inspect.Signature]:
    """The signatures that a method takes, ``self`` left out; empty for what is no method."""
    matches = map(LINE.match, (getattr(method, "__doc__", None) or "").splitlines())
    return [_signature(found[2], found[3]) for found in matches if found and found[2] != "*args, **kwargs"]


def accepts(method: Any, count: int, keywords: tuple[str, ...]) -> bool:
    """Whether some overload takes so many positional arguments and these keywords."""
    return any(_binds(signature, (None,) * count, dict.fromkeys(keywords)) for signature in overloads(method))


def returns(method: Any) -> set[str]:
    """Bare names of the types that a method's overloads return."""
    return {str(signature.return_annotation).rsplit(".", 1)[-1] for signature in overloads(method)}


def honest(cls: type, **results: Any) -> Any:
    """A double of a bound class that has its members and no others, and takes calls as the real one does.

    Stricter than ``create_autospec``, which can't see the arguments of compiled methods and gives every call
    a result that is true.

    Args:
        cls: The real class.
        results: By member: a value that the method returns or the property holds, or a function that
            takes the call. Other members may be set, but neither called nor read before.
    """
    for name in results:
        assert hasattr(cls, name), f"{cls.__name__} has no {name}"
    return _Double(cls, results)


class _Double:
    def __init__(self, cls: type, results: dict[str, Any]) -> None:
        methods = {name: overloads(getattr(cls, name)) for name in results}
        members = {
            name: _guard(f"{cls.__name__}.{name}", methods[name], result) if methods[name] else result
            for name, result in results.items()
        }
        vars(self).update(members, _cls=cls)

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return vars(self)["_cls"]  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        cls = vars(self)["_cls"]
        if not hasattr(cls, name):
            raise AttributeError(f"{cls.__name__} has no {name}")
        raise AssertionError(f"{cls.__name__}.{name} was not expected to be used")

    def __setattr__(self, name: str, value: Any) -> None:
        if not hasattr(vars(self)["_cls"], name):
            raise AttributeError(f"{vars(self)['_cls'].__name__} has no {name}")
        vars(self)[name] = value


def _guard(name: str, signatures: list[inspect.Signature], result: Any) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        assert any(_fits(signature, args, kwargs) for signature in signatures), (
            f"{name} takes no {args} {kwargs}"
        )
        return result(*args, **kwargs) if inspect.isfunction(result) or inspect.ismethod(result) else result

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
