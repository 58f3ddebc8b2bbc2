"""What media-agent finds on a machine, and what it says to do about what is missing."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent.config.stored_keys import StoredKey, StoredKeys
from media_agent.provenance.c2pa.ready import Readiness
from media_agent.setup.doctor import Checkup, Verdict, examine
from tests.project.test_base_install import WITHOUT
from tests.project.test_cold_start import TORCH, loaded_after

SECRET = "sk-very-secret-4711"


def checkup_of(
    *verdicts: Verdict, year: int = 2030, encoders: tuple[tuple[str, bool], ...] = ()
) -> Checkup:
    """Return what would be found on a machine that has nothing else."""
    return Checkup(
        cores=1,
        memory_bytes=1,
        free_memory_bytes=1,
        gpus=(),
        disks={},
        encoders=dict(encoders),
        clock=datetime(year, 1, 1, tzinfo=UTC),
        keys={},
        signing=Readiness(works=True, said="works"),
        must_sign=False,
        findings=(),
        verdicts=verdicts,
    )


def verdict_of(checkup: Checkup, backend: str) -> Verdict:
    return next(each for each in checkup.verdicts if each.backend == backend)


def test_a_backend_without_its_key_is_mended_by_a_command() -> None:
    found = verdict_of(examine(gpus=()), "fal")

    assert (found.ready, found.missing) == ((), "a key")
    assert "media-agent keys set fal" in (found.mend or "")


def test_a_key_is_named_by_its_source_and_never_shown(capsys: pytest.CaptureFixture[str]) -> None:
    StoredKeys().set("fal", StoredKey(key=SECRET))

    main(["doctor"])
    said = capsys.readouterr().out
    found = examine(gpus=())

    assert "key       fal: the key stored for fal" in said
    assert SECRET not in said + repr(found)
    assert verdict_of(found, "fal").ready


def test_a_fault_in_the_settings_is_listed_and_the_rest_is_examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "media-agent.toml"
    file.write_text('polcy = "strict"\n[backends.mine]\nkind = "comand"\n')
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(file))

    checkup = examine(gpus=())

    texts = [finding.text for finding in checkup.findings if finding.is_fault]
    assert any(f"{file}:1: polcy" in text for text in texts)
    assert any(f"{file}:3: backends.mine.kind" in text for text in texts)
    assert "unknown kind 'comand'" in (verdict_of(checkup, "mine").missing or "")
    assert verdict_of(checkup, "sandbox").ready


def test_a_file_that_is_no_toml_keeps_nothing_from_being_examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "media-agent.toml"
    file.write_text("= nothing")
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(file))

    checkup = examine(gpus=())

    assert [finding.is_fault for finding in checkup.findings] == [True]
    assert verdict_of(checkup, "sandbox").ready


def test_a_variable_that_cannot_be_read_keeps_nothing_from_being_examined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_BUDGET", "{")

    checkup = examine(gpus=())

    assert "the environment cannot be read" in checkup.findings[0].text
    assert verdict_of(checkup, "sandbox").ready


def test_a_container_has_the_memory_that_it_is_granted(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("1000000\n")

    granted = examine(gpus=(), memory_limit=limit)
    limit.write_text("max\n")
    whole = examine(gpus=(), memory_limit=limit)

    assert (granted.memory_bytes, granted.free_memory_bytes) == (10**6, 10**6)
    assert whole.memory_bytes > 10**6


def test_only_a_ready_backend_and_whole_encoders_make_videos() -> None:
    sandbox, local = Verdict("sandbox", ("sandbox/slate",)), Verdict("mine", ("mine/model",))

    assert not checkup_of(sandbox).can_make_video
    assert checkup_of(sandbox, local).can_make_video
    assert not checkup_of(local, encoders=(("libx264", False),)).can_make_video


@pytest.mark.parametrize(("year", "plausible"), [(1970, False), (2030, True), (2199, False)])
def test_the_year_of_the_clock_is_judged(year: int, plausible: bool) -> None:
    assert checkup_of(year=year).is_clock_plausible is plausible


def test_the_json_has_everything_and_the_exit_code_says_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["doctor", "--json"])

    said = json.loads(capsys.readouterr().out)
    assert code == (0 if said["can_make_video"] else 1)
    assert said["encoders"] == {"libx264": True, "aac": True}
    assert said["cores"] >= 1
    assert said["disks"][0]["folder"] == str(tmp_path / "data")
    assert {"sandbox", "magi", "fal"} <= {each["backend"] for each in said["backends"]}
    assert not (tmp_path / "data").exists()


def test_without_any_library_it_says_what_to_install_and_fails() -> None:
    code = "from media_agent.cli import main\nraise SystemExit(main(['doctor']))"

    result = subprocess.run(
        [sys.executable, "-c", WITHOUT + code], capture_output=True, text=True, timeout=60
    )

    assert result.returncode == 1, result.stderr
    assert "torch, safetensors, numpy" in result.stdout
    assert "[magi]" in result.stdout
    assert "no video can be made yet" in result.stdout


def test_it_loads_no_torch() -> None:
    loaded = loaded_after("from media_agent.setup.doctor import examine\nexamine(gpus=())")

    assert loaded & TORCH == set()
