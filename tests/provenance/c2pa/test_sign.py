"""Signed files, as c2pa itself and as we read them."""

import json
import logging
import shutil
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import c2pa
import pytest
from hypothesis import given
from hypothesis import strategies as some

from media_agent.errors import InvalidRequestError, StorageError
from media_agent.provenance.c2pa.ingredients import has_manifest
from media_agent.provenance.c2pa.manifest import GENERATED, Ingredient
from media_agent.provenance.c2pa.read import read_provenance
from media_agent.provenance.c2pa.sign import read_signed, sign_file
from media_agent.provenance.c2pa.words import provenance_in_words
from media_agent.video.codec import read_frames
from media_agent_schemas.provenance import ProvenanceState
from tests.provenance.c2pa.authority import timestamp_authority
from tests.provenance.c2pa.signed_videos import (
    CREATED,
    development,
    make_video,
    manifest_of,
    sign_as,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signed")
    make_video(folder / "plain.mp4")
    sign_as("somebody", folder / "plain.mp4", folder / "signed.mp4", folder)
    return folder


def open_of(ingredient: int) -> dict[str, object]:
    parameters = {"ingredientIds": [f"ingredient-{ingredient}"]}
    return {"action": "c2pa.opened", "digitalSourceType": GENERATED, "parameters": parameters}


def test_a_signed_file_is_valid_and_its_frames_are_the_same(folder: Path) -> None:
    said = json.loads(c2pa.Reader(str(folder / "signed.mp4")).json())

    assert said["validation_state"] == "Valid"
    assert has_manifest(folder / "signed.mp4")
    assert not has_manifest(folder / "plain.mp4")
    before, after = (read_frames(folder / name) for name in ("plain.mp4", "signed.mp4"))
    assert (before == after).all()


def test_a_file_is_trusted_by_those_who_trust_the_root(folder: Path) -> None:
    trusted = read_provenance(folder / "signed.mp4", [folder / "development-root.pem"])

    assert trusted.state is ProvenanceState.TRUSTED
    assert trusted.ai_generated is True
    assert trusted.is_development
    assert trusted.generator == "somebody 1"
    assert read_provenance(folder / "signed.mp4").state is ProvenanceState.VALID


def test_a_file_without_a_manifest_says_nothing(folder: Path) -> None:
    (folder / "text.txt").write_text("a text")

    for name in ("plain.mp4", "text.txt"):
        assert read_provenance(folder / name).state is ProvenanceState.NONE


def find_content(path: Path) -> range:
    """Return where the frames of a video are."""
    start = path.read_bytes().index(b"mdat") + 4
    return range(start, path.stat().st_size)


def test_one_flipped_byte_of_the_frames_makes_it_invalid(folder: Path) -> None:
    content, changed = (folder / "signed.mp4").read_bytes(), folder / "changed.mp4"
    frames = find_content(folder / "signed.mp4")

    for place in (frames[0], frames[len(frames) // 2], frames[-1]):
        changed.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        report = read_provenance(changed)
        assert report.state is ProvenanceState.INVALID
        assert report.problems


@given(place=some.integers(0), bit=some.integers(0, 7))
def test_a_flipped_bit_anywhere_is_seen_or_changes_nothing_that_is_signed(
    folder: Path, place: int, bit: int
) -> None:
    content = bytearray((folder / "signed.mp4").read_bytes())
    place %= len(content)
    content[place] ^= 1 << bit
    changed = folder / "flipped.mp4"
    changed.write_bytes(content)

    report = read_provenance(changed)

    if report.state in (ProvenanceState.VALID, ProvenanceState.TRUSTED):
        assert report.generator == "somebody 1"
        assert report.ai_generated is True
        assert (read_frames(changed) == read_frames(folder / "signed.mp4")).all()


def test_the_manifest_of_an_ingredient_is_kept(folder: Path) -> None:
    target = folder / "opened.mp4"
    source = Ingredient("upstream", "parentOf", folder / "signed.mp4")

    signed = sign_file(
        folder / "plain.mp4",
        target,
        manifest_of("media-agent", open_of(0)),
        [source, Ingredient("elsewhere", "inputTo", None)],
        development(folder),
    )

    report = read_provenance(target)
    assert (signed.ingredients, signed.kept_manifests) == (2, 1)
    assert report.state is ProvenanceState.VALID
    assert [each.state for each in report.ingredients] == ["valid", "none"]
    assert report.ingredients[0].generator == "somebody 1"
    assert report.ingredients[0].ai_generated is True
    assert read_signed(target) == signed


def test_an_ingredient_that_was_changed_is_kept_and_said_to_be_invalid(folder: Path) -> None:
    content = bytearray((folder / "signed.mp4").read_bytes())
    content[find_content(folder / "signed.mp4")[-1]] ^= 1
    (folder / "damaged.mp4").write_bytes(content)
    source = Ingredient("upstream", "parentOf", folder / "damaged.mp4")

    target = folder / "of-damaged.mp4"
    sign_file(
        folder / "plain.mp4", target, manifest_of("m", open_of(0)), [source], development(folder)
    )

    report = read_provenance(target)
    assert report.state is ProvenanceState.VALID
    assert report.ingredients[0].state is ProvenanceState.INVALID


def test_an_ingredient_that_cannot_be_read_is_listed_without_its_manifest(folder: Path) -> None:
    content = (folder / "signed.mp4").read_bytes()
    (folder / "torn.mp4").write_bytes(content.replace(b"c2pa.actions", b"c2pa.axtions", 1))
    contents = [folder / "torn.mp4", folder / "gone.mp4", b"\x89PNG and nothing", folder]

    target = folder / "of-torn.mp4"
    signed = sign_file(
        folder / "plain.mp4",
        target,
        manifest_of("m", CREATED),
        [Ingredient("odd", "inputTo", each) for each in contents],
        development(folder),
    )

    assert (signed.ingredients, signed.kept_manifests) == (4, 0)
    assert read_provenance(target).state is ProvenanceState.VALID


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x1aE\xdf\xa3 a WebM" * 10, r"odd\.mp4 is no MP4, and only an MP4 can be signed"),
        (b"\0\0\0\x18ftypisom" + b"\xff" * 90, r"odd\.mp4 cannot be signed"),
    ],
    ids=["WebM", "damaged"],
)
def test_what_cannot_be_signed_leaves_no_file(folder: Path, content: bytes, said: str) -> None:
    (folder / "odd.mp4").write_bytes(content)

    with pytest.raises(StorageError, match=said):
        sign_file(
            folder / "odd.mp4",
            folder / "target.mp4",
            manifest_of("m", CREATED),
            (),
            development(folder),
        )

    assert not (folder / "target.mp4").exists()
    assert not list(folder.glob(".target*"))


def test_a_signed_file_that_is_not_whole_is_not_taken_for_one(folder: Path) -> None:
    content = (folder / "signed.mp4").read_bytes()
    (folder / "half.mp4").write_bytes(content[:-20])

    assert read_signed(folder / "half.mp4") is None
    assert read_signed(folder / "plain.mp4") is None


def test_no_address_in_a_manifest_is_followed(folder: Path) -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    credentials = development(folder)
    signer = c2pa.Signer.from_callback(
        credentials.sign, c2pa.C2paSigningAlg.ES256, credentials.chain.decode(), None
    )
    builder = c2pa.Builder(manifest_of("remote", CREATED))
    builder.set_no_embed()
    builder.set_remote_url(f"http://127.0.0.1:{server.server_port}/manifest")
    remote = folder / "remote.mp4"
    remote.unlink(missing_ok=True)
    builder.sign_file(str(folder / "plain.mp4"), str(remote), signer)

    report = read_provenance(remote)
    sign_file(
        folder / "plain.mp4",
        folder / "of-remote.mp4",
        manifest_of("m", CREATED),
        [Ingredient("remote", "inputTo", remote)],
        credentials,
    )
    server.shutdown()

    assert asked == []
    assert report.state is ProvenanceState.NONE
    assert report.problems == ("its manifest lies elsewhere and was not fetched",)


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"gone\.mp4 cannot be read"):
        read_provenance(folder / "gone.mp4")


def test_the_key_is_in_no_log_and_in_no_file(
    folder: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)

    sign_as("m", folder / "plain.mp4", tmp_path / "video.mp4", tmp_path)

    secret = (tmp_path / "development.pem").read_text().partition("PRIVATE KEY-----")[2]
    for line in filter(lambda line: len(line) > 20, secret.splitlines()):
        assert line not in caplog.text
        assert line.encode() not in (tmp_path / "video.mp4").read_bytes()


def test_a_report_in_words_names_what_counts(folder: Path) -> None:
    said = list(provenance_in_words(read_provenance(folder / "signed.mp4")))

    assert said[0][1].startswith("Valid: unchanged")
    assert ("made with", "somebody 1") in said
    assert any(name == "signer" and "for development only" in fact for name, fact in said)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl answers as an authority")
def test_a_timestamp_authority_says_when_it_was_signed(folder: Path, tmp_path: Path) -> None:
    with timestamp_authority(tmp_path) as url:
        signed = sign_file(
            folder / "plain.mp4",
            tmp_path / "timed.mp4",
            manifest_of("m", CREATED),
            (),
            development(folder),
            timestamp_url=url,
        )

    report = read_provenance(tmp_path / "timed.mp4")
    trusting = read_provenance(tmp_path / "timed.mp4", [tmp_path / "tsa-root.pem"])
    assert signed.timestamped
    assert (report.is_time_trusted, trusting.is_time_trusted) == (False, True)
    assert report.signed_at is not None
    assert abs((report.signed_at - datetime.now(UTC)).total_seconds()) < 3600
