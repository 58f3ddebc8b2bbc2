"""Videos that the adherence command makes out of true ones."""

import numpy as np
import pytest

from media_agent_magi.adherence import continuing, restyling, true_video
from media_agent_magi.generating.engine import Engine
from media_agent_magi.generating.video import VideoOptions
from media_agent_magi.tiny.loader import load_tiny
from media_agent_magi.world.scene import CHUNK_FRAMES
from media_agent_magi.world.trial import Case, draw_cases

QUICK = VideoOptions(num_inference_steps=8)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_tiny()


@pytest.fixture
def case() -> Case:
    return draw_cases(1, 2, seed=3)[0]


def test_a_continued_video_begins_with_the_truth_and_continues(engine: Engine, case: Case) -> None:
    chunks = list(continuing(engine, [case], QUICK)(list(case.prompts), case.seed))

    assert [len(chunk) for chunk in chunks] == [CHUNK_FRAMES, CHUNK_FRAMES]
    assert np.array_equal(chunks[0], true_video(case)[:CHUNK_FRAMES])
    assert not np.array_equal(chunks[1], true_video(case)[CHUNK_FRAMES:])


def test_a_video_is_restyled_from_the_same_scene_in_another_colour(
    engine: Engine, case: Case
) -> None:
    hardly = VideoOptions(num_inference_steps=8, strength=0.05)
    (first, _) = restyling(engine, [case], hardly)(list(case.prompts), case.seed)

    truth = true_video(case)[:CHUNK_FRAMES].astype(int)
    apart = np.abs(first.astype(int) - truth).max(axis=-1)  # T 64 64

    assert np.median(apart) < 20  # the ground is that of the truth
    assert (apart > 60).mean() > 0.02  # the object has another colour
