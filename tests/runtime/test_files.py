"""Files and folders that appear whole: under attack, at the longest name, after a kill, with two writers."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from emorec_rt.errors import OutputError
from emorec_rt.files import WholeFile, append_line, remove_parts, whole_folder, write_whole

LEFT = f".emorec-{0:016x}.part"


def parts(folder: Path) -> list[Path]:
    return list(folder.glob(".emorec-*.part"))


class TestWholeFile:
    def test_appears_at_the_end_and_not_before(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "a.txt"
        with WholeFile(path) as file:
            file.write("text, ")
            file.write(b"bytes")
            assert not path.exists()
        assert path.read_text() == "text, bytes"
        assert list(path.parent.iterdir()) == [path]

    def test_an_error_leaves_what_was_there(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("before")
        file = WholeFile(path)
        with pytest.raises(ZeroDivisionError), file:
            raise ZeroDivisionError(file.write("half"))
        assert path.read_text() == "before"
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("letter", ["a", "感"])
    def test_a_name_of_255_bytes_fits(self, tmp_path: Path, letter: str) -> None:
        path = tmp_path / (letter * (251 // len(letter.encode())) + ".csv")
        write_whole(path, "rows")
        assert path.read_text() == "rows"

    def test_no_one_can_guess_the_hidden_name(self, tmp_path: Path) -> None:
        with WholeFile(tmp_path / "a") as one, WholeFile(tmp_path / "a") as other:
            assert one.part != other.part
            assert str(os.getpid()) not in {one.part.name, other.part.name}

    def test_a_link_in_the_place_of_the_hidden_file_is_not_followed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        victim = tmp_path / "victim"
        victim.write_text("precious")
        (tmp_path / LEFT).symlink_to(victim)
        monkeypatch.setattr("secrets.token_hex", lambda _: "0" * 16)
        with pytest.raises(OutputError, match="File exists"):
            write_whole(tmp_path / "a", "attack")
        assert victim.read_text() == "precious"

    def test_has_the_permissions_of_any_new_file(self, tmp_path: Path) -> None:
        (tmp_path / "plain").touch()
        write_whole(tmp_path / "whole", b"")
        modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "whole")}
        assert len(modes) == 1

    def test_is_on_the_disk_before_its_name_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        synced: list[bool] = []
        monkeypatch.setattr(os, "fsync", lambda _: synced.append((tmp_path / "a").exists()))
        write_whole(tmp_path / "a", "text")
        assert synced == [False]

    def test_a_second_writer_leaves_the_first_one_alone(self, tmp_path: Path) -> None:
        with WholeFile(tmp_path / "a") as first:
            first.write("one")
            remove_parts(tmp_path)
            write_whole(tmp_path / "b", "two")
        assert (tmp_path / "a").read_text() == "one"


class TestAfterAKill:
    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_the_next_process_removes_what_is_left(self, tmp_path: Path, kind: str) -> None:
        code = (
            "import os, signal, sys; from pathlib import Path; \n"
            "from emorec_rt.files import WholeFile, whole_folder\n"
            "place = Path(sys.argv[1]) / 'result'\n"
            "with (WholeFile if sys.argv[2] == 'file' else whole_folder)(place):\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        killed = subprocess.run([sys.executable, "-c", code, str(tmp_path), kind], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert len(parts(tmp_path)) == 1
        again = "import sys; from pathlib import Path; from emorec_rt.files import write_whole\n"
        again += "write_whole(Path(sys.argv[1]) / 'other', 'x')"
        subprocess.run([sys.executable, "-c", again, str(tmp_path)], check=True)
        assert [path.name for path in tmp_path.iterdir()] == ["other"]

    def test_what_is_locked_linked_or_named_otherwise_stays(self, tmp_path: Path) -> None:
        locked, linked = tmp_path / LEFT, tmp_path / f".emorec-{1:016x}.part"
        other = tmp_path / ".emorec-notes.part"
        (tmp_path / "file").touch()
        linked.symlink_to(tmp_path / "file")
        other.touch()
        locked.touch()
        with locked.open() as held:  # as a process does that writes, perhaps on another machine
            fcntl.flock(held, fcntl.LOCK_EX)
            remove_parts(tmp_path)
        assert all(os.path.lexists(path) for path in (locked, linked, other))


class TestWholeFolder:
    def test_appears_at_the_end_in_the_place_of_the_old_one(self, tmp_path: Path) -> None:
        place = tmp_path / "bundle"
        place.mkdir()
        (place / "old").touch()
        with whole_folder(place) as fresh:
            (fresh / "new").touch()
            assert [path.name for path in place.iterdir()] == ["old"]
        assert [path.name for path in place.iterdir()] == ["new"]
        assert list(tmp_path.iterdir()) == [place]

    def test_works_where_two_names_can_not_be_exchanged(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("emorec_rt.files._exchanged", lambda *_: False)
        self.test_appears_at_the_end_in_the_place_of_the_old_one(tmp_path)

    def test_an_error_leaves_the_old_one(self, tmp_path: Path) -> None:
        place = tmp_path / "bundle"
        place.mkdir()
        (place / "old").touch()
        with pytest.raises(ZeroDivisionError), whole_folder(place):
            raise ZeroDivisionError
        assert [path.name for path in place.iterdir()] == ["old"]
        assert list(tmp_path.iterdir()) == [place]

    def test_a_place_that_can_not_be_is_one_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="can't be written"), whole_folder(tmp_path / "file" / "bundle"):
            pass


class TestAppendLine:
    def test_ends_a_line_that_was_cut_off(self, tmp_path: Path) -> None:
        path = tmp_path / "journal"
        path.write_bytes(b"whole\ncut")
        append_line(path, b"next\n")
        assert path.read_bytes() == b"whole\ncut\nnext\n"

    def test_follows_no_link(self, tmp_path: Path) -> None:
        (tmp_path / "journal").symlink_to(tmp_path / "victim")
        with pytest.raises(OSError, match="symbolic"):
            append_line(tmp_path / "journal", b"line\n")
        assert not (tmp_path / "victim").exists()


def test_a_system_without_file_locks_writes_all_the_same(tmp_path: Path) -> None:
    """As on Windows, which has no ``fcntl``."""
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "from pathlib import Path; from emorec_rt.files import whole_folder, write_whole\n"
        "write_whole(Path(sys.argv[1]) / 'a', 'x')\n"
        "with whole_folder(Path(sys.argv[1]) / 'b'): pass\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
