"""Training keeps to its minutes, preparation included, and says what is missing."""

import logging
import sys
from pathlib import Path

import pytest
import torch

from media_agent_magi.engine.autoencoders.conv_vae import ConvVAE
from media_agent_magi.engine.config import ConvVAEConfig
from media_agent_magi.training import __main__ as command
from media_agent_magi.training.clock import Budget
from media_agent_magi.training.dataset import make_dataset
from media_agent_magi.training.log import TrainingLog


class Clock:
    """A clock that goes on by so many seconds each time somebody looks."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_drawing_ends_with_its_share_of_the_time_and_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.manual_seed(0)
    vae = ConvVAE(ConvVAEConfig()).eval()
    caplog.set_level(logging.INFO)
    whole = Budget(1.0, Clock(4.0))

    dataset = make_dataset(
        vae, 400, 0, "cpu", twins=4, batch=2, is_enough=command.Preparation(whole, 400)
    )

    assert 2 <= len(dataset.latents) < 20
    assert len(dataset.twins) <= 4
    assert whole.spent() < 0.6
    assert f"drew and encoded {len(dataset.latents)} of 400 clips" in caplog.text


def test_a_budget_of_what_is_left_ends_when_the_whole_does() -> None:
    clock = Clock(0.0)
    whole = Budget(10.0, clock)
    clock.now = 4 * 60

    left = whole.left()

    assert left.minutes == pytest.approx(6.0)
    clock.now = 10 * 60
    assert left.spent() == pytest.approx(whole.spent()) == 1.0
    assert whole.left().minutes == pytest.approx(1 / 60)


@pytest.mark.parametrize(
    ("minutes", "step", "steps"),
    [
        (1.0, 9.0, 6),  # a seventh would end at 63 s
        (1.0, 20.0, 3),
        (1.0, 61.0, 1),
        (1 / 60, 61.0, 1),  # what is trained is there, however slow the machine
    ],
)
def test_no_step_is_begun_that_would_end_too_late(minutes: float, step: float, steps: int) -> None:
    clock = Clock(0.0)
    budget, done = Budget(minutes, clock), 0

    for _ in budget.steps():
        clock.now += step
        done += 1

    assert done == steps


def test_training_says_how_far_it_is_every_ten_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    log = TrainingLog(tmp_path / "autoencoder.csv", every=200)

    for step in range(1, 31):
        now[0] += 1.0
        log.report(step, step / 30)

    assert [record.getMessage() for record in caplog.records] == [
        "autoencoder: step 1, 3 % of the time",
        "autoencoder: step 11, 37 % of the time",
        "autoencoder: step 21, 70 % of the time",
    ]


@pytest.mark.parametrize(
    ("part", "trained", "missing"),
    [("sheet", [], "autoencoder"), ("transformer", [], "autoencoder")]
    + [(part, ["autoencoder"], "transformer") for part in ("sheet", "export")],
)
def test_what_was_not_trained_yet_is_one_sentence(
    part: str,
    trained: list[str],
    missing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in trained:
        (tmp_path / f"{name}.safetensors").touch()
    monkeypatch.setattr(sys, "argv", ["training", part, "--folder", str(tmp_path)])

    with pytest.raises(SystemExit) as ended:
        command.main()

    assert f"{missing}.safetensors is not there; train it first" in str(ended.value)
