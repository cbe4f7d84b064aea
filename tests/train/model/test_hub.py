"""Files of the hub: what keeps them away is named, and all parts of weights are fetched."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import huggingface_hub
import pytest
from huggingface_hub import errors
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from emorec_train.model.audio import AudioEncoder
from emorec_train.model.audio_weights import adopt_audio, find_audio, load_audio
from emorec_train.model.clip_files import find_clip
from emorec_train.model.hub import WeightsError
from random_weights import AUDIO, write_audio
from small_model import config

HTTP_ERROR = errors.HfHubHTTPError.__bases__[0]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that downloads come from."""
    remote, kept = tmp_path / "remote", tmp_path / "snapshots" / COMMIT
    remote.mkdir()

    def download(repository: str, name: str, **_: object) -> str:
        if not (remote / name).is_file():
            raise errors.RemoteEntryNotFoundError(f"{repository} lacks {name}", response=Mock())
        kept.mkdir(parents=True, exist_ok=True)
        return str(shutil.copy(remote / name, kept / name))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return remote


def refuse(monkeypatch: pytest.MonkeyPatch, error: Exception, cause: Exception | None = None) -> None:
    def download(*_: object, **__: object) -> str:
        raise error from cause

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)


@pytest.mark.parametrize(
    ("error", "cause", "expected"),
    [
        (errors.LocalEntryNotFoundError("no copy"), TimeoutError("timed out"), "can't be had: timed out;"),
        (HTTP_ERROR("The read timed out"), None, "can't be had: The read timed out;"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/hub/x"),
            None,
            "/hub/x: No space left on device;",
        ),
        (errors.GatedRepoError("403", response=Mock()), None, "org/model is gated; accept its terms"),
        (errors.RepositoryNotFoundError("404", response=Mock()), None, "the hub has no org/model, or"),
        (errors.RevisionNotFoundError("404", response=Mock()), None, "org/model has no revision v9;"),
        (errors.RemoteEntryNotFoundError("404", response=Mock()), None, "org/model has no "),
    ],
)
def test_what_keeps_a_file_away_is_named(
    error: Exception, cause: Exception | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, error, cause)
    calls: list[Callable[[], object]] = [
        lambda: find_audio("org/model", "v9", offline=False),
        lambda: find_clip("hf-hub:org/model", "v9", offline=False),
    ]
    for call in calls:
        with pytest.raises(WeightsError) as caught:
            call()
        assert expected in str(caught.value)
        assert "run `hf download org/model" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_no_repository() -> None:
    with pytest.raises(WeightsError, match="/no/such/folder is neither a folder nor the id of a repository"):
        find_audio("/no/such/folder", "", offline=False)


def test_every_part_of_sharded_weights_is_fetched(hub: Path) -> None:
    encoder = Wav2Vec2Model(Wav2Vec2Config(**AUDIO)).eval()
    encoder.save_pretrained(hub, max_shard_size="40KB")
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(hub)
    assert len(list(hub.glob("model-*-of-*.safetensors"))) > 1
    weights = find_audio("org/model", "", offline=False)
    model = adopt_audio(config(), weights)
    module = AudioEncoder(model.audio, model.preprocessing.audio)
    load_audio(weights, "org/model", module)
    own, published = module.wav2vec2.state_dict(), encoder.state_dict()
    assert all(bool((value == published[name]).all()) for name, value in own.items())
    next(hub.glob("model-*-of-*.safetensors")).unlink()
    with pytest.raises(WeightsError, match=r"org/model has no model-\d+-of-\d+.safetensors"):
        find_audio("org/model", "", offline=False)


def test_a_feature_extractor_is_missed_only_where_there_is_none(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How sound is normalised must not depend on the weather on the network."""
    write_audio(hub / "saved", normalize=False)
    for file in (hub / "saved").iterdir():
        file.rename(hub / file.name)
    assert find_audio("org/model", "", offline=False).normalize is False
    working = huggingface_hub.hf_hub_download

    def broken(repository: str, name: str, **keywords: object) -> str:
        if name == "preprocessor_config.json":
            raise TimeoutError("timed out")
        return str(working(repository, name, **keywords))  # type: ignore[arg-type]

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", broken)
    with pytest.raises(WeightsError, match="timed out"):
        find_audio("org/model", "", offline=False)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", working)
    (hub / "preprocessor_config.json").unlink()
    shutil.rmtree(hub.parent / "snapshots")
    assert find_audio("org/model", "", offline=False).normalize is True


def test_weights_by_address_come_with_a_file_to_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = {"url": "https://example.org/weights/clip-7.pt", "quick_gelu": True}
    monkeypatch.setattr("emorec_train.model.clip_files.get_pretrained_cfg", lambda *_: known)
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = r"run `curl -LO \S+/clip-7.pt`, copy clip-7.pt here and give --vision RN50:mine=clip-7.pt$"
    with pytest.raises(WeightsError, match=expected):
        find_clip("RN50:mine", "", offline=True)
