"""The programs of ``train/`` on small data in the layouts of real data sets."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file

from emorec_rt.constants import EXPRESSIONS
from emorec_train.features.cache import store
from emorec_train.model.checkpoint import load_checkpoint
from layouts import write_affwild2, write_cremad, write_ravdess, write_wave
from tiny_commands import call

TESTS = Path(__file__).parents[1]
TINY = ("--preset", "tiny", "--random-encoders", "--workers", "1")
WRITERS = {"affwild2": write_affwild2, "ravdess": write_ravdess, "cremad": write_cremad}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    return {name: write(folder / name) for name, write in WRITERS.items()}


def shards(cache: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (cache / "shards").iterdir()}


def rows(cache: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in cache.glob("shards/*/features.npy"))


@pytest.mark.parametrize("name", WRITERS)
def test_cache_then_train_then_checkpoint(name: str, roots: dict[str, Path], tmp_path: Path) -> None:
    data, cache = ("--data", f"{name}:{roots[name]}"), str(tmp_path / "cache")
    assert call("cache.py", *TINY, *data, "--out", cache) == 0
    before = shards(tmp_path / "cache")
    assert call("run.py", *TINY, *data, "--cache", cache, "--out", str(tmp_path / "cached")) == 0
    assert shards(tmp_path / "cache") == before
    assert call("run.py", *TINY, *data, "--out", str(tmp_path / "fly")) == 0
    for file in ("fusion.safetensors", "vision.safetensors"):
        cached, fly = (tmp_path / run / file for run in ("cached", "fly"))
        assert cached.read_bytes() == fly.read_bytes()
    checkpoint = load_checkpoint(tmp_path / "cached")
    expected = {
        "affwild2": EXPRESSIONS,
        "ravdess": EXPRESSIONS[:-1],
        "cremad": tuple(label for label in EXPRESSIONS if label not in ("Surprise", "Other")),
    }
    assert checkpoint.config.labels == expected[name]
    metrics = msgspec.json.decode((tmp_path / "cached/metrics.json").read_bytes())
    assert metrics["validation" if name == "affwild2" else "test"]["both"]["steps"] > 0
    assert ("test" in metrics) == (name != "affwild2")
    assert all(
        clip_id.startswith(f"{name}:") for ids in checkpoint.training.clips.values() for clip_id in ids
    )


def test_two_processes_train_one_model(roots: dict[str, Path], tmp_path: Path) -> None:
    cache, out = tmp_path / "cache", tmp_path / "run"
    processes = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    program = (str(TESTS / "tiny_commands.py"), "run.py", *TINY, "--data", f"ravdess:{roots['ravdess']}")
    folders = os.pathsep.join(str(TESTS.parent / folder) for folder in ("runtime", "train", "tests"))
    done = subprocess.run(
        [*processes, *program, "--cache", str(cache), "--out", str(out)],
        env={**os.environ, "PYTHONPATH": folders},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(out)]  # one of the two speaks
    assert load_checkpoint(out).config.labels == EXPRESSIONS[:-1]
    lines = (out / "log.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [
        [mode, str(epoch)] for mode in ("visual", "audio", "both") for epoch in (1, 2)
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "run"]


def test_several_sets_and_encoders_that_learn(roots: dict[str, Path], tmp_path: Path) -> None:
    data = [part for name in ("cremad", "ravdess") for part in ("--data", f"{name}:{roots[name]}")]
    tiny = ("--preset", "tiny-trained", "--random-encoders", "--workers", "1")
    assert call("run.py", *tiny, *data, "--labels", "Anger,Sadness,Fear", "--out", str(tmp_path / "run")) == 0
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint.config.labels == ("Anger", "Sadness", "Fear")
    assert len(checkpoint.training.clips["train"]) == 6
    for ids in checkpoint.training.clips.values():
        assert {clip_id.split(":")[0] for clip_id in ids} == {"cremad", "ravdess"}


def test_a_killed_cache_is_completed(roots: dict[str, Path], tmp_path: Path) -> None:
    arguments = ("cache.py", "--preset", "tiny", "--random-encoders", "--workers", "2")
    data = ("--data", f"ravdess:{roots['ravdess']}", "--data", f"cremad:{roots['cremad']}")
    cache = tmp_path / "cache"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, str(TESTS / "tiny_commands.py"), *arguments, *data, "--out", str(cache)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        while len(list(cache.glob("shards/*/shard.json"))) < 3:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    (cache / "shards" / ".emorec-0123456789abcdef.part").mkdir()
    finished = {path.parent.name for path in cache.glob("shards/[!.]*/shard.json")}
    before = {name: stamp for name, stamp in shards(cache).items() if name in finished}
    assert call(*arguments[:-1], "1", *data, "--out", str(cache)) == 0
    after = shards(cache)
    assert before.items() <= after.items()
    assert not (cache / "scratch").exists()
    assert call(*arguments[:-1], "1", *data, "--out", str(tmp_path / "whole")) == 0
    assert len(after) == len(shards(tmp_path / "whole")) > 30
    assert rows(cache) == rows(tmp_path / "whole")


def test_damage_is_found_and_made_again(
    roots: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("cache.py", *TINY, "--data", f"affwild2:{roots['affwild2']}", "--out", str(tmp_path / "c"))
    assert call(*arguments) == 0
    whole = rows(tmp_path / "c")
    damaged, cut, gone = sorted((tmp_path / "c").glob("shards/*"))
    content = bytearray((damaged / "features.npy").read_bytes())
    content[-5] ^= 1
    (damaged / "features.npy").write_bytes(content)
    (cut / "windows.npz").write_bytes((cut / "windows.npz").read_bytes()[:100])
    (gone / "shard.json").unlink()
    capsys.readouterr()
    assert call(*arguments) == 0
    told = capsys.readouterr().err
    assert f"{damaged}: features.npy is damaged; its clips are made again" in told
    assert f"{cut}: windows.npz is damaged" in told
    assert str(gone) in told
    assert rows(tmp_path / "c") == whole


def test_a_foreign_cache_is_refused(
    roots: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = ("--data", f"affwild2:{roots['affwild2']}"), ("--out", str(tmp_path / "c"))
    assert call("cache.py", *TINY, *data, *out) == 0
    assert call("cache.py", *TINY, *data, *out, "--seed", "1") == 1
    told = capsys.readouterr().err
    assert "made with another vision encoder, or with other weights; give another folder, or --remake" in told
    assert call("run.py", *TINY, *data, "--seed", "1", "--cache", str(tmp_path / "c")) == 1
    assert call("cache.py", *TINY, *data, *out, "--seed", "1", "--remake") == 0
    assert len(rows(tmp_path / "c")) == 3
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    assert call("cache.py", *TINY, *data, "--out", str(tmp_path / "thesis")) == 1
    assert "has files in it" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


def test_a_full_disk_is_one_line_and_keeps_what_is_finished(
    roots: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = []

    def write_some(*arguments: object) -> None:
        if len(written) == 2:
            raise OSError(28, os.strerror(28))
        written.append(arguments)
        write_shard(*arguments)  # type: ignore[arg-type]

    write_shard = store.write_shard
    monkeypatch.setattr(store, "write_shard", write_some)
    arguments = ("cache.py", *TINY, "--data", f"affwild2:{roots['affwild2']}", "--out", str(tmp_path / "c"))
    assert call(*arguments) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert errors == [f"error: {tmp_path / 'c'}: {store.DISK_FULL}"]
    assert len(rows(tmp_path / "c")) == 2
    monkeypatch.undo()
    assert call(*arguments) == 0
    assert len(rows(tmp_path / "c")) == 3


def test_unreadable_media_is_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_ravdess(tmp_path / "ravdess", actors=4)
    broken = next(root.rglob("01-01-01-01-01-01-03.mp4"))
    broken.write_bytes(broken.read_bytes()[:300])
    (root / "Audio_Speech_Actors_01-24/Actor_02/03-01-08-01-01-01-02.wav").write_bytes(b"no sound")
    assert call("run.py", *TINY, "--data", f"ravdess:{root}", "--out", str(tmp_path / "run")) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.endswith("left out")]
    assert [line.split(": ")[0].rpartition("/")[2] for line in lines] == [
        "01-01-01-01-01-01-03.mp4",
        "03-01-08-01-01-01-02.wav",
    ]
    trained = load_checkpoint(tmp_path / "run").training.clips
    assert len([clip_id for ids in trained.values() for clip_id in ids]) == 4 * 7 - 2


@pytest.mark.parametrize("split", ["Train_Set", "Validation_Set"])
def test_nothing_readable_in_a_split_is_an_error(
    split: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_affwild2(tmp_path / "aff")
    name = "10-25-96x96" if split == "Train_Set" else "video7"
    (root / "batch1" / f"{name}.mp4").write_bytes(b"nothing")
    assert call("run.py", *TINY, "--data", f"affwild2:{root}", "--out", str(tmp_path / "run")) == 1
    kind = split.split("_")[0].lower()
    assert f"error: training data: no clip of the {kind} split could be read" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_class_that_is_lost_with_its_files_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_cremad(tmp_path / "cremad")
    for path in root.rglob("*_HAP_HI.wav"):
        path.write_bytes(b"")
    assert call("run.py", *TINY, "--data", f"cremad:{root}", "--out", str(tmp_path / "run")) == 1
    assert "no sample of Happiness among the" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("--data", "ravdess"), 2, "give NAME:PATH"),
        (("--data", "imagenet:/data"), 2, "affwild2, ravdess, cremad"),
        (("--data", "ravdess:/nowhere"), 1, "no such folder"),
        (("--labels", "Anger,Fear"), 2, "go with --data"),
        (("--data", "csv:/nowhere.csv"), 1, "can't be read"),
    ],
)
def test_wrong_calls(
    arguments: tuple[str, ...],
    code: int,
    expected: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call("run.py", *TINY, *arguments, "--out", str(tmp_path / "run")) == code
    assert expected in capsys.readouterr().err


def test_a_cache_beside_encoders_that_learn_is_wrong_usage(
    roots: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--preset", "tiny-trained", "--random-encoders", "--data", f"affwild2:{roots['affwild2']}")
    assert call("run.py", *data, "--cache", str(tmp_path / "c"), "--out", str(tmp_path / "run")) == 2
    assert call("cache.py", *data, "--out", str(tmp_path / "c")) == 2
    assert "its own" in capsys.readouterr().err


def test_one_stream_alone_trains(tmp_path: Path) -> None:
    sounds, pictures = tmp_path / "sounds", tmp_path / "aff"
    for seed, (speaker, label) in enumerate(np.ndindex(4, 2)):
        write_wave(sounds / ("happy", "sad")[label] / f"s{speaker}_{seed}.wav", seed)
    data = ("--data", f"folder:{sounds}", "--speaker-pattern", "s\\d")
    assert call("run.py", *TINY, *data, "--out", str(tmp_path / "heard")) == 0
    write_affwild2(pictures)
    shutil.rmtree(pictures / "batch1")
    assert call("run.py", *TINY, "--data", f"affwild2:{pictures}", "--out", str(tmp_path / "seen")) == 0
    seen = msgspec.json.decode((tmp_path / "seen/metrics.json").read_bytes())
    heard = msgspec.json.decode((tmp_path / "heard/metrics.json").read_bytes())
    assert seen["validation"]["visual"]["steps"] > 0
    assert heard["test"]["audio"]["steps"] > 0


def test_pictures_then_a_sequence_model_on_top(
    roots: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for label in ("happy", "sad"):
            for number in range(count):
                path = tmp_path / "faces" / split / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), rng.integers(0, 256, (48, 48), np.uint8))
    faces = ("--data", f"folder:{tmp_path / 'faces'}", "--out", str(tmp_path / "stills"))
    tiny = ("--set", "stills.epochs=1", "--set", "model.vision.conv.channels=[4,4,4]")
    assert call("pictures.py", *faces, *tiny) == 0
    assert "macro F1" in capfd.readouterr().err
    named = ("--data", f"ravdess:{roots['ravdess']}", "--vision", f"stills:{tmp_path / 'stills'}")
    options = ("--preset", "people", "--workers", "1", "--effort", "0.01", "--out", str(tmp_path / "run"))
    assert call("run.py", *named, *options) == 0
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint.config.vision.conv is not None
    own, given = (load_file(tmp_path / name / "vision.safetensors") for name in ("run", "stills"))
    assert all((own[key] == given[key]).all() for key in given)


def test_pictures_without_data_are_wrong_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert call("pictures.py", "--data", "gif:/nowhere") == 2
    assert "give NAME:PATH" in capfd.readouterr().err
