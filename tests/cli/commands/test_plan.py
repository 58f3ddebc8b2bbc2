"""The command that shows who would make a video, and spends nothing."""

import json
import re
from datetime import date
from pathlib import Path

import pytest

from media_agent.builtin.sandbox import SandboxBackend
from media_agent.cli import main
from media_agent_schemas import Estimate
from media_agent_schemas.plan import PlanReport
from tests.provenance.c2pa.signed_videos import certificate_of

KEYED = """
[backends.fal]
key = "only-for-tests"

[routes.tiny]
allow = ["sandbox"]
"""


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(KEYED, encoding="utf-8")
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(path))


@pytest.mark.parametrize(
    ("sign", "level", "code"), [("try", "warning", 0), ("require", "error", 19)]
)
def test_a_certificate_that_has_expired_is_told(
    sign: str,
    level: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    certificate, key = certificate_of(tmp_path, days_ago=400)
    (tmp_path / "key.pem").write_text(key.get_secret_value())
    monkeypatch.setenv("MEDIA_AGENT_PROVENANCE__SIGN", sign)
    monkeypatch.setenv("MEDIA_AGENT_PROVENANCE__CERTIFICATE", str(certificate))
    monkeypatch.setenv("MEDIA_AGENT_PROVENANCE__KEY_FILE", str(tmp_path / "key.pem"))

    assert main(["plan", "a fox", "--allow", "sandbox"]) == code

    said = capsys.readouterr().err
    assert said.startswith(f"{level}: the video ")
    assert "own.pem expired on" in said


def test_ten_minutes_name_who_can_continue_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["plan", "--duration", "600", "--allow", "sandbox", "--allow", "fal", "a fox"])

    said = capsys.readouterr().out
    assert code == 0
    assert said.startswith("selected sandbox/slate: no length limit: 600 s in one piece")
    assert "fal/fal-ai/magi " in said
    assert "extend x 90" in said


def test_without_a_limit_nowhere_an_extended_video_goes_before_a_chain(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan", "--duration", "90", "--allow", "fal", "a fox", "--json", "--all"]) == 0

    said = json.loads(capsys.readouterr().out)
    report = PlanReport.model_validate({"candidates": said.pop("data"), **said})
    methods = [str(each.method) for each in report.ranked]
    assert report.ranked[0].name == "fal/fal-ai/magi-distilled"
    assert methods == sorted(methods, key=["extend", "chain"].index)
    assert {*methods} == {"extend", "chain"}
    assert all(each.seams == each.submissions - 1 for each in report.ranked)
    assert all(str(each.verification) == "wire-equal" for each in report.ranked)


def test_a_budget_is_said_where_it_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["plan", "--duration", "600", "--allow", "fal/fal-ai/magi", "--max-cost", "3", "a fox"]

    assert main([*argv, "--prefer", "best"]) != 0
    assert "the budget is 3.00 USD" in capsys.readouterr().out


def test_lengths_are_said_in_numbers_that_people_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--backend", "fal/fal-ai/mochi-v1", "--duration", "5.46", "a fox"]) == 0

    said = capsys.readouterr()
    assert "5.43 s in one shot" in said.out
    assert "duration 5.46 -> 5.43333 (" in said.err


def test_a_route_of_the_settings_is_followed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--route", "tiny", "--json", "a fox"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert report["data"][0]["model"] == "sandbox/slate"


def test_nobody_is_an_exit_code_and_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["plan", "--local-only", "--allow", "fal", "a fox"])

    said = capsys.readouterr().out
    assert code == 3
    assert said.startswith("no backend can serve this request (")
    assert "it is hosted" in said


def test_a_named_model_is_the_only_candidate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--backend", "sandbox", "--json", "--all", "a fox"]) == 0

    said = json.loads(capsys.readouterr().out)
    report = PlanReport.model_validate({"candidates": said.pop("data"), **said})
    assert [each.name for each in report.candidates] == ["sandbox/slate"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-cost", "lots"], "--max-cost 'lots' is not a number"),
        (["--max-cost", "-1"], "--max-cost -1 is not an amount"),
        (["--route", "tinny"], "unknown route 'tinny' (did you mean tiny?"),
        (["--option", "steps=4"], "name it with --model"),
        (["--backend", "sandbocks"], "did you mean sandbox?"),
        (["--endless", "--duration", "4"], "give one of duration"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["plan", *arguments, "a fox"])

    answer = capsys.readouterr()
    assert code != 0
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1


def test_generate_takes_the_same_flags(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--allow", "sandbox", "--size", "64x64", "--duration", "1", "--json"]

    assert main(["generate", *arguments, "--out", "fox.mp4", "a fox"]) == 0

    job = json.loads(capsys.readouterr().out)
    assert job["plan"]["backend"] == "sandbox"
    assert job["request"]["routing"]["allow"] == ["sandbox"]


def test_json_is_the_chosen_one_and_a_row_a_candidate(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["plan", "a fox", "--duration", "60", "--allow", "fal", "--prefer", "cheapest"]

    assert main([*argv, "--json"]) == 0

    said = capsys.readouterr().out
    report = json.loads(said)
    assert len(said) < 10_000
    assert report["chosen"]["model"] == report["data"][0]["model"]
    assert report["chosen"]["request"]["prompt"] == "a fox"
    assert report["chosen"]["cost_usd"] == round(report["chosen"]["cost_usd"], 4)
    assert "plan" not in report["data"][0]
    assert "error" not in report


def test_json_says_how_many_candidates_it_leaves_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "a fox", "--json"]) == 0
    short = json.loads(capsys.readouterr().out)
    assert main(["plan", "a fox", "--json", "--all"]) == 0
    everything = json.loads(capsys.readouterr().out)

    assert short["more"] == len(everything["data"]) - len(short["data"]) > 0
    assert everything["data"][0]["plan"]["request"]["prompt"] == "a fox"


def test_json_of_a_refusal_has_the_error_of_its_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan", "a fox", "--local-only", "--allow", "fal", "--json"]) == 3

    report = json.loads(capsys.readouterr().out)
    assert report["chosen"] is None
    assert report["error"]["code"] == "unsupported_request"
    assert all(row["rank"] is None and row["reason"] for row in report["data"])


def test_who_only_wants_a_key_is_shown_with_its_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("FAL_KEY", raising=False)

    assert main(["plan", "--duration", "60", "--allow", "fal", "a fox"]) != 0

    said = capsys.readouterr().out
    assert "with a key it would cost:" in said
    (row,) = [line.split() for line in said.splitlines() if line.startswith("-  fal/fal-ai/magi ")]
    assert row[2:6] == ["extend", "x", "9", "8"]
    assert row[6].rstrip("*") == "14.13"  # a star once the price is old


def test_who_is_over_the_budget_is_shown_with_its_price(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["plan", "--duration", "60", "--allow", "fal/fal-ai/magi", "--max-cost", "3", "a fox"]

    assert main([*argv, "--prefer", "best"]) != 0

    assert "refused, at these prices:\n" in capsys.readouterr().out


MANY = "".join(f'[backends.{name}]\nkind = "fal"\nkey = "only-for-tests"\n' for name in "abc")


def test_of_many_the_five_best_are_shown_and_the_rest_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "settings.toml").write_text(MANY, encoding="utf-8")

    assert main(["plan", "a fox", "--duration", "5", "--prefer", "cheapest"]) == 0
    said = capsys.readouterr().out
    assert main(["plan", "a fox", "--duration", "5", "--prefer", "cheapest", "--all"]) == 0
    whole = capsys.readouterr().out

    ranks = [line.split()[0] for line in said.splitlines() if line[:1].isdigit()]
    assert ranks[:5] == ["1", "2", "3", "4", "5"]
    assert "more could, for " in said
    assert "; --all lists them" in said
    assert re.search(r"models \((\d+) of a, \1 of b, \1 of c\)", said)
    assert "mode = text_to_video: they do other work" in said
    assert len(whole.splitlines()) > len(said.splitlines())
    assert "--all lists them" not in whole


def test_an_old_price_is_marked_where_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def is_priced(estimate: Estimate, today: date) -> bool:
        return estimate.priced_on is not None

    monkeypatch.setattr(Estimate, "has_old_price", is_priced)
    argv = ["--backend", "fal/fal-ai/ltx-2.3/text-to-video", "--duration", "6", "a fox"]

    assert main(["plan", *argv]) == 0
    planned = capsys.readouterr().out
    assert main(["backends", "fal"]) == 0
    listed = capsys.readouterr().out

    for said in (planned, listed):
        assert "* read more than 30 days ago; media-agent catalogue update reads newer" in said
    assert "0.48*" in planned
    assert "$0.08/s*" in listed


def test_a_model_that_says_no_time_takes_as_long_as_its_earlier_jobs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slate = ["a cat", "--model", "sandbox/slate", "--size", "64x64", "--duration", "1"]
    assert main(["generate", *slate, "--out", "a.mp4"]) == 0
    monkeypatch.setattr(SandboxBackend, "estimate", lambda self, request: Estimate(cost_usd=0.0))
    capsys.readouterr()

    assert main(["plan", *slate]) == 0

    table = capsys.readouterr().out
    (row,) = (line for line in table.splitlines() if line.startswith("1 "))
    assert re.search(r" ~\d+ ", row)
    assert "~ as long as earlier jobs took" in table
