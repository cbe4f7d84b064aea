"""The commands that the pages show, held against the programs' own options."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final
from unittest.mock import patch

import click

from pages import ROOT, Block

OPERATORS: Final = {"&&", "||", "|", ";", "&", ">", ">>", "<", "2>", "(", ")"}
REDIRECTIONS: Final = {">", ">>", "<", "2>"}

NOT_OURS: Final = frozenset(
    {
        *(
            ".",
            "cat",
            "cd",
            "cp",
            "curl",
            "echo",
            "find",
            "head",
            "kill",
            "ls",
            "mkdir",
            "source",
            "tail",
            "tar",
        ),
        *("docker", "podman", "ffmpeg", "git", "gst-launch-1.0", "jq", "scp", "v4l2-ctl", "nvidia-smi"),
        *("journalctl", "ray", "sudo", "systemctl"),
        *("lint-imports", "mypy", "ruff"),
    }
)
"""Programs whose options are not checked."""

FOLDERS_OF_PROGRAMS: Final = ("train", "export", "calibration", "jetson")
FOLDERS: Final = (*FOLDERS_OF_PROGRAMS, "runtime", "benchmarks", "tests", "docs", "examples", ".ci")
"""What a path begins with that is one of the repository's files."""


class WrongCommandError(Exception):
    """A command in a page that would not do what the page says."""


@dataclass(frozen=True)
class Shown:
    """One command of a block: its words, the environment before them, and its line."""

    place: str
    line: str
    words: tuple[str, ...]
    environment: tuple[str, ...] = ()
    needs: str = ""

    @property
    def program(self) -> str:
        return self.words[0]


def commands(block: Block) -> Iterator[Shown]:
    """The commands of a block of shell, one after the other."""
    for line in lines(block):
        for words in _split(line):
            environment = list(_leading(words))
            if rest := words[len(environment) :]:
                yield Shown(block.place, line, tuple(rest), tuple(environment), block.needs)


def lines(block: Block) -> list[str]:
    """Lines of shell without comments; those that end in a backslash are joined."""
    joined = block.text.replace("\\\n", " ")
    stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return [line for line in stripped if line]


def _split(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    skip = False
    for token in [*lexer, ";"]:
        if token in REDIRECTIONS:
            skip = True
        elif token in OPERATORS:
            if words:
                yield words
            words = []
        elif skip:
            skip = False
        else:
            words.append(token)


def _leading(words: list[str]) -> Iterator[str]:
    for word in words:
        if not re.fullmatch(r"[A-Z_]+=.*", word):
            return
        yield word


def check(shown: Shown) -> None:
    """Refuse a command that its program would refuse, or that names a file which isn't there.

    Raises:
        WrongCommandError: With the place in the page and the reason.
    """
    try:
        _check_files(shown.words)
        _check_program(list(shown.words))
    except (WrongCommandError, click.UsageError) as error:
        reason = error.format_message() if isinstance(error, click.UsageError) else str(error)
        raise WrongCommandError(f"{shown.place}: {shown.line}\n  {reason}") from None


def _check_files(words: tuple[str, ...]) -> None:
    """A path that begins with a folder of the repository is a file of the repository."""
    for word in words:
        top = word.split("/", 1)[0]
        if "/" in word and top in FOLDERS and not list(ROOT.glob(word.rstrip("/"))):
            raise WrongCommandError(f"the repository has no {word}")


def _check_program(words: list[str]) -> None:
    program, *arguments = words
    if program == "emorec-rt":
        parse(emorec_rt(), arguments)
    elif program == "emorec-rt-ray":
        parse(importlib.import_module("emorec_ray.command").command, arguments)
    elif program in ("python", "python3"):
        _check_python(arguments)
    elif program == "torchrun":
        _check_python(arguments[arguments.index("train/run.py") :])
    elif program == "pip":
        _check_pip(arguments)
    elif program == "pytest":
        _check_pytest(arguments)
    elif "/" in program and (ROOT / program).is_file():
        _check_script(ROOT / program, arguments)
    elif program not in NOT_OURS:
        raise WrongCommandError(
            f"unknown program {program}: mark the block with <!-- needs: ... -->, or add it to "
            "NOT_OURS in tests/commands.py"
        )


def _check_python(arguments: list[str]) -> None:
    if arguments[0] == "-m":
        module = arguments[1]
        if importlib.util.find_spec(module) is None:
            raise WrongCommandError(f"there is no module {module}")
        if module.startswith("emorec") and (command := _command_in(importlib.import_module(module))):
            parse(command, arguments[2:])
    elif arguments[0] != "-c":
        path = ROOT / arguments[0]
        if not path.is_file():
            raise WrongCommandError(f"the repository has no {arguments[0]}")
        if path.parent.name == "benchmarks":
            _check_declared(path, arguments[1:])  # importing one may take seconds
        else:
            parse(program(path), arguments[1:])


def _check_pip(arguments: list[str]) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.split("[project.optional-dependencies]")[1].split("\n[", 1)[0]
    extras = set(re.findall(r"^(\w+) = ", section, re.M))
    for word in arguments:
        if match := re.fullmatch(r"(?:\.|emorec)\[(.+)\]", word):
            for extra in match[1].split(","):
                if extra not in extras:
                    raise WrongCommandError(f"pyproject.toml has no extra {extra}")


def _check_pytest(arguments: list[str]) -> None:
    for word in arguments:
        if not word.startswith("-") and "/" in word and not (ROOT / word.split("::")[0]).exists():
            raise WrongCommandError(f"there is no {word}")


def _check_script(path: Path, arguments: list[str]) -> None:
    text = path.read_text(encoding="utf-8")
    for word in arguments:
        if word.startswith("--") and word.split("=")[0] not in text:
            raise WrongCommandError(f"{path.name} has no option {word}")


def _check_declared(path: Path, arguments: list[str]) -> None:
    declared = path.read_text(encoding="utf-8")
    for word in arguments:
        if word.startswith("--") and f'"{word.split("=")[0]}"' not in declared:
            raise WrongCommandError(f"{path.name} has no option {word}")


def parse(command: click.Command, arguments: list[str]) -> None:
    """Read the arguments as the program would, but look for no file.

    Raises:
        click.UsageError: The program would refuse them.
    """
    if isinstance(command, click.Group):
        known = bool(arguments) and arguments[0] in command.commands
        name = arguments[0] if known else "run"
        if not known and arguments and arguments[0] in ("--help", "-h", "--version"):
            return
        parse(command.commands[name], arguments[1:] if known else arguments)
        return
    with patch.object(click.Path, "convert", lambda _self, value, _param, _ctx: Path(value)):
        try:
            command.make_context(command.name or "", list(arguments))
        except click.exceptions.Exit:  # --help
            return


def emorec_rt() -> click.Group:
    """The runtime's command line."""
    from emorec_rt.cli import cli

    return cli


@cache
def program(path: Path) -> click.Command:
    """The command of a program of the workshop."""
    name = f"_shown_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    command = _command_in(module)
    if command is None:
        raise WrongCommandError(f"{path} has no click command")
    return command


def _command_in(module: ModuleType) -> click.Command | None:
    if module.__spec__ is not None and module.__spec__.submodule_search_locations is not None:
        try:
            module = importlib.import_module(f"{module.__name__}.__main__")
        except ModuleNotFoundError:
            return None
    for name in ("main", "cli"):
        found = getattr(module, name, None)
        if isinstance(found, click.Command):
            return found
    return None


def option_names(shown: Shown) -> set[str]:
    """Every option that a command's program has; of ``emorec-rt``, the sub-command's."""
    words = shown.words
    if words[0] == "emorec-rt":
        known = emorec_rt().commands
        command: click.Command | None = known.get(words[1], known["run"])
    elif words[1] == "-m":
        command = _command_in(importlib.import_module(words[2]))
    else:
        command = program(ROOT / words[1]) if not words[1].startswith("benchmarks/") else None
    if command is None:
        path = ROOT / words[1]
        return (
            set(re.findall(r'"(--[a-z-]+)"', path.read_text(encoding="utf-8"))) if path.is_file() else set()
        )
    return {name for param in command.params for name in (*param.opts, "--help")}


def programs() -> list[Path]:
    """The workshop's programs that people run, benchmarks aside: files beside the packages."""
    return sorted(path for folder in FOLDERS_OF_PROGRAMS for path in (ROOT / folder).glob("*.py"))


def options(command: click.Command) -> list[str]:
    """Long names of the options that ``--help`` shows."""
    return [
        max(param.opts, key=len)
        for param in command.params
        if isinstance(param, click.Option) and not param.hidden
    ]
