"""The price is said before work is sent, and a person at a terminal is asked above a limit."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent.cli.confirm import confirm_plans, confirm_rest
from media_agent.cli.request.build import Order
from media_agent.cli.request.flags import OutputFlags, RoutingFlags, VideoFlags
from media_agent.cli.run_job import make
from media_agent.cli.screen import quietly
from media_agent.errors import JobCancelledError
from media_agent.ledger.ledger import Ledger
from media_agent_schemas import Estimate, JobStatus, Plan, Policy, Segment, VideoJob, VideoRequest

COMMAND = [sys.executable, "-m", "media_agent.cli"]
PAID = ["generate", "a cat", "--backend", "sandbox", "--option", "price_per_second=2"]
SMALL = ["--size", "64x64", "--duration", "1"]
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def plan(cost: float | None, **changes: object) -> Plan:
    request = VideoRequest(prompt="a cat", num_frames=48, fps=24)
    estimate = Estimate(cost_usd=cost)
    made = Plan(backend="b", model="m", policy=Policy.ADJUST, request=request, estimate=estimate)
    return made.model_copy(update=changes)


@contextmanager
def typed(keys: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Sit at a terminal on which these keys were typed; yields what returns what it shows."""
    controller, own = pty.openpty()
    os.write(controller, keys.encode())

    def shown() -> str:
        print("END", file=sys.stderr, flush=True)
        said = ""
        while "END" not in said:
            said += os.read(controller, 1 << 16).decode()
        return said

    with (
        open(own, encoding="utf-8", closefd=False) as stdin,  # a descriptor
        open(own, "w", encoding="utf-8") as stderr,  # noqa: PTH123
        monkeypatch.context() as patch,
    ):
        patch.setattr(sys, "stdin", stdin)
        patch.setattr(sys, "stderr", stderr)
        yield shown
    os.close(controller)


def confirm(*costs: float | None, above: float = 1.0, yes: bool = False) -> list[float | None]:
    plans = asyncio.run(confirm_plans([plan(cost) for cost in costs], above=above, yes=yes))
    return [each.estimate.cost_usd for each in plans]


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (1.234, "price: about 1.23 USD"),
        (14.133333333333333, "price: about 14.13 USD"),
        (0.336, "price: about 0.336 USD"),
        (0.3, "price: about 0.30 USD"),
        (None, "price: unknown"),
    ],
)
def test_the_price_is_said_in_round_numbers(
    cost: float | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    confirm(cost)

    assert capsys.readouterr().err == f"{said}\n"


async def make_while_another_is_asked(order: Order, controller: int) -> list[int]:
    """Make the video of an order while a person still thinks about the price of the same order."""
    asked = asyncio.create_task(make(order))
    async with asyncio.timeout(60):
        while b"[y/N]" not in (shown := await asyncio.to_thread(os.read, controller, 1 << 16)):
            assert shown
    first = await make(replace(order, output=OutputFlags(yes=True)))
    os.write(controller, b"y\n")
    return [first, await asked]


def test_the_same_call_while_it_is_asked_about_makes_one_video_at_its_default_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = Order(
        prompt="a cat",
        video=VideoFlags(size="64x64", duration=1.0),
        routing=RoutingFlags(backend="sandbox", option=("price_per_second=2",)),
        output=OutputFlags(),
        idempotency_key="k",
    )
    controller, own = pty.openpty()
    with open(own, encoding="utf-8") as stdin, open(own, "w", closefd=False) as stderr:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stderr", stderr)
        codes = asyncio.run(make_while_another_is_asked(order, controller))
    os.close(controller)

    assert codes == [0, 0]
    assert len(list(Path("out").glob("*.mp4"))) == 1


def test_of_what_is_free_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    confirm(0.0, 0.0)

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ((0.3, 0.8, 0.2), "about 0.30 USD; about 0.80 USD if another backend has to take over"),
        ((0.3, None), "about 0.30 USD; unknown if another backend has to take over"),
        ((0.0, 0.8), "free; about 0.80 USD if another backend has to take over"),
    ],
)
def test_a_range_covers_those_who_may_have_to_take_over(
    costs: tuple[float | None, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    confirm(*costs)

    assert said in capsys.readouterr().err


@pytest.mark.parametrize("cost", [1.01, 20.0, None])
def test_above_the_limit_a_person_is_asked(
    monkeypatch: pytest.MonkeyPatch, cost: float | None
) -> None:
    with typed("y\n", monkeypatch) as shown:
        assert confirm(cost) == [cost]
        assert "[y/N]" in shown()


@pytest.mark.parametrize(
    ("cost", "said"), [(5.0, "about 5.00 USD"), (None, "a price that is unknown")]
)
def test_the_question_names_the_price_also_where_all_else_is_quiet(
    monkeypatch: pytest.MonkeyPatch, cost: float | None, said: str
) -> None:
    with typed("y\n", monkeypatch) as shown, quietly(True):
        confirm(cost)
        assert f"generate it for {said}? [y/N]" in shown()


@pytest.mark.parametrize("answer", ["n\n", "\n", "yesterday\n", "\x04"])
def test_any_other_answer_than_yes_is_no(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    with typed(answer, monkeypatch), pytest.raises(JobCancelledError, match="nothing was sent"):
        confirm(5.0)


def test_up_to_the_limit_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with typed("", monkeypatch) as shown:
        assert confirm(1.0) == [1.0]
        assert confirm(5.0, above=5.0) == [5.0]
        assert confirm(5.0, yes=True) == [5.0]
        assert "[y/N]" not in shown()


def test_without_a_terminal_nobody_is_asked() -> None:
    assert confirm(5.0, None) == [5.0, None]


def test_a_fallback_is_never_dearer_than_what_was_agreed_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with typed("y\n", monkeypatch):
        assert confirm(0.5, 0.9, 1.1, None) == [0.5, 0.9]
        assert confirm(5.0, 0.9, 4.0, 6.0) == [5.0, 0.9, 4.0]


def job(planned: Plan, **changes: object) -> VideoJob:
    kept = VideoJob(id="j", created_at=NOW, updated_at=NOW, request=planned.request, plan=planned)
    return kept.model_copy(update=changes)


def in_segments(*costs: float) -> Plan:
    segments = tuple(
        Segment(request=plan(0).request, estimate=Estimate(cost_usd=cost), count=2)
        for cost in costs
    )
    return plan(2 * sum(costs), segments=segments)


@pytest.mark.parametrize(
    ("resumed", "said"),
    [
        (job(plan(2.0)), "about 2.00 USD for what is left of job j"),
        (job(in_segments(1, 3), chunks_ready=1), "about 7.00 USD for what is left of job j"),
        (job(in_segments(1, 3), chunks_ready=3, status=JobStatus.FAILED), "about 3.00 USD"),
        (job(plan(2.0), cost_usd=2.0, cost_source="quote"), ""),
        (job(plan(None), cost_usd=None), ""),
        (job(plan(2.0), status=JobStatus.FAILED), ""),
        (job(plan(0.0)), ""),
    ],
)
def test_resuming_says_what_is_left_to_pay(
    resumed: VideoJob, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(confirm_rest(resumed, above=1.0, yes=False))

    shown = capsys.readouterr().err
    assert said in shown
    assert bool(said) == bool(shown)


def test_resuming_what_costs_much_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    with typed("n\n", monkeypatch), pytest.raises(JobCancelledError):
        asyncio.run(confirm_rest(job(in_segments(1, 3)), above=1.0, yes=False))


def test_a_command_says_the_price_and_without_a_terminal_goes_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main([*PAID, *SMALL, "--out", "a.mp4"]) == 0
    assert "price: about 2.00 USD" in capfd.readouterr().err


def at_a_terminal(*arguments: str) -> "tuple[subprocess.Popen[bytes], int]":
    controller, own = pty.openpty()
    tty.setcbreak(own)  # so that Ctrl-C is a signal, and a line is a line
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdin=own, stderr=own, stdout=subprocess.PIPE
    )
    os.close(own)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(controller, 1 << 16)
    return process, controller


def test_no_at_the_terminal_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_CONFIRM_ABOVE_USD", "1.5")
    process, controller = at_a_terminal(*PAID, *SMALL, "--out", "a.mp4")

    os.write(controller, b"n\n")

    assert process.wait(60) == 130
    os.close(controller)
    assert not Path("a.mp4").exists()
    assert Ledger(Path("data/ledger.sqlite")).jobs.list() == []


def test_ctrl_c_at_the_question_sends_nothing() -> None:
    process, controller = at_a_terminal(*PAID, *SMALL, "--out", "a.mp4")

    process.send_signal(signal.SIGINT)

    assert process.wait(60) == 130
    os.close(controller)
    assert not Path("a.mp4").exists()
