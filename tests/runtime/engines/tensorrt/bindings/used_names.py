"""What the backend's source takes from TensorRT and from CUDA, read from its syntax trees.

A variable belongs to a class when it is annotated with an alias of ``api.py`` (a parameter, a local, or
``self.x``), or is assigned from ``import_tensorrt()`` or ``import_cuda_runtime()``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import emorec_rt.engines.tensorrt as backend

SOURCES = sorted(Path(backend.__file__).parent.glob("*.py"))
IMPORTS = {"import_tensorrt": "TensorRT", "import_cuda_runtime": "CudaRuntime"}
Scope = dict[str, str]


@dataclass(frozen=True)
class Use:
    """One member taken from an object of a class.

    Attributes:
        owner: The class, or ``TensorRT`` or ``CudaRuntime`` for the module.
        path: Members from there on: ``("DataType", "FLOAT")``.
        where: File and line.
        arguments: Positional arguments and keyword names when it is called there; else ``None``.
    """

    owner: str
    path: tuple[str, ...]
    where: str
    arguments: tuple[int, tuple[str, ...]] | None = None


@dataclass(frozen=True)
class Override:
    """A method that the source defines in a subclass of a TensorRT class."""

    base: str
    method: str
    parameters: tuple[str, ...]


@lru_cache(maxsize=1)
def aliases() -> set[str]:
    """Names of the classes that ``api.py`` declares."""
    tree = ast.parse(next(path for path in SOURCES if path.name == "api.py").read_text(encoding="utf-8"))
    return {
        node.target.id
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and ast.unparse(node.annotation) == "TypeAlias"
    }


def uses() -> list[Use]:
    """Every use in the backend."""
    found: dict[Use, None] = {}  # nested functions are seen from outside too
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for scope, function in _functions(tree, _self_scope(tree)):
            found |= dict.fromkeys(_uses(path.name, function, scope))
    return list(found)


def overrides() -> list[Override]:
    """Every method that overrides one of TensorRT's."""
    return [
        Override(base.attr, item.name, tuple(arg.arg for arg in item.args.args[1:]))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Attribute) and ast.unparse(base.value) == "trt"
        for item in node.body
        if isinstance(item, ast.FunctionDef) and not item.name.startswith("__")
    ]


def _self_scope(tree: ast.AST) -> Scope:
    """``self.x: Alias`` anywhere in a module; the backend has one such class in each."""
    return {
        ast.unparse(node.target): str(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute)
        if (name := _alias(node.annotation))
    } | {
        ast.unparse(target): parameters[node.value.id]
        for parameters, function in _parameters(tree)
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in parameters
        for target in node.targets
        if isinstance(target, ast.Attribute)
    }


def _parameters(tree: ast.AST) -> Iterator[tuple[Scope, ast.FunctionDef]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield _locals(node), node


def _functions(tree: ast.AST, outer: Scope) -> Iterator[tuple[Scope, ast.FunctionDef]]:
    """Functions with the variables that they see, their enclosing functions' included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            scope = outer | _locals(node)
            yield scope, node
            yield from _functions(node, scope)
        else:
            yield from _functions(node, outer)


def _locals(function: ast.FunctionDef) -> Scope:
    scope = {}
    for arg in (*function.args.args, *function.args.kwonlyargs):
        if name := _alias(arg.annotation):
            scope[arg.arg] = name
    for node in ast.walk(function):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if name := _alias(node.annotation):
                scope[node.target.id] = name
        elif isinstance(node, ast.Assign) and (owner := _imported(node.value)):
            scope.update({target.id: owner for target in node.targets if isinstance(target, ast.Name)})
    return scope


def _alias(annotation: ast.expr | None) -> str | None:
    if annotation is None:
        return None
    name = ast.unparse(annotation)
    return name if name in aliases() else None


def _imported(node: ast.expr) -> str | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return IMPORTS.get(node.func.id)
    return None


def _uses(file: str, function: ast.FunctionDef, scope: Scope) -> Iterator[Use]:
    calls = {id(node.func): node for node in ast.walk(function) if isinstance(node, ast.Call)}
    inner = {id(node.value) for node in ast.walk(function) if isinstance(node, ast.Attribute)}
    for node in ast.walk(function):
        if not isinstance(node, ast.Attribute) or id(node) in inner or not (found := _resolve(node, scope)):
            continue
        yield Use(*found, f"{file}:{node.lineno}", _arguments(calls.get(id(node))))


def _resolve(node: ast.Attribute, scope: Scope) -> tuple[str, tuple[str, ...]] | None:
    """Owner and path of ``x.a.b``, where ``x`` is a known variable, ``self.y``, or an import call."""
    path: list[str] = []
    value: ast.expr = node
    while isinstance(value, ast.Attribute):
        path.insert(0, value.attr)
        value = value.value
        if owner := scope.get(ast.unparse(value)) or _imported(value):
            return owner, tuple(path)
    return None


def _arguments(call: ast.Call | None) -> tuple[int, tuple[str, ...]] | None:
    if call is None or any(isinstance(arg, ast.Starred) for arg in call.args):
        return None
    return len(call.args), tuple(str(keyword.arg) for keyword in call.keywords)
