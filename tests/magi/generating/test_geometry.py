import pytest

from media_agent_magi.generating.geometry import Geometry

EVEN = Geometry(fps=24, chunk_width=6, latent_channels=16)
LED_IN = Geometry(fps=16, chunk_width=3, latent_channels=16, frames_first=1)


@pytest.mark.parametrize("geometry", [EVEN, LED_IN])
@pytest.mark.parametrize("before", [0, 1, 5])
def test_latents_are_the_fewest_that_hold_the_frames(geometry: Geometry, before: int) -> None:
    for frames in range(1, 60):
        latents = geometry.latents(frames, before=before)
        assert geometry.frames(latents - 1, before=before) < frames
        assert geometry.frames(latents, before=before) >= frames


def test_chunks_follow_one_another() -> None:
    assert [EVEN.start(chunk) for chunk in range(4)] == [0, 24, 48, 72]
    assert [LED_IN.start(chunk) for chunk in range(4)] == [0, 9, 21, 33]
    assert (EVEN.chunk_frames, LED_IN.chunk_frames) == (24, 12)


def test_the_last_chunk_may_be_cut() -> None:
    assert [EVEN.chunks(frames) for frames in (0, 1, 24, 25)] == [0, 1, 1, 2]
    assert [LED_IN.chunks(frames) for frames in (1, 9, 10, 21, 22)] == [1, 1, 2, 2, 3]


def test_latents_of_a_chunk_have_the_shape_of_its_pixels() -> None:
    assert LED_IN.shape(480, 832) == (16, 3, 60, 104)
