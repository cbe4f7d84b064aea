"""Which inputs a call names."""

from __future__ import annotations

from pathlib import Path

import pytest

from emorec_rt.errors import UsageError
from emorec_rt.jobs.plan import plan
from emorec_rt.jobs.select import select


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = (
        "a.mp4",
        "b.mp4",
        "notes.txt",
        "raw.264",
        "day1/a.mp4",
        "day1/deep/c.wav",
        "day2/a.mp4",
        "[x].mp4",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def selected(*paths: str, lists: tuple[str, ...] = ()) -> tuple[list[tuple[str, str]], list[str]]:
    notes: list[str] = []
    found = select(list(map(Path, paths)), list(map(Path, lists)), notes.append)
    return [(str(item.source), str(item.relative)) for item in found], notes


@pytest.mark.usefixtures("tree")
class TestPatterns:
    def test_matches_keep_their_place_below_the_fixed_part(self) -> None:
        assert selected("day*/*.mp4")[0] == [("day1/a.mp4", "day1/a.mp4"), ("day2/a.mp4", "day2/a.mp4")]
        assert selected("day1/**/*.wav")[0] == [("day1/deep/c.wav", "deep/c.wav")]

    def test_without_a_suffix_media_alone_match(self) -> None:
        assert [source for source, _ in selected("*")[0]] == ["[x].mp4", "a.mp4", "b.mp4"]
        assert selected("r*.264")[0] == [("raw.264", "raw.264")]

    def test_a_folder_has_media_and_folders_of_pictures(self, tree: Path) -> None:
        for name in (
            "all/clip_1/00001.jpg",
            "all/clip_1/00002.jpg",
            "all/._a.mp4",
            "all/.b.mp4",
            "all/a.OGV",
        ):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).touch()
        assert selected("all")[0] == [("all/a.OGV", "a.OGV"), ("all/clip_1", "clip_1")]
        assert selected("all/*")[0] == selected("all")[0]

    def test_photos_beside_recordings_are_no_video(self, tree: Path) -> None:
        for name in ("IMG_0001.JPG", "IMG_0002.MOV", "IMG_0003.JPG", "IMG_0004.MP4"):
            (tree / "dcim").mkdir(exist_ok=True)
            (tree / "dcim" / name).touch()
        found, notes = selected("dcim")
        assert found == [("dcim/IMG_0002.MOV", "IMG_0002.MOV"), ("dcim/IMG_0004.MP4", "IMG_0004.MP4")]
        assert notes == [
            "note: dcim: 2 numbered pictures are left out: only a folder of pictures alone is read as a video"
        ]
        assert selected(".")[1] == notes

    @pytest.mark.parametrize(
        "names", [("IMG_1234.JPG", "IMG_1235.JPG"), ("me1.jpg", "you2.jpg"), ("a.jpg", "b.jpg", "c1.jpg")]
    )
    def test_photos_alone_are_no_video_either(self, tree: Path, names: tuple[str, ...]) -> None:
        (tree / "photos").mkdir()
        for name in names:
            (tree / "photos" / name).touch()
        with pytest.raises(UsageError, match="photos: no media file in this folder; its pictures are not"):
            selected("photos")

    @pytest.mark.parametrize(
        "names", [("00001.jpg",), ("700.jpg", "701.jpg"), ("f_1.png", "f_2.png"), ("1.jpg", "notes.txt")]
    )
    def test_numbered_pictures_alone_are_a_video(self, tree: Path, names: tuple[str, ...]) -> None:
        (tree / "frames").mkdir()
        for name in names:
            (tree / "frames" / name).touch()
        assert selected("frames") == ([("frames", "frames")], [])

    def test_what_exists_is_no_pattern(self) -> None:
        assert selected("[x].mp4")[0] == [("[x].mp4", "[x].mp4")]

    def test_no_match_is_refused(self) -> None:
        with pytest.raises(UsageError, match=r"nothing\*.mp4: no media file matches"):
            selected("nothing*.mp4")


class TestLists:
    def test_lines_are_relative_to_the_list(self, tree: Path) -> None:
        text = "# today\n\nday1/a.mp4\n./day2/a.mp4\nmissing.mp4\nday1/deep\nr*.264\nrtsp://camera/1\n"
        (tree / "today.txt").write_text("\ufeff" + text, encoding="utf-8")
        expected = [
            ("day1/a.mp4", "day1/a.mp4"),
            ("day2/a.mp4", "day2/a.mp4"),
            ("missing.mp4", "missing.mp4"),
            ("day1/deep/c.wav", "day1/deep/c.wav"),
            ("raw.264", "raw.264"),
            ("rtsp:/camera/1", "rtsp-camera-1"),
        ]
        assert selected("@today.txt")[0] == expected
        assert selected(lists=("today.txt",))[0] == expected
        outside = selected(f"@{tree / 'today.txt'}")[0]
        assert [relative for _, relative in outside] == [relative for _, relative in expected]
        assert outside[0][0] == str(tree / "day1/a.mp4")

    def test_listed_files_of_one_name_have_places_of_their_own(self, tree: Path) -> None:
        (tree / "today.txt").write_text("day1/a.mp4\nday2/a.mp4\n")
        jobs = plan([Path("@today.txt")], [], Path("out"), [])
        assert [str(job.outputs[0].target) for job in jobs] == ["out/day1/a.csv", "out/day2/a.csv"]

    @pytest.mark.parametrize(("text", "part"), [(None, "can't be read"), ("# none\n", "names no input")])
    def test_what_lists_nothing_is_refused(self, tree: Path, text: str | None, part: str) -> None:
        if text is not None:
            (tree / "today.txt").write_text(text)
        with pytest.raises(UsageError, match=part):
            selected("@today.txt")


@pytest.mark.usefixtures("tree")
class TestRepetition:
    def test_an_input_is_run_once(self, tree: Path) -> None:
        found, notes = selected("a.mp4", "./a.mp4", "day1/../a.mp4", str(tree / "a.mp4"), "a*.mp4", "b.mp4")
        assert [source for source, _ in found] == ["a.mp4", "b.mp4"]
        assert notes == ["note: 4 inputs were named again; each is run once"]

    def test_links_are_inputs_of_their_own(self, tree: Path) -> None:
        (tree / "link.mp4").symlink_to("a.mp4")
        found, notes = selected("a.mp4", "link.mp4")
        assert len(found) == 2
        assert notes == []

    def test_results_of_one_name_are_refused_with_both(self) -> None:
        with pytest.raises(UsageError, match=r"day1/a.mp4 and day2/a.mp4 have the same name.*out/a.*csv"):
            plan([Path("day1/a.mp4"), Path("day2/a.mp4")], [], Path("out"), [])


def test_a_call_without_input_is_refused() -> None:
    with pytest.raises(UsageError, match="no input"):
        plan([], [], None, [])
