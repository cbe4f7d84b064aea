"""Power modes: the configuration, the query, the change."""

from __future__ import annotations

from pathlib import Path

import pytest

from emorec_jetson import guard
from emorec_rt.machine.jetson import nvpmodel
from emorec_rt.machine.jetson.errors import JetsonError, ToolMissingError
from emorec_rt.machine.jetson.nvpmodel import PowerMode, RebootNeededError

from .conftest import Install

THOR = "< POWER_MODEL NAME=MAXN ID=0 >\n< POWER_MODEL ID=1 NAME=120W >\n< PM_CONFIG DEFAULT=1 >\n"
REFUSES = 'if [ "$1" = -q ]; then printf "NV Power Mode: 15W\\n0\\n"; else {}; fi'


def test_modes_of_an_orin_nano(orin: Path) -> None:
    assert nvpmodel.read_modes(orin) == (
        PowerMode(0, "15W"),
        PowerMode(1, "25W", default=True),
        PowerMode(2, "MAXN_SUPER"),
    )


def test_attributes_may_come_in_any_order() -> None:
    assert nvpmodel.parse_config(THOR) == (PowerMode(0, "MAXN"), PowerMode(1, "120W", default=True))


def test_a_file_without_modes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JetsonError, match="no power mode"):
        nvpmodel.parse_config("# nothing")
    with pytest.raises(JetsonError, match="is this a Jetson"):
        nvpmodel.read_modes(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "NV Power Mode: MAXN_SUPER\n2\n",
        "NVPM WARN: fan mode is not set!\nNV Power Mode: MAXN_SUPER\n2\n",
        "NVPM VERB: Current mode: NV Power Mode: MAXN_SUPER\n2\nNVPM VERB: PARAM CPU_ONLINE: ARG CORE_0\n",
    ],
)
def test_query_is_read_among_warnings(text: str) -> None:
    assert nvpmodel.parse_query(text) == PowerMode(2, "MAXN_SUPER")


def test_query_without_a_mode_is_an_error() -> None:
    with pytest.raises(JetsonError, match="no power mode"):
        nvpmodel.parse_query("NVPM ERROR: failed to read PMODE\n")


def test_a_mode_that_needs_a_reboot_is_declined(program: Install, tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    warning = "NVPM WARN: Reboot required for changing to this power mode"
    ask = f'echo "{warning}: $2"; read line; echo $line > {answer}'
    program("nvpmodel", REFUSES.format(ask))
    with pytest.raises(RebootNeededError, match=r"mode 3 \(7W\) needs a reboot"):
        nvpmodel.switch(PowerMode(3, "7W"), guard.nvpmodel)
    assert answer.read_text(encoding="utf-8") == "no\n"


def test_a_refusal_says_why(program: Install) -> None:
    program("nvpmodel", REFUSES.format('echo "NVPM ERROR: failed to set"'))
    with pytest.raises(JetsonError, match="failed to set"):
        nvpmodel.switch(PowerMode(1, "25W"), guard.nvpmodel)


def test_without_nvpmodel_the_error_names_it(program: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program("sudo", "exit 1").parent))
    with pytest.raises(ToolMissingError, match="nvpmodel is not on PATH"):
        nvpmodel.current()
