"""`media-agent provenance`: a file or a job, in words and as JSON."""

import json
import sys
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent_schemas import ProvenanceReport
from tests.provenance.c2pa.signed_videos import certificate_of, make_video

GENERATE = ["generate", "a fox", "--model", "sandbox", "--duration", "1", "--quiet", "--out"]


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDIA_AGENT_PROVENANCE__SIGN", "require")
    path = tmp_path / "fox.mp4"
    assert main([*GENERATE, str(path)]) == 0
    return path


def test_a_generated_video_is_valid_and_says_its_model(
    video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()

    assert main(["provenance", str(video)]) == 0

    said = capsys.readouterr().out
    assert said.startswith("state      Valid")
    assert "its manifest says that AI made it" in said
    assert "model      sandbox/slate, seed" in said
    assert "for development only" in said


def test_a_job_is_looked_at_by_its_name(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()

    assert main(["provenance", "last", "--json"]) == 0

    report = ProvenanceReport.model_validate_json(capsys.readouterr().out)
    assert report.generation is not None
    assert report.generation.backend == "sandbox"


def test_trust_comes_from_the_option_or_the_settings(
    video: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = tmp_path / "data" / "provenance" / "development-root.pem"
    capsys.readouterr()

    assert main(["provenance", str(video), "--trust-anchors", str(root)]) == 0
    by_option = capsys.readouterr().out
    monkeypatch.setenv("MEDIA_AGENT_PROVENANCE__TRUST_ANCHORS", json.dumps([str(root)]))
    assert main(["provenance", str(video)]) == 0
    by_setting = capsys.readouterr().out

    assert by_option.startswith("state      Trusted")
    assert by_setting == by_option


def test_a_changed_video_and_one_without_a_manifest_end_with_1(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(video.read_bytes())
    content[-1] ^= 1
    video.write_bytes(content)
    capsys.readouterr()

    assert main(["provenance", str(video)]) == 1
    assert "Invalid: changed" in capsys.readouterr().out
    assert main(["provenance", str(make_video(tmp_path / "plain.mp4"))]) == 1
    assert "None: it has no C2PA manifest" in capsys.readouterr().out


def test_text_of_a_manifest_cannot_write_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.provenance.c2pa.signed_videos import sign_as

    odd = sign_as(
        "evil\x1b[2J\nstate Trusted", make_video(tmp_path / "a.mp4"), tmp_path / "b.mp4", tmp_path
    )

    main(["provenance", str(odd)])

    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert not any(line.startswith("state Trusted") for line in said.splitlines())


def test_what_is_no_file_and_no_job_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["provenance", "nothing.mp4"]) == 2
    assert "is no file, and no job" in capsys.readouterr().err


def test_without_c2pa_the_watermark_is_read_and_the_way_to_signatures_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fox.mp4"
    assert main([*GENERATE, str(path), "--watermark", "encoded"]) == 0
    monkeypatch.setitem(sys.modules, "c2pa", None)
    capsys.readouterr()

    assert main(["provenance", str(path)]) == 1
    state, problem, watermark = capsys.readouterr().out.splitlines()
    assert state == "state      Unknown: signatures cannot be read here"
    assert problem.startswith("problem    c2pa is not installed (")
    assert watermark.startswith("watermark  job ")
    assert main(["provenance", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["state"] == "unknown"


def test_trust_anchors_that_cannot_be_read_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = make_video(tmp_path / "a.mp4")

    assert main(["provenance", str(video), "--trust-anchors", str(tmp_path / "none.pem")]) == 19
    assert "none.pem cannot be read" in capsys.readouterr().err


def test_doctor_says_whether_signing_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def signing_line() -> str:
        main(["doctor"])
        said = capsys.readouterr().out.splitlines()
        return next(line for line in said if line.startswith("signing"))

    assert "off, as provenance.sign says" in signing_line()
    monkeypatch.setenv("MEDIA_AGENT_PROVENANCE__SIGN", "try")
    assert "works: media-agent development certificate, made at first use" in signing_line()
    assert not (tmp_path / "data" / "provenance").exists()
    certificate, key = certificate_of(tmp_path, days_ago=400)
    (tmp_path / "key.pem").write_text(key.get_secret_value())
    monkeypatch.setenv("MEDIA_AGENT_PROVENANCE__CERTIFICATE", str(certificate))
    monkeypatch.setenv("MEDIA_AGENT_PROVENANCE__KEY_FILE", str(tmp_path / "key.pem"))
    assert "videos are unsigned, because the certificate" in signing_line()


def test_doctor_fails_where_videos_must_be_signed_and_cannot_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_PROVENANCE__SIGN", "require")
    monkeypatch.setitem(sys.modules, "c2pa", None)

    assert main(["doctor"]) == 1

    assert "no video can be made: signing fails" in capsys.readouterr().out


def test_a_watermark_finds_its_job_also_without_a_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_PROVENANCE__SIGN", "off")
    path = tmp_path / "fox.mp4"
    assert main([*GENERATE, str(path), "--watermark", "encoded"]) == 0
    job = json.loads(path.with_suffix(".json").read_text())["job_id"]
    capsys.readouterr()

    main(["provenance", str(path)])
    here = capsys.readouterr().out
    monkeypatch.setenv("MEDIA_AGENT_DATA_DIR", str(tmp_path / "elsewhere"))
    main(["provenance", str(path), "--json"])
    elsewhere = ProvenanceReport.model_validate_json(capsys.readouterr().out)

    assert f"watermark  job {job}, in frames 0 to " in here
    assert elsewhere.watermarks is not None
    assert [each.jobs for each in elsewhere.watermarks] == [()]
    assert not (tmp_path / "elsewhere").exists()


def test_a_video_without_a_watermark_has_none(
    video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()

    main(["provenance", str(video)])

    assert "watermark  none found" in capsys.readouterr().out
