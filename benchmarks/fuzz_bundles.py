"""Ways in which a bundle gets damaged, by accident or by design."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.random import Generator

from emorec_rt.bundle import DEFAULT_FOLDER, sha256_of
from emorec_rt.bundle.manifest import FILE_NAME

Damage = Callable[[Path, Generator], None]
"""Changes a copy of the default bundle."""

HUGE: Final = (2**31, 2**63 - 1, 2**63, 10**30, 1e308)
"""Whole and broken numbers that don't fit where a size belongs."""

SIZES: Final = (
    ("preprocessing", "window", "steps"),
    ("preprocessing", "window", "stride"),
    ("preprocessing", "window", "tokens_per_step"),
    ("preprocessing", "vision", "crop_size"),
    ("preprocessing", "vision", "embedding_dim"),
    ("preprocessing", "audio", "chunk_tokens"),
    ("preprocessing", "audio", "context_tokens"),
    ("preprocessing", "audio", "embedding_dim"),
    ("preprocessing", "grid", "rate_hz"),
    ("decoding", "smoothing_seconds"),
)

OUTSIDE: Final = (
    "../vision.onnx",
    "/etc/hostname",
    "a/b.onnx",
    "..",
    ".hidden",
    "a\\b.onnx",
    "x\0y",
    "x" * 300,
)
"""Names that are no file directly inside the bundle."""


def edit(change: Callable[[Any, Generator], None]) -> Damage:
    """Damage the parsed manifest; JSON takes NaN and infinity here as careless programs do."""

    def damage(bundle: Path, rng: Generator) -> None:
        manifest = json.loads((bundle / FILE_NAME).read_text(encoding="utf-8"))
        change(manifest, rng)
        (bundle / FILE_NAME).write_text(json.dumps(manifest), encoding="utf-8")

    return damage


def raw(content: Callable[[bytes, Generator], bytes]) -> Damage:
    """Damage the manifest's bytes."""

    def damage(bundle: Path, rng: Generator) -> None:
        path = bundle / FILE_NAME
        path.write_bytes(content(path.read_bytes(), rng))

    return damage


def _graph(bundle: Path, rng: Generator) -> Path:
    """One of the files that the bundle runs."""
    return sorted(bundle.glob("*.fp32.onnx"))[int(rng.integers(3))]


def changed_byte(bundle: Path, rng: Generator) -> None:
    """One bit of a graph."""
    path = _graph(bundle, rng)
    data = bytearray(path.read_bytes())
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)


def truncated(bundle: Path, rng: Generator) -> None:
    """A copy that was interrupted."""
    path = _graph(bundle, rng)
    path.write_bytes(path.read_bytes()[: int(rng.integers(path.stat().st_size))])


def grown(bundle: Path, rng: Generator) -> None:
    """A graph of a terabyte, nearly all of it a hole: reading it would take an hour."""
    with _graph(bundle, rng).open("r+b") as file:
        file.truncate(2**40)


def missing(bundle: Path, rng: Generator) -> None:
    """No such graph."""
    _graph(bundle, rng).unlink()


def exchanged(bundle: Path, _rng: Generator) -> None:
    """Two graphs, each right, at each other's place, and the manifest knows."""
    vision, audio = bundle / "vision.fp32.onnx", bundle / "audio.fp32.onnx"
    content = vision.read_bytes()
    vision.write_bytes(audio.read_bytes())
    audio.write_bytes(content)
    sign(bundle)


def not_a_graph(bundle: Path, rng: Generator) -> None:
    """Noise whose hash is right."""
    _graph(bundle, rng).write_bytes(rng.bytes(50_000))
    sign(bundle)


def empty_graph(bundle: Path, rng: Generator) -> None:
    """Nothing, with the right hash."""
    _graph(bundle, rng).write_bytes(b"")
    sign(bundle)


def cut_graph(bundle: Path, rng: Generator) -> None:
    """A graph whose end is missing, with the right hash."""
    truncated(bundle, rng)
    sign(bundle)


def nan_weights(bundle: Path, _rng: Generator) -> None:
    """A trained model that diverged: all weights of a graph are NaN, and its hash is right."""
    import onnx
    from onnx import numpy_helper

    path = bundle / "fusion.fp32.onnx"
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype.kind == "f":
            tensor.CopyFrom(numpy_helper.from_array(np.full_like(values, np.nan), tensor.name))
    path.write_bytes(model.SerializeToString())
    sign(bundle)


def weights_elsewhere(bundle: Path, _rng: Generator) -> None:
    """A graph that has its weights in a file outside of the bundle."""
    import onnx
    from onnx.external_data_helper import set_external_data

    path = bundle / "fusion.fp32.onnx"
    model = onnx.load(path)
    tensor = max(model.graph.initializer, key=lambda value: len(value.raw_data))
    (bundle.parent / "elsewhere.bin").write_bytes(tensor.raw_data)
    set_external_data(tensor, location="../elsewhere.bin")
    tensor.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    sign(bundle)


def link(target: str) -> Damage:
    """A graph that is a link to ``target``."""

    def damage(bundle: Path, rng: Generator) -> None:
        path = _graph(bundle, rng)
        path.unlink()
        path.symlink_to(target)

    return damage


def manifest_link(target: str) -> Damage:
    """A manifest that is a link to ``target``."""

    def damage(bundle: Path, _rng: Generator) -> None:
        (bundle / FILE_NAME).unlink()
        (bundle / FILE_NAME).symlink_to(target)

    return damage


def pipes(bundle: Path, _rng: Generator) -> None:
    """A manifest that nobody will ever write."""
    (bundle / FILE_NAME).unlink()
    os.mkfifo(bundle / FILE_NAME)


def folder_for_file(bundle: Path, rng: Generator) -> None:
    """A folder where a graph should be."""
    path = _graph(bundle, rng)
    path.unlink()
    path.mkdir()


def sign(bundle: Path) -> None:
    """Bring the manifest's hashes and sizes up to date."""
    path = bundle / FILE_NAME
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for graph in manifest["graphs"].values():
        for variant in graph["variants"].values():
            file = bundle / variant["file"]
            variant.update(sha256=sha256_of(file), size_bytes=max(file.stat().st_size, 1))
    path.write_text(json.dumps(manifest), encoding="utf-8")


def _set(manifest: Any, path: tuple[str, ...], value: object) -> None:
    for key in path[:-1]:
        manifest = manifest[key]
    manifest[path[-1]] = value


def _one(rng: Generator, values: tuple[Any, ...]) -> Any:
    return values[int(rng.integers(len(values)))]


def _variant(manifest: Any, rng: Generator) -> Any:
    return manifest["graphs"][_one(rng, ("vision", "audio", "fusion"))]["variants"]["fp32"]


def _wrong_shape(manifest: Any, rng: Generator) -> None:
    graph = manifest["graphs"][_one(rng, ("vision", "audio", "fusion"))]
    graph[_one(rng, ("inputs", "outputs"))][0]["shape"][-1] += 1


def _consistent_lie(manifest: Any, _rng: Generator) -> None:
    """A window of another length, told to every tensor: only the graph itself disagrees."""
    window = manifest["preprocessing"]["window"]
    old, window["steps"] = window["steps"], window["steps"] + 4
    per_step = window["tokens_per_step"]
    fusion = manifest["graphs"]["fusion"]
    for tensor in (*fusion["inputs"], *fusion["outputs"]):
        lengths = {old: old + 4, old * per_step: (old + 4) * per_step}
        tensor["shape"][1] = lengths.get(tensor["shape"][1], tensor["shape"][1])


def _consistent_giant(manifest: Any, _rng: Generator) -> None:
    """Windows of a billion steps, told to every tensor."""
    window, fusion = manifest["preprocessing"]["window"], manifest["graphs"]["fusion"]
    lengths = {window["steps"]: 10**9, window["steps"] * window["tokens_per_step"]: 10**9}
    window.update(steps=10**9, tokens_per_step=1)
    for tensor in (*fusion["inputs"], *fusion["outputs"]):
        tensor["shape"][1] = lengths[tensor["shape"][1]]


DAMAGES: Final[dict[str, Damage]] = {
    "changed byte": changed_byte,
    "truncated graph": truncated,
    "graph of a terabyte": grown,
    "missing graph": missing,
    "exchanged graphs": exchanged,
    "noise for a graph": not_a_graph,
    "empty graph": empty_graph,
    "cut graph, right hash": cut_graph,
    "NaN weights": nan_weights,
    "weights outside": weights_elsewhere,
    "graph links to nothing": link("nowhere"),
    "graph links to itself": link("vision.fp32.onnx"),
    "graph links to a device": link("/dev/zero"),
    "graph links to another file": link("/etc/hostname"),
    "folder for a graph": folder_for_file,
    "no manifest": lambda bundle, _: (bundle / FILE_NAME).unlink(),
    "manifest is a pipe": pipes,
    "manifest links to a device": manifest_link("/dev/zero"),
    "manifest links to itself": manifest_link(FILE_NAME),
    "manifest of a terabyte": lambda bundle, _: os.truncate(bundle / FILE_NAME, 2**40),
    "empty manifest": raw(lambda _, __: b""),
    "noise for a manifest": raw(lambda data, rng: rng.bytes(len(data))),
    "cut manifest": raw(lambda data, rng: data[: int(rng.integers(len(data) - 2))]),
    "deep manifest": raw(lambda _, __: b'{"schema_version":1,"parity":' + b"[" * 200_000),
    "no UTF-8": raw(lambda data, _: data.replace(b'"notice": "', b'"notice": "\xff\xfe')),
    "lone surrogate": raw(lambda data, _: data.replace(b'"notice": "', b'"notice": "\\ud800')),
    "a list": raw(lambda data, _: b"[" + data + b"]"),
    "future version": edit(lambda m, _: m.update(schema_version=99)),
    "version as text": edit(lambda m, _: m.update(schema_version="1")),
    "huge version": edit(lambda m, _: m.update(schema_version=10**40)),
    "unknown field": edit(lambda m, _: m.update(extra=1)),
    "missing field": edit(lambda m, rng: m.pop(_one(rng, ("name", "labels", "preprocessing", "graphs")))),
    "no vision graph": edit(lambda m, _: m["graphs"].pop("vision")),
    "no variants": edit(lambda m, _: m["graphs"]["audio"].update(variants={})),
    "wrong type": edit(lambda m, rng: _set(m, _one(rng, SIZES), "many")),
    "null": edit(lambda m, rng: _set(m, _one(rng, SIZES[:8]), None)),
    "huge number": edit(lambda m, rng: _set(m, _one(rng, SIZES), _one(rng, HUGE))),
    "negative number": edit(lambda m, rng: _set(m, _one(rng, SIZES), -1)),
    "NaN": edit(lambda m, rng: _set(m, _one(rng, SIZES), float("nan"))),
    "infinity": edit(lambda m, rng: _set(m, _one(rng, SIZES), float("inf"))),
    "too large a float": edit(lambda m, _: m["decoding"].update(logit_bias=[1e300] * len(m["labels"]))),
    "path traversal": edit(lambda m, rng: _variant(m, rng).update(file=_one(rng, OUTSIDE))),
    "no hash": edit(lambda m, rng: _variant(m, rng).update(sha256="")),
    "wrong shape": edit(_wrong_shape),
    "wrong window everywhere": edit(_consistent_lie),
    "giant window everywhere": edit(_consistent_giant),
    "label twice": edit(lambda m, _: m["labels"].__setitem__(0, m["labels"][1])),
    "no labels": edit(lambda m, _: m.update(labels=[])),
    "label of several lines": edit(lambda m, _: m["labels"].__setitem__(0, "a\nb")),
    "notice that drives a terminal": edit(lambda m, _: m.update(notice="\x1b[2Jready")),
}
"""Damages of a bundle; each must end in one line that says so."""


def damaged(seed: int, index: int, folder: Path) -> tuple[str, Path]:
    """Write the damaged bundle number ``index``; return what was done, and its folder."""
    rng = np.random.default_rng([seed, index])
    kind = tuple(DAMAGES)[index % len(DAMAGES)]
    bundle = folder / f"{index:03}" / "bundle"
    shutil.copytree(DEFAULT_FOLDER, bundle)
    DAMAGES[kind](bundle, rng)
    return kind, bundle
