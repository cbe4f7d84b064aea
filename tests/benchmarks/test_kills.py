"""The kill benchmark on a program that does what it should, and on one that doesn't."""

from __future__ import annotations

from pathlib import Path

import kills

WHOLE = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from emorec_rt.files import WholeFile
for name in "abc":
    with WholeFile(Path(sys.argv[1]) / name) as file:
        for letter in name * 50:
            file.write(letter)
            time.sleep(0.002)
"""
HALF = """
import sys, time
from pathlib import Path
path = Path(sys.argv[1]) / "a"
if path.exists():
    time.sleep(2)
else:
    with path.open("w") as file:
        file.write("one half")
        file.flush()
        time.sleep(2)
        file.write("the other")
"""


def tortured(code: str, folder: Path, count: int = 4) -> kills.Killed:
    runtime = str(Path(__file__).parents[2] / "runtime")
    program = kills.Program("a program", ("-c", code, "OUT", runtime))
    return kills.torture(program, folder, count, 1, lambda _: None)


def test_what_appears_whole_survives_kills(tmp_path: Path) -> None:
    killed = tortured(WHOLE, tmp_path)
    assert (killed.kills, killed.results, killed.differing, killed.left) == (4, 3, [], [])


def test_what_is_written_in_place_does_not(tmp_path: Path) -> None:
    assert tortured(HALF, tmp_path).differing == ["a"]


def test_all_programs_of_the_promise_are_there(tmp_path: Path) -> None:
    names = set(kills.programs(tmp_path))
    assert names == {"run", "folder --resume", "cache", "train --resume", "collect", "build"}
