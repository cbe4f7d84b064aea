"""Lines of tegrastats of five modules and releases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emorec_jetson.tegrastats import Rail, Stats, parse

from .conftest import lines


def stats_of(name: str, index: int = 0) -> Stats:
    stats = parse(lines(name)[index])
    assert stats is not None
    return stats


def test_orin_nano_under_load() -> None:
    stats = stats_of("tegrastats_orin_nano.txt")
    assert (stats.ram_used_mib, stats.ram_total_mib, stats.swap_used_mib) == (6982, 7620, 2640)
    assert stats.cpu_percent == (97, 95, 95, 91, 88, 93)
    assert (stats.gpu_percent, stats.gpu_mhz) == (84, 713)
    assert stats.rails["VDD_SOC"] == Rail(3923, 3515)
    assert stats.power is not None
    assert (stats.power.watts, stats.power.scope) == (17.946, "module")
    assert stats.hottest == ("cpu", 65.562)


def test_agx_orin_adds_its_rails_and_leaves_sensors_that_are_off_out() -> None:
    stats = stats_of("tegrastats_agx_orin.txt")
    assert stats.power is not None
    assert stats.power.watts == pytest.approx(2.4 + 0.4 + 4.0)
    assert stats.power.scope == "rails"
    assert "gpu" not in stats.celsius
    assert stats.celsius["tj"] == 42.593
    assert stats.cpu_percent[:2] == (0, 3)
    assert stats.cpu_percent[4:] == (None,) * 8


def test_thor_38_reads_the_whole_board_and_knows_no_gpu_load() -> None:
    stats = stats_of("tegrastats_thor_r38.txt")
    assert stats.rails["VDD_GPU"].now_mw == -392
    assert stats.power is not None
    assert (stats.power.watts, stats.power.scope, stats.power.rails) == (15.004, "board", ("VIN",))
    assert stats.gpu_percent is None


def test_thor_39_takes_the_present_figure_of_three() -> None:
    busy, idle = stats_of("tegrastats_thor_r39.txt"), stats_of("tegrastats_thor_r39.txt", 1)
    assert busy.power is not None
    assert (busy.power.watts, busy.rails["VIN"].mean_mw) == (124.486, 36487)
    assert busy.hottest == ("tj", 66.625)
    assert (busy.gpu_percent, busy.gpu_mhz) == (87, 1574)
    assert (idle.gpu_percent, idle.gpu_mhz) == (None, 1574)
    assert idle.cpu_percent == (0, 5, None)


def test_first_nano_prints_no_unit() -> None:
    stats = stats_of("tegrastats_nano.txt")
    assert stats.power is not None
    assert (stats.power.watts, stats.power.scope) == (2.545, "module")
    assert set(stats.rails) == {"POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"}


@pytest.mark.parametrize("line", ["", "\n", "tegrastats: warning: cannot open /proc/stat"])
def test_other_lines_are_nothing(line: str) -> None:
    assert parse(line) is None


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    stats = parse(f"RAM {text}")
    assert stats is None or stats.ram_total_mib is None or stats.ram_total_mib >= 0
