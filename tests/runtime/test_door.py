"""The door of the package: ``emorec_rt.load`` and its public names."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import emorec_rt
from emorec_rt.cli.run import run


def test_keywords_are_named_as_on_the_command_line() -> None:
    keywords = {
        name
        for name, parameter in inspect.signature(emorec_rt.load).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    options = {parameter.name for parameter in run.params if isinstance(parameter, click.Option)}
    assert keywords - {"source"} <= options


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"face": "bogus"}, "unknown face 'bogus'; there are auto, require, off"),
        ({"backend": "bogus"}, "unknown backend 'bogus'; there are auto, "),
        ({"backend": None}, "unknown backend None"),
        ({"precision": "int4"}, "unknown precision 'int4'; there are fp32, "),
        ({"threads": "2"}, "threads is '2'; it must be a whole number"),
        ({"threads": True}, "threads is True; it must be a whole number"),
        ({"threads": 0}, "threads is 0; it must be 1 or more"),
        ({"batch_size": 1.5}, "batch_size is 1.5; it must be a whole number"),
        ({"vision_fps": "fast"}, "vision_fps is 'fast'; it must be a number"),
        ({"vision_fps": 0}, "vision_fps is 0; it must be above 0"),
        ({"keep_up": -1.0}, "keep_up is -1.0; it must be above 0"),
        ({"face_model": 3}, "face_model is 3; it must be a path"),
        ({"face_model": "nowhere.onnx"}, "nowhere.onnx: no such face model"),
        ({"source": {"fps": 3}}, "source is {'fps': 3}; it must be a SourceOptions"),
        ({"bach_size": 3}, "there is no option bach_size; did you mean batch_size?"),
        ({"zzz": 3}, "there is no option zzz; there are backend, precision"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_call_is_one_line(keywords: dict[str, Any], words: str) -> None:
    with pytest.raises(emorec_rt.UsageError) as caught:
        emorec_rt.load(**keywords)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bundle", [7, b"engines", ["engines"]], ids=str)
def test_a_bundle_that_is_no_path_is_one_line(bundle: Any) -> None:
    with pytest.raises(emorec_rt.UsageError, match="it must be a path"):
        emorec_rt.load(bundle)


def test_every_public_name_is_there_and_documented() -> None:
    for name in emorec_rt.__all__:
        value = getattr(emorec_rt, name)
        assert name == "__version__" or name == "Event" or value.__doc__
    assert set(dir(emorec_rt)) == set(emorec_rt.__all__)
    with pytest.raises(AttributeError, match="has no attribute nothing"):
        _ = emorec_rt.nothing


def test_importing_the_package_costs_nothing() -> None:
    code = "import sys, emorec_rt; print(any(m in sys.modules for m in ('numpy', 'av', 'cv2', 'msgspec')))"
    folder = str(Path(emorec_rt.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": folder}
    )
    assert done.stdout.strip() == "False"
