"""Prompts arrive as they were written, or are refused: none changes its type on the way."""

from dataclasses import replace
from pathlib import Path

import pytest

from media_agent.errors import InvalidRequestError
from media_agent.testing import frames_of
from media_agent_opensora.prompts import check_prompt, write_prompts
from media_agent_schemas.events import JobCompleted
from media_agent_schemas.media import InputRole, MediaInput
from tests.opensora.conftest import Build, FakeOpenSora, make_request, run

ODD = (
    'a sign that says "42", and\nbelow it: \'none\'; --seed 5,\r\n[1] {x} \\" é 猫 ,,, "',
    "--prompt",
    "=1+1",
    "42 cats",
    '"42"',
)
NO_TEXT = (
    *("42", " 42\n", "-1.5", "1e5", ".5", "5.", "0x1F", "inf", "-Infinity", "1_000", "１２"),
    *("NA", "n/a", "null", "None", "NaN", "<NA>", "#N/A", "true", "FALSE"),
)


@pytest.mark.anyio
@pytest.mark.parametrize("prompt", ODD[:3])
async def test_an_odd_prompt_arrives_as_it_is(
    build: Build, fake: FakeOpenSora, prompt: str
) -> None:
    end = await run(build(), make_request(prompt=prompt, negative_prompt=f"no {prompt}"))

    assert isinstance(end, JobCompleted), end
    assert len(frames_of(end)) == 5
    assert fake.asked["rows"] == [{"text": prompt, "name": "video", "neg": f"no {prompt}"}]


@pytest.mark.anyio
@pytest.mark.parametrize("fields", [{"prompt": "42"}, {"negative_prompt": "NA"}])
async def test_a_prompt_that_is_read_as_something_else_is_refused(
    build: Build, fake: FakeOpenSora, fields: dict[str, str]
) -> None:
    with pytest.raises(InvalidRequestError, match=r"(42|NA)' is not read as text"):
        await build().submit(make_request(**fields), key="job-1")

    assert not fake.was_run


@pytest.mark.parametrize("prompt", NO_TEXT)
def test_numbers_truth_values_and_absent_ones_are_no_prompt(prompt: str) -> None:
    with pytest.raises(InvalidRequestError, match="is not read as text"):
        check_prompt(prompt, "prompt")


@pytest.mark.parametrize("prompt", [*ODD, "a1", "1 2", "na na na", "truth", "e5", "+", "1+2j x"])
def test_words_are_a_prompt(prompt: str) -> None:
    check_prompt(prompt, "prompt")


def test_no_prompt_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="needs a prompt"):
        check_prompt(None, "prompt")


@pytest.mark.anyio
async def test_a_data_folder_whose_files_would_be_split_is_refused(
    build: Build, fake: FakeOpenSora, tmp_path: Path
) -> None:
    backend = build()
    folder = tmp_path / "a;b"
    image = MediaInput(role=InputRole.FIRST_FRAME, path=str(tmp_path / "cat.png"))
    backend.settings = replace(backend.settings, data_dir=folder)

    with pytest.raises(InvalidRequestError, match="splits paths at ;"):
        await backend.submit(make_request(inputs=(image,)), key="job-1")
    with pytest.raises(InvalidRequestError, match="splits paths at ;"):
        write_prompts(folder / "prompts.csv", "a cat", references=(folder / "cat.png",))

    end = await run(backend, make_request())  # without an image there is nothing to split
    assert isinstance(end, JobCompleted), end
