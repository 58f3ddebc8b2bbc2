"""Manifests with odd content, ours and those of others, and disks that take no file."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from media_agent.errors import StorageError
from media_agent.provenance.c2pa.manifest import LABEL
from media_agent.provenance.c2pa.read import read_provenance
from media_agent.provenance.c2pa.sign import sign_file
from media_agent.provenance.c2pa.words import provenance_in_words
from media_agent_schemas.provenance import ProvenanceState
from tests.provenance.c2pa.signed_videos import CREATED, development, make_video, manifest_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signed")
    make_video(folder / "plain.mp4")
    return folder


def test_whoever_says_to_be_us_is_said_to_say_so(folder: Path, tmp_path: Path) -> None:
    claim = {"job_id": "20260101-1", "backend": "magi", "model": "tiny"}
    forged = manifest_of("media-agent", CREATED)
    forged["assertions"].append({"label": LABEL, "data": claim})
    sign_file(folder / "plain.mp4", tmp_path / "f.mp4", forged, (), development(tmp_path))

    said = list(provenance_in_words(read_provenance(tmp_path / "f.mp4")))

    names = [name for name, _ in said]
    assert ("word", "all that follows is said by the signer, who may be anybody") in said
    assert names.index("word") < names.index("made with") < names.index("job")


@pytest.mark.parametrize("content", [{"n": 2**64 - 1}, {"n": float("nan")}])
def test_what_a_manifest_cannot_hold_is_an_error_and_no_file(
    folder: Path, tmp_path: Path, content: dict[str, object]
) -> None:
    manifest = manifest_of("m", CREATED)
    manifest["assertions"].append({"label": "org.example.odd", "data": content})

    with pytest.raises(StorageError, match=r"plain\.mp4 cannot be signed"):
        sign_file(folder / "plain.mp4", tmp_path / "o.mp4", manifest, (), development(folder))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", [1_000_000, 1])
def test_why_a_signed_file_cannot_be_written_is_said(
    folder: Path, tmp_path: Path, missing: int
) -> None:
    padding = struct.pack(">I4s", 2_000_008, b"free") + bytes(2_000_000)
    video = tmp_path / "large.mp4"
    video.write_bytes((folder / "plain.mp4").read_bytes() + padding)
    most = video.stat().st_size + 500 - missing  # less than the manifest needs, or than the frames
    words = [sys.executable, "-m", "tests.provenance.c2pa.full_disk", video, tmp_path / "s.mp4"]

    said = subprocess.run([*words, str(most)], capture_output=True, text=True, timeout=60)

    assert said.stdout == f"{tmp_path / 's.mp4'} cannot be written: File too large\n"
    assert not list(tmp_path.glob("*s.mp4*"))


@pytest.mark.parametrize("when", ["2026-01-01T00:00:00", "never"])
def test_a_time_without_a_zone_is_no_time(folder: Path, tmp_path: Path, when: str) -> None:
    manifest = manifest_of("m", {**CREATED, "when": when})
    sign_file(folder / "plain.mp4", tmp_path / "t.mp4", manifest, (), development(folder))

    report = read_provenance(tmp_path / "t.mp4")

    assert (report.state, report.claimed_at) == (ProvenanceState.VALID, None)


def test_half_a_letter_in_the_name_of_a_model_is_no_obstacle(folder: Path, tmp_path: Path) -> None:
    manifest = manifest_of("half \ud800", CREATED)

    sign_file(folder / "plain.mp4", tmp_path / "h.mp4", manifest, (), development(folder))

    assert read_provenance(tmp_path / "h.mp4").generator == "half ? 1"
