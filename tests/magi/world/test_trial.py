import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from media_agent_magi.adherence import judge, main
from media_agent_magi.world.captions import is_unseen, parse
from media_agent_magi.world.failures import write_failures
from media_agent_magi.world.renderer import SceneBatch, render, to_uint8
from media_agent_magi.world.scene import Scene, is_held_out
from media_agent_magi.world.trial import draw_cases, groups, run


class PerfectModel:
    """Understands every prompt and draws it."""

    def __init__(self) -> None:
        self.models = SimpleNamespace(sampler=SimpleNamespace(num_steps=16))
        self.steps: list[int] = []

    def generate(
        self, prompts: list[str], seed: int, *, num_inference_steps: int, guidance: object
    ) -> Iterator[np.ndarray]:
        self.steps.append(num_inference_steps)
        yield from perfect(prompts, seed)


def perfect(prompts: list[str], seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    place, radius = rng.uniform(0, 64, 2), rng.uniform(8, 15)
    scene = Scene(*place, radius, tuple(parse(prompt) for prompt in prompts))
    video = to_uint8(render(SceneBatch.of([scene]), 24 * len(prompts)))[0].numpy()
    yield from video.reshape(len(prompts), 24, 64, 64, 3)


def deaf(prompts: list[str], seed: int) -> Iterator[np.ndarray]:
    """Forget the prompt: nothing in the first chunk, then a still image."""
    first, *rest = perfect(prompts, seed)
    yield np.zeros_like(first)
    for _ in rest:
        yield np.repeat(first[:1], 24, axis=0)


def test_three_in_ten_prompts_are_of_combinations_held_out() -> None:
    cases = draw_cases(100, 2, 1)

    assert sum(is_held_out(case.descriptions[0]) for case in cases) == 30
    assert len({case.descriptions[0] for case in cases}) == 100
    assert len({case.seed for case in cases}) == 100


def test_prompts_are_worded_as_training_never_does() -> None:
    cases = draw_cases(50, 2, 3, switch=True)

    for case in cases:
        assert all(is_unseen(prompt) for prompt in case.prompts)
        assert [parse(prompt) for prompt in case.prompts] == list(case.descriptions)


def test_a_seed_draws_the_same_prompts_again_and_another_seed_others() -> None:
    assert draw_cases(20, 2, 5) == draw_cases(20, 2, 5)
    assert draw_cases(20, 2, 5) != draw_cases(20, 2, 6)


def test_a_steady_prompt_stays_and_a_switching_one_changes_within_its_kind() -> None:
    for case in draw_cases(10, 3, 1):
        assert len(set(case.prompts)) == 1
    for case in draw_cases(30, 3, 1, switch=True):
        assert case.descriptions[0] != case.descriptions[1] != case.descriptions[2]
        assert len({is_held_out(description) for description in case.descriptions}) == 1


def test_more_prompts_than_combinations_can_be_drawn() -> None:
    assert len(draw_cases(300, 1, 1)) == 300


@pytest.mark.parametrize("switch", [False, True])
def test_a_perfect_model_gets_full_marks(switch: bool) -> None:
    report, _ = judge(perfect, draw_cases(10, 3, 1, switch=switch), "perfect")

    counts = [(row.shares["strict"].right, row.shares["strict"].total) for row in report.groups]
    assert counts == [(10, 10), (7, 7), (3, 3), (20, 20), (14, 14), (6, 6)]
    assert (report.smoothness is None) == switch


def test_a_model_deaf_to_the_prompt_is_found_out() -> None:
    report, _ = judge(deaf, draw_cases(10, 3, 1), "deaf")

    first, later = report.groups[0].shares, report.groups[3].shares
    assert (first["empty"].value, first["strict"].value) == (1, 0)
    assert later["motion"].value < 0.5 < later["colour"].value
    assert report.smoothness is not None
    assert report.smoothness.frozen.value == 1
    assert report.true_smoothness is not None
    assert report.true_smoothness.frozen.right == 0
    assert report.true_smoothness.moves == pytest.approx([0.8] * 4, abs=0.01)


def test_the_report_is_plain_json_even_where_a_number_is_missing() -> None:
    report, _ = judge(deaf, draw_cases(1, 1, 1), "deaf")

    groups_json = json.loads(json.dumps(report.as_json(), allow_nan=False))["groups"]

    assert groups_json["first chunk"]["empty"]["value"] == 1
    assert groups_json["first chunk, held out"]["strict"]["value"] is None
    assert "later chunks" not in groups_json


def test_a_model_that_stops_early_is_an_error() -> None:
    with pytest.raises(ValueError, match="2 chunks were asked for, 1 came"):
        list(run(lambda prompts, seed: list(perfect(prompts, seed))[:1], draw_cases(1, 2, 1)))


def test_the_command_prints_a_table_for_each_number_of_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, file = PerfectModel(), tmp_path / "adherence.json"

    status = main(
        ["--prompts", "4", "--steps", "8", "16", "--json", str(file)], load=lambda _: model
    )

    out = capsys.readouterr().out
    assert status == 0
    assert model.steps == [8] * 4 + [16] * 4
    assert out.count("first chunk             4      100.0") == 2
    assert "chance" in out
    assert "held out" in out
    assert [table["title"].split("; ")[1] for table in json.loads(file.read_text())] == [
        "8 steps, seed 1",
        "16 steps, seed 1",
    ]


def test_the_command_takes_the_models_own_steps_unless_told() -> None:
    model = PerfectModel()

    assert main(["--prompts", "1", "--chunks", "1"], load=lambda _: model) == 0
    assert model.steps == [16]


def test_missing_weights_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--weights", str(tmp_path)]) == 2
    assert f"cannot read {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--prompts", "0"], ["--chunks", "-1"], ["--json", "/nowhere/at/all.json"]]
)
def test_impossible_options_are_refused_before_anything_runs(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments, load=lambda _: pytest.fail("the model was loaded"))


def test_the_wrong_chunks_are_drawn(tmp_path: Path) -> None:
    results = list(run(deaf, draw_cases(3, 2, 1)))
    path = tmp_path / "failures.png"

    wrong = write_failures(path, results)

    assert wrong == sum(
        row.shares["strict"].total - row.shares["strict"].right
        for row in groups(results)
        if not row.name.startswith(" ")
    )
    assert Image.open(path).height == wrong * 166
