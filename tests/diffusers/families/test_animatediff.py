"""AnimateDiff with tiny weights: as many frames as the motion adapter has positions."""

from collections.abc import Iterator

import numpy as np
import pytest

from media_agent.errors import UnsupportedRequestError
from media_agent_schemas import Size
from tests.diffusers.families.making import FolderOf, Maker, open_maker, probe_made

STEPS = {"num_inference_steps": 2, "max_sequence_length": None}


@pytest.fixture(scope="module")
def maker(folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    with open_maker(folder_of, tmp_path_factory.mktemp("data"), "animatediff") as maker:
        yield maker


@pytest.mark.anyio
async def test_text_becomes_a_video_of_any_length(maker: Maker) -> None:
    done = await maker.make("animatediff", num_frames=6, options=STEPS)

    assert (probe_made(done).frames, probe_made(done).fps) == (6, 8.0)
    assert done.warnings == ()


@pytest.mark.anyio
async def test_the_negative_prompt_reaches_the_model(maker: Maker) -> None:
    made = [
        await maker.make_frames("animatediff", num_frames=1, options=STEPS, **words)
        for words in ({}, {"negative_prompt": "a blue dog"})
    ]

    assert not np.array_equal(*made)


def test_more_frames_than_positions_are_refused(maker: Maker) -> None:
    assert maker.plan("animatediff", num_frames=32, options=STEPS).request.num_frames == 32
    with pytest.raises(UnsupportedRequestError, match="num_frames"):
        maker.plan("animatediff", num_frames=34, options=STEPS)


def test_the_defaults_are_two_seconds_at_the_size_of_the_image_model(maker: Maker) -> None:
    capabilities = maker.backend.capabilities("animatediff")

    assert capabilities.default_duration == 2.0
    assert capabilities.default_size == Size(width=32, height=32)
