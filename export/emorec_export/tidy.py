"""Names that a person can read, and nothing of the machine that made the graph.

The exporter numbers its nodes and notes beside each which module it comes from, with stack traces and paths.
Here each node takes the module's path as its name (``visual.transformer.resblocks.0.mlp.c_fc/MatMul``), each
tensor the name of the node that makes it, each transposed weight the module's (``...c_fc.weight``), and the
notes are dropped. Ranges, recipes and reports then speak of modules.
"""

from __future__ import annotations

import ast
import re
from typing import Final

import onnx
import torch
from onnx import ModelProto, NodeProto

from emorec_rt import __version__

_SCOPES_KEY: Final = "pkg.torch.onnx.name_scopes"
_WEIGHT: Final = ".weight"
_ANONYMOUS: Final = re.compile(r"val_\d+")


def tidy(model: ModelProto, name: str) -> None:
    """Rename, strip and sign a model in place.

    Args:
        model: As the exporter made it.
        name: Name of the graph.
    """
    model.graph.name = name
    tensors = _node_names(model)
    tensors.update(_weight_names(model))
    _rename_tensors(model, tensors)
    _strip(model)
    sign(model)


def sign(model: ModelProto) -> None:
    """Say who made the model, with what."""
    model.producer_name = "emorec"
    model.producer_version = __version__
    onnx.helper.set_model_props(model, {"emorec.graph": model.graph.name, "torch": torch.__version__})


def unique(name: str, taken: set[str]) -> str:
    """``name``, or ``name_2`` and so on when it is taken; the result is taken from then on."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate


def _node_names(model: ModelProto) -> dict[str, str]:
    """Name each node after its module; return new names for the tensors that nodes make."""
    taken: set[str] = set()
    kept = {value.name for value in (*model.graph.input, *model.graph.output)}
    renamed: dict[str, str] = {}
    for node in model.graph.node:
        node.name = unique(f"{_scope(node) or model.graph.name}/{node.op_type}", taken)
        for index, output in enumerate(node.output):
            if output and output not in kept:
                renamed[output] = node.name if len(node.output) == 1 else f"{node.name}:{index}"
    return renamed


def _scope(node: NodeProto) -> str:
    """Path of the module that a node comes from; empty for the outermost and where the exporter lost it.

    A convolution that has swallowed its batch norm carries the norm's notes, but its own weight.
    """
    if node.op_type == "Conv" and node.input[1].endswith(_WEIGHT):
        return str(node.input[1]).removesuffix(_WEIGHT)
    notes = {note.key: note.value for note in node.metadata_props}
    scopes = ast.literal_eval(notes.get(_SCOPES_KEY, "[]"))
    return str(scopes[-2]) if len(scopes) > 1 and scopes[0] == "" else ""


def _weight_names(model: ModelProto) -> dict[str, str]:
    """New names for the weights that the exporter transposed and left without one."""
    anonymous = {value.name for value in model.graph.initializer if _ANONYMOUS.fullmatch(value.name)}
    taken = {value.name for value in model.graph.initializer}
    renamed: dict[str, str] = {}
    for node in model.graph.node:
        scope = node.name.rsplit("/", 1)[0]
        for tensor in node.input:
            if tensor in anonymous and tensor not in renamed:
                kind = "weight" if node.op_type == "MatMul" else f"{node.op_type}.constant"
                renamed[tensor] = unique(f"{scope}.{kind}", taken)
    return renamed


def _rename_tensors(model: ModelProto, names: dict[str, str]) -> None:
    for node in model.graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(tensor, tensor) for tensor in tensors]
    for value in (*model.graph.initializer, *model.graph.value_info):
        value.name = names.get(value.name, value.name)


def _strip(model: ModelProto) -> None:
    graph = model.graph
    for noted in (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    ):
        noted.doc_string = ""
        del noted.metadata_props[:]
