"""The smallest real job of a backend, and what its report says and hides."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import BudgetExceededError, InvalidRequestError
from media_agent.testing import Fault
from media_agent.verify_live import VerificationReport, verify_live
from media_agent_hosted.providers.fal.simulator import FalSimulator
from media_agent_schemas import JobStatus, VerificationLevel

pytestmark = pytest.mark.anyio

KEY = "fal-secret-0123456789"
MODEL = "fal/fal-ai/wan/v2.2-a14b/text-to-video"


@pytest.fixture
def simulator() -> Iterator[FalSimulator]:
    with FalSimulator() as running:
        yield running


def client_of(folder: Path, simulator: FalSimulator | None) -> VideoClient:
    """Return a client whose fal is the simulator."""
    fal = {"key": KEY, "options": {"poll_seconds": 0.01}}
    if simulator is not None:
        fal["base_url"] = simulator.url
    (folder / "none.toml").touch()
    settings = load_settings(
        config=folder / "none.toml", data_dir=folder / "data", backends={"fal": fal}
    )
    return VideoClient(settings=settings)


async def report_of(
    folder: Path, simulator: FalSimulator | None, model: str, max_cost_usd: float = 1.0
) -> VerificationReport:
    async with client_of(folder, simulator) as client:
        return await verify_live(client, model, max_cost_usd=max_cost_usd)


async def test_a_simulator_proves_only_itself(tmp_path: Path, simulator: FalSimulator) -> None:
    report = await report_of(tmp_path, simulator, MODEL)

    assert report.status is JobStatus.COMPLETED
    assert report.proves is not None
    assert report.proves.level is VerificationLevel.SIMULATOR
    assert "not the service" in str(report.proves.note)
    assert simulator.accepted == 1


async def test_the_report_has_wire_timing_video_and_cost(
    tmp_path: Path, simulator: FalSimulator
) -> None:
    report = await report_of(tmp_path, simulator, MODEL)

    methods = [each.method for each in report.exchanges]
    assert methods[0] == "POST"
    assert set(methods[1:]) == {"GET"}
    assert all(each.status < 400 for each in report.exchanges)
    assert report.video is not None
    assert report.video.frames > 0
    assert report.video_sha256 is not None
    assert report.estimated_usd is not None
    assert report.estimated_usd > 0
    assert 0 <= report.events["job.progressed"] <= report.events["job.completed"] <= report.seconds
    assert any("/v2.2-a14b/" in each.address for each in report.exchanges), "a version is no id"
    assert report.asked["seed"] == "0"


async def test_the_report_has_no_key_no_query_and_no_id(
    tmp_path: Path, simulator: FalSimulator
) -> None:
    report = await report_of(tmp_path, simulator, MODEL)

    text = report.model_dump_json()
    (job,) = simulator.jobs
    assert KEY not in text
    assert job not in text
    assert not any("?" in each.address for each in report.exchanges)
    assert any("{id}" in each.address for each in report.exchanges)


async def test_a_key_that_the_service_repeats_is_hidden(tmp_path: Path) -> None:
    class Talkative(FalSimulator):
        def error_body(self, text: str):  # type: ignore[no-untyped-def]  # as the base
            return {"detail": f"the key {KEY} has no access"}

    with Talkative([Fault("submit", "status", status=403)]) as simulator:
        report = await report_of(tmp_path, simulator, MODEL)

    assert report.status is JobStatus.FAILED
    assert report.proves is None
    assert report.error is not None
    assert KEY not in report.model_dump_json()


async def test_what_costs_more_is_not_begun(tmp_path: Path, simulator: FalSimulator) -> None:
    with pytest.raises(BudgetExceededError):
        await report_of(tmp_path, simulator, MODEL, max_cost_usd=0.0001)

    assert simulator.accepted == 0
    assert simulator.requests == []


async def test_what_is_computed_without_a_model_proves_no_more_than_it_says(
    tmp_path: Path,
) -> None:
    report = await report_of(tmp_path, None, "sandbox")

    assert report.exchanges == ()
    assert report.proves == report.declared
    assert report.video is not None


@pytest.mark.parametrize("amount", [-1.0, float("nan"), float("inf")])
async def test_an_impossible_amount_is_refused(tmp_path: Path, amount: float) -> None:
    with pytest.raises(InvalidRequestError, match="max_cost_usd"):
        await report_of(tmp_path, None, "sandbox", max_cost_usd=amount)


def test_the_command_prints_the_report_and_writes_it(
    tmp_path: Path,
    simulator: FalSimulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from media_agent.cli import main

    settings = tmp_path / "media-agent.toml"
    settings.write_text(
        f'data_dir = "{tmp_path / "data"}"\n'
        f'[backends.fal]\nkey = "{KEY}"\nbase_url = "{simulator.url}"\n'
        "options = { poll_seconds = 0.01 }\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(settings))
    out = tmp_path / "report.json"

    code = main(["verify-live", MODEL, "--max-cost", "1", "--out", str(out)])

    said = capsys.readouterr().out
    assert code == 0
    assert re.search(r"^proves +simulator ", said, re.MULTILINE)
    assert "POST" in said
    assert KEY not in said + out.read_text(encoding="utf-8")
    assert json.loads(out.read_text(encoding="utf-8"))["status"] == "completed"


def test_the_command_prints_the_tools(capsys: pytest.CaptureFixture[str]) -> None:
    from media_agent.cli import main

    assert main(["tools", "--format", "anthropic"]) == 0

    printed = json.loads(capsys.readouterr().out)["data"]
    assert [tool["name"] for tool in printed][:2] == ["plan_video", "create_video"]
    assert "input_schema" in printed[0]
