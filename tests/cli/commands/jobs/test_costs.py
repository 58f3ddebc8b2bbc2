"""The command that adds up what was spent, and where else money is shown."""

import asyncio
import contextlib
import csv
import json
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent.client import VideoClient
from media_agent.ledger.ledger import Ledger
from media_agent_schemas import GenerationRecord, VideoRequest

PRICED = ["--backend", "sandbox", "--size", "64x64", "--duration", "3"]


@pytest.fixture(scope="module")
def paid_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a video of three seconds at 0.1 USD, under a label, and one that is free."""
    folder = tmp_path_factory.mktemp("paid")
    price = ["--option", "price_per_second=0.1", "--label", "trailer"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.setenv("MEDIA_AGENT_DATA_DIR", str(folder / "data"))
        assert main(["generate", "a cat", *PRICED, *price, "--out", "a.mp4"]) == 0
        assert main(["generate", "a dog", *PRICED, "--out", "b.mp4"]) == 0
    return folder


@pytest.fixture(autouse=True)
def paid(paid_once: Path, tmp_path: Path) -> None:
    """Begin each test with these two videos."""
    shutil.copytree(paid_once, tmp_path, dirs_exist_ok=True)


def test_a_table_has_a_row_for_each_label_and_the_total(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["costs", "--since", "1d", "--by", "label"]) == 0

    lines = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert lines[1] == ["(no", "label)", "1", "0.00", "0.00", "0.00", "-"]
    assert lines[2] == ["trailer", "1", "0.30", "0.00", "0.30", "-"]
    assert lines[3] == ["total", "2", "0.30", "0.00", "0.30", "-"]


def test_csv_and_json_have_the_numbers(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["costs", "--by", "model", "--format", "csv"]) == 0
    (row,) = csv.DictReader(capfd.readouterr().out.splitlines())
    assert main(["costs", "--by", "model", "--json"]) == 0
    report = json.loads(capfd.readouterr().out)

    numbers = {"jobs": 2, "usd": 0.3, "billed_usd": 0.0, "quoted_usd": 0.3, "unknown": 0}
    numbers |= {"old_prices": 0, "held_usd": 0.0}
    assert row == {"model": "sandbox/slate"} | {name: str(each) for name, each in numbers.items()}
    assert report["data"] == [{"model": "sandbox/slate", **numbers}]
    assert report["total"] == numbers


def test_usage_of_some_days_is_csv_and_json(capfd: pytest.CaptureFixture[str]) -> None:
    today = datetime.now(UTC)
    days = ["--from", f"{today - timedelta(days=1):%Y-%m-%d}"]
    assert main(["usage", *days]) == 0
    dog, cat = csv.DictReader(capfd.readouterr().out.splitlines())
    before = ["--from", f"{today - timedelta(days=2):%Y-%m-%d}", "--to", days[1]]
    assert main(["usage", *before, "--json"]) == 0
    none = json.loads(capfd.readouterr().out)

    assert (dog["label"], dog["cost_usd"]) == ("", "0.0")
    assert (cat["label"], cat["jobs"], cat["seconds"]) == ("trailer", "1", "3.0")
    assert (cat["cost_usd"], cat["resale_usd"], cat["held_usd"]) == ("0.3", "0.3", "0.0")
    assert none["data"] == []


def test_usage_of_what_is_no_day_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["usage", "--from", "7d"]) != 0
    assert "'7d' is no day" in capfd.readouterr().err
    assert main(["usage", "--from", "2026-11-02", "--to", "2026-11-02"]) != 0
    assert "--from 2026-11-02 is no day before --to 2026-11-02" in capfd.readouterr().err


def test_a_job_of_unknown_outcome_is_settled_by_hand(capfd: pytest.CaptureFixture[str]) -> None:
    newest, _ = (job.id for job in Ledger(Path("data/ledger.sqlite")).jobs.list())
    assert main(["jobs", "settle", newest, "--usd", "0"]) != 0
    assert "nothing of it waits to be settled" in capfd.readouterr().err
    with contextlib.closing(sqlite3.connect("data/ledger.sqlite")) as database, database:
        database.execute("UPDATE jobs SET status = 'outcome_unknown' WHERE id = ?", (newest,))
        held = "UPDATE submissions SET settled_at = NULL, billed_usd = NULL, held_usd = 0.5"
        database.execute(f"{held} WHERE job_id = ?", (newest,))

    assert main(["costs", "--since", "1d"]) == 0
    table = capfd.readouterr().out
    assert "SPENT OR HELD" in table
    assert "0.30 USD are spent, 0.50 USD are held for what is under way or of unknown" in table
    assert main(["jobs", "show", newest]) == 0
    assert "0.00 USD spent, 0.50 USD held in the budgets" in capfd.readouterr().out
    assert main(["jobs", "show", newest]) == 0
    assert "0.50 USD stay held in the budgets" in capfd.readouterr().out
    assert main(["jobs", "settle", newest, "--usd", "-1"]) != 0
    assert "cannot have cost -1 USD" in capfd.readouterr().err
    assert main(["jobs", "settle", newest, "--usd", "0.25"]) == 0
    assert "settled with 0.25 USD" in capfd.readouterr().out
    assert main(["jobs", "show", newest, "--json"]) == 0
    job = json.loads(capfd.readouterr().out)
    assert (job["cost_usd"], job["cost_source"], job["held_usd"]) == (0.25, "billed", 0)
    assert job["warnings"] == []


def test_a_job_that_is_settled_with_nothing_is_not_called_free(
    capfd: pytest.CaptureFixture[str],
) -> None:
    _, oldest = (job.id for job in Ledger(Path("data/ledger.sqlite")).jobs.list())
    with contextlib.closing(sqlite3.connect("data/ledger.sqlite")) as database, database:
        database.execute("UPDATE jobs SET status = 'outcome_unknown' WHERE id = ?", (oldest,))
        held = "UPDATE submissions SET settled_at = NULL, billed_usd = NULL"
        database.execute(f"{held} WHERE job_id = ?", (oldest,))
    assert main(["jobs", "settle", oldest, "--usd", "0"]) == 0
    capfd.readouterr()

    assert main(["jobs", "list"]) == 0

    free, settled = capfd.readouterr().out.splitlines()[1:]
    assert " free " in free
    assert " 0.00 USD " in settled


def test_a_job_in_several_rows_is_explained_and_once_in_the_total(
    capfd: pytest.CaptureFixture[str],
) -> None:
    newest, oldest = (job.id for job in Ledger(Path("data/ledger.sqlite")).jobs.list())
    with contextlib.closing(sqlite3.connect("data/ledger.sqlite")) as database, database:
        database.execute("UPDATE jobs SET part_of = ? WHERE id = ?", (oldest, newest))
        database.execute("UPDATE submissions SET model = 'x' WHERE job_id = ?", (newest,))

    assert main(["costs", "--by", "model"]) == 0

    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["sandbox/slate", "1"],
        ["sandbox/x", "1"],
        ["total", "1"],
    ]
    assert "a video in segments is a job of each model that has one" in lines[-1]


@pytest.mark.parametrize("label", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x")'])
def test_a_label_is_no_formula_in_a_spreadsheet(
    label: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "a fox", *PRICED, f"--label={label}", "--out", "c.mp4"]) == 0
    capfd.readouterr()

    assert main(["costs", "--by", "label", "--format", "csv"]) == 0

    names = [row["label"] for row in csv.DictReader(capfd.readouterr().out.splitlines())]
    assert f"'{label}" in names
    assert label not in names
    assert {"", "trailer"} < set(names)


def test_what_is_older_is_not_counted(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["costs", "--since", "2999-01-01"]) == 0
    assert "no jobs" in capfd.readouterr().out


@pytest.mark.parametrize("since", ["", "7", "d", "-1d", "7y", "2026-13-01", "9999999w"])
def test_a_time_that_is_none_is_refused(since: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["costs", f"--since={since}"]) == 2
    assert "is neither a span such as 7d" in capfd.readouterr().err


def test_the_record_and_the_job_say_the_quote_as_one(capfd: pytest.CaptureFixture[str]) -> None:
    job = Ledger(Path("data/ledger.sqlite")).jobs.list()[1]
    record = GenerationRecord.model_validate_json(Path("a.json").read_bytes())
    assert main(["jobs", "show", job.id]) == 0

    assert (job.label, job.quote_usd, job.cost_usd, job.cost_source) == (
        *("trailer", 0.3, 0.3, "quote"),
    )
    assert (record.cost.usd, record.cost.source) == (0.3, "quote: invented by the sandbox")
    said = capfd.readouterr().out
    assert "price     quoted 0.30 USD; cost 0.30 USD (quote)" in said
    assert "label     trailer" in said
    assert GenerationRecord.model_validate_json(Path("b.json").read_bytes()).cost.usd == 0


@pytest.mark.parametrize("label", ["", " ", "a\nb", "x" * 101, " a"])
def test_a_label_that_fits_no_table_is_refused(
    label: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "a cat", *PRICED, "--out", "c.mp4", "--label", label]) == 2
    assert "label" in capfd.readouterr().err
    assert not Path("c.mp4").exists()


def test_json_rounds_amounts_as_all_else_does(capfd: pytest.CaptureFixture[str]) -> None:
    price = ["--option", "price_per_second=0.00001", "--json"]
    assert main(["plan", "a fox", *PRICED, *price]) == 0

    (plan, *_) = json.loads(capfd.readouterr().out)["data"]
    assert plan["cost_usd"] == 0.00003


@pytest.mark.parametrize(("days", "mark"), [(40, "0.30*"), (20, "0.30")])
def test_what_was_quoted_by_an_old_price_is_marked(
    days: int, mark: str, capfd: pytest.CaptureFixture[str]
) -> None:
    read = datetime.now(UTC).date() - timedelta(days=days)

    async def make() -> None:
        async with VideoClient() as client:
            options = {"sandbox": {"price_per_second": 0.1}}
            request = VideoRequest.model_validate(
                {"prompt": "a hen", "duration": 3, "model": "sandbox", "options": options}
                | {"size": {"width": 64, "height": 64}}
            )
            plan = await client.plan(request)
            old = plan.estimate.model_copy(update={"priced_on": read})
            plans = [plan.model_copy(update={"estimate": old})]
            await client.generate(request, plans=plans, label="hens")

    asyncio.run(make())
    assert main(["costs", "--by", "label"]) == 0

    said = capfd.readouterr().out
    (row,) = [line.split() for line in said.splitlines() if line.startswith("hens")]
    assert row == ["hens", "1", "0.30", "0.00", mark, "-"]
    assert ("more than 30 days old (*)" in said) == mark.endswith("*")
