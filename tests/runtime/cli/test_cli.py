"""``emorec-rt`` as a person runs it: real processes, real files, exit codes, one-line errors."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

from emorec_rt.bundle import DEFAULT_FOLDER
from emorec_rt.constants import EXPRESSIONS
from emorec_rt.media.pyav import UNDECODABLE_TAGS

DEMO_CLIP = Path(__file__).parents[3] / "examples" / "demo.mp4"
MINUTE = 60
PARTS = 4
"""Of the folder of edge cases: workers share them."""


def emorec(*arguments: str | Path, timeout: float = 2 * MINUTE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from emorec_rt.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def frame_times(path: Path) -> list[float]:
    """Presentation times by PyAV alone."""
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def assert_one_line(stderr: str, *parts: str) -> None:
    lines = [line for line in stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, stderr
    assert "Traceback" not in stderr
    for part in parts:
        assert part in lines[0]


def test_demo_clip_to_abaw_rows(tmp_path: Path) -> None:
    done = emorec(DEMO_CLIP, "--out", tmp_path / "preds.txt")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "preds.txt").read_text().splitlines()
    assert lines[0] == "image_location," + ",".join(EXPRESSIONS)
    assert lines[1].startswith("demo/00001.jpg,")
    assert len(lines) == 1 + len(frame_times(DEMO_CLIP))
    assert {line.split(",")[1] for line in lines[1:]} <= {str(k) for k in range(8)}
    assert "default model" in done.stderr
    assert "x real time" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["preds.txt"]


def test_csv_and_jsonl_say_the_same(tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl"):
        assert emorec(DEMO_CLIP, "-q", "--out", tmp_path / f"p.{suffix}").returncode == 0
    with (tmp_path / "p.csv").open() as file:
        table = list(csv.DictReader(file))
    objects = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert len(table) == len(objects)
    for row, record in zip(table, objects, strict=True):
        assert row["label"] == record["label"]
        assert int(row["frame"]) == record["frame"]
        assert float(row["time_seconds"]) == record["time_seconds"]
        assert {name: float(row[name]) for name in EXPRESSIONS} == record["probabilities"]
        assert abs(sum(record["probabilities"].values()) - 1) < 1e-3


def test_standard_output_is_json_lines() -> None:
    done = emorec(DEMO_CLIP, "--quiet")
    assert done.returncode == 0
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == len(frame_times(DEMO_CLIP))


def test_several_inputs_into_a_folder(tmp_path: Path) -> None:
    shutil.copy(DEMO_CLIP, tmp_path / "a.mp4")
    shutil.copy(DEMO_CLIP, tmp_path / "b.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    done = emorec(tmp_path, "--out-dir", tmp_path / "out", "--format", "csv")
    assert done.returncode == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.csv", "b.csv"]
    assert (tmp_path / "out" / "a.csv").read_text() == (tmp_path / "out" / "b.csv").read_text()
    assert_one_line(done.stderr, "broken.mp4")
    assert "2 of 3 inputs done, 1 failed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["missing.mp4", "--out", "p.txt"], "missing.mp4"),
        ([DEMO_CLIP, "--out", "p.unknown"], "--format"),
        ([DEMO_CLIP, "another.mp4", "--out", "p.txt"], "--out-dir"),
        ([DEMO_CLIP, "--bundle", "nowhere"], "nowhere"),
        ([DEMO_CLIP, "--precision", "fp16"], "fp16"),
    ],
)
def test_wrong_calls_end_in_one_line(arguments: list[str], part: str) -> None:
    done = emorec(*arguments)
    assert done.returncode in {1, 2}
    assert_one_line(done.stderr, part)


def test_nothing_is_left_where_the_output_fails(tmp_path: Path) -> None:
    (tmp_path / "taken.txt").mkdir()
    done = emorec(DEMO_CLIP, "--out", tmp_path / "taken.txt")
    assert done.returncode == 1
    assert_one_line(done.stderr, "taken.txt")
    assert list(tmp_path.rglob("*.part")) == []


def change_byte(bundle: Path) -> None:
    path = next(bundle.glob("vision.*.onnx"))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def edit_manifest(old: str, new: str):
    def edit(bundle: Path) -> None:
        path = bundle / "manifest.json"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda bundle: [path.unlink() for path in bundle.glob("audio.*.onnx")], "missing"),
        (change_byte, "changed"),
        (lambda bundle: (bundle / "manifest.json").unlink(), "manifest.json"),
        (lambda bundle: (bundle / "manifest.json").write_text("{"), "manifest.json"),
        (edit_manifest('"schema_version": 1', '"schema_version": 99'), "schema version 99"),
        (edit_manifest('"chunk_tokens"', '"chunk_tokenz"'), "chunk_token"),
        (edit_manifest('"steps": 60', '"steps": 61'), "fusion"),
        (edit_manifest('"file": "', '"file": "../'), "file"),
    ],
)
def test_a_wrong_bundle_ends_in_one_line(tmp_path: Path, damage, part: str) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(DEFAULT_FOLDER, bundle)
    damage(bundle)
    done = emorec(DEMO_CLIP, "--bundle", bundle, "--out", tmp_path / "p.txt")
    assert done.returncode == 1
    assert_one_line(done.stderr, part)
    assert not (tmp_path / "p.txt").exists()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from emorec_rt.cli import cli\n"
        "try: cli.main(['--help'], standalone_mode=False)\n"
        "finally: print(sorted({'numpy', 'cv2', 'av', 'onnxruntime', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "VIDEO..." in done.stdout


def test_a_run_imports_no_workshop_library() -> None:
    code = (
        "import sys, emorec_rt\n"
        f"rows = list(emorec_rt.load().stream({str(DEMO_CLIP)!r}))\n"
        "print(len(rows), sorted({'torch', 'onnx', 'transformers', 'scipy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == [str(len(frame_times(DEMO_CLIP))), "[]\n"]


class TestRealMedia:
    def test_a_row_for_each_frame_at_the_container_s_time(self, media_root: Path, tmp_path: Path) -> None:
        files = sorted(
            path for path in (media_root / "faces").rglob("*") if path.suffix != ".yuv" and path.is_file()
        )
        done = emorec(*files, "--out-dir", tmp_path, "--format", "csv", timeout=8 * MINUTE)
        assert done.returncode == 0, done.stderr
        for path in files:
            named = [tmp_path / f"{name}.csv" for name in (path.name, path.stem)]
            with next(result for result in named if result.is_file()).open() as file:
                rows = list(csv.DictReader(file))
            times = [time for time in decoded_times(path) if time is not None]
            assert len(rows) == len(decoded_times(path)), path
            if len(times) == len(rows):
                worst = max(abs(float(row["time_seconds"]) - t) for row, t in zip(rows, times, strict=True))
                assert worst < 1e-3, path

    @pytest.mark.parametrize("part", range(PARTS))
    def test_edge_cases_end_in_rows_or_one_line(self, media_root: Path, tmp_path: Path, part: int) -> None:
        short = [path for path in edge_cases(media_root) if not is_long(path)]
        self.check_edge_cases(short[part::PARTS], tmp_path)

    @pytest.mark.slow
    def test_long_edge_cases_end_in_rows_or_one_line(self, media_root: Path, tmp_path: Path) -> None:
        self.check_edge_cases([path for path in edge_cases(media_root) if is_long(path)], tmp_path)

    def check_edge_cases(self, files: list[Path], tmp_path: Path) -> None:
        done = emorec("--out-dir", tmp_path, "--format", "csv", "--", *files, timeout=8 * MINUTE)
        assert "Traceback" not in done.stderr
        failed = [line for line in done.stderr.splitlines() if line.startswith("error:")]
        assert done.returncode == bool(failed)  # the empty one fails; the others are done all the same
        assert len(failed) + len(list(tmp_path.rglob("*.csv"))) == len(files)
        for path in files:
            frames, whole = plain_frames(path)
            result = next((tmp_path / n for n in result_names(path) if (tmp_path / n).is_file()), None)
            if result is None:
                assert frames == 0, path
                assert sum(str(path) in line for line in failed) == 1, path
                continue
            rows = len(result.read_text().splitlines()) - 1
            assert rows >= max(frames, 1), path
            assert rows == frames or not frames or not whole, path


def edge_cases(media_root: Path) -> list[Path]:
    return sorted(path for path in (media_root / "edge").rglob("*") if path.is_file())


def is_long(path: Path) -> bool:
    """Files of ten thousand frames take a minute."""
    return path.name.startswith("long_")


def result_names(path: Path) -> tuple[str, str]:
    """What a result may be called: inputs that share a stem keep their suffixes."""
    return f"{path.name}.csv", f"{path.stem}.csv"


def plain_frames(path: Path) -> tuple[int, bool]:
    """Frames that PyAV decodes of FFmpeg's best video track, and whether it came to the end."""
    count = 0
    with (
        contextlib.suppress(av.error.FFmpegError),
        av.open(str(path), **UNDECODABLE_TAGS) as container,
    ):
        stream = container.streams.best("video")
        if stream is not None:
            one_thread(stream)
        for _ in container.decode(stream) if stream is not None else ():
            count += 1
        return count, True
    return count, False


def one_thread(stream: av.VideoStream) -> None:
    """FFmpeg 7's slice threads, PyAV's default, wait for ever at times (HEVC, from eight cores on)."""
    stream.codec_context.thread_count = 1


def decoded_times(path: Path) -> list[float | None]:
    """Time of each frame that plain PyAV decodes; ``None`` where the container has none."""
    with av.open(str(path)) as container:
        one_thread(container.streams.video[0])
        return [
            None if frame.pts is None else float(frame.pts * frame.time_base)
            for frame in container.decode(video=0)
        ]
