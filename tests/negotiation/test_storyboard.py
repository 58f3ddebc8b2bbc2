"""Shots on the command line, and cuts on the borders of chunks."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as some

from media_agent.errors import InvalidRequestError
from media_agent.negotiation.storyboard import lay_out, read_shot
from media_agent_schemas import Shot

CHUNK = 24


def shots_of(*lengths: float | None) -> list[Shot]:
    return [Shot(prompt="a cat", duration=length) for length in lengths]


@pytest.mark.parametrize(
    ("text", "prompt", "seconds"),
    [
        ("a dog@2", "a dog", 2),
        ("a dog@1.5", "a dog", 1.5),
        ("a dog@ 2", "a dog", 2),
        ("a dog@1e1", "a dog", 10),
        ("mail me@home@3", "mail me@home", 3),
        ("a dog", "a dog", None),
        ("mail me@home", "mail me@home", None),
        ("a sign: open @7eleven", "a sign: open @7eleven", None),
        ("two\nlines@3", "two\nlines", 3),
    ],
)
def test_a_shot_is_split_at_its_last_at_sign_if_a_number_follows(
    text: str, prompt: str, seconds: float | None
) -> None:
    assert read_shot(text) == Shot(prompt=prompt, duration=seconds)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a dog@", "not a number of seconds"),
        ("a dog@3,5", "'3,5', which is not a number"),
        ("a dog@3s", "'3s', which is not a number"),
        ("a dog@0", "duration 0 s is not above zero"),
        ("a dog@-2", "not above zero"),
        ("a dog@nan", "not a finite number"),
        ("a dog@inf", "not a finite number"),
        ("@3", "prompt is empty"),
    ],
)
def test_a_shot_that_cannot_be_read_is_refused_by_name(text: str, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason) as caught:
        read_shot(text)

    assert repr(text) in caught.value.message


def test_the_shot_without_a_length_gets_what_the_others_leave() -> None:
    layout = lay_out(shots_of(None, 2, 1), total=6 * CHUNK, fps=24, chunk=CHUNK)

    assert layout.frames == (3 * CHUNK, 2 * CHUNK, CHUNK)


def test_a_cut_moves_to_the_nearest_border_and_the_last_shot_ends_with_the_video() -> None:
    layout = lay_out(shots_of(2.4, 2.4, 1.7), total=156, fps=24, chunk=CHUNK)

    assert layout.frames == (2 * CHUNK, 3 * CHUNK, 36)
    assert layout.total == 156


def test_rounding_does_not_add_up() -> None:
    layout = lay_out(shots_of(*[1.4] * 10), total=336, fps=24, chunk=CHUNK)

    cuts = list(accumulate(frames or 0 for frames in layout.frames))
    assert all(abs(cut - 33.6 * (index + 1)) <= CHUNK / 2 for index, cut in enumerate(cuts))


def test_a_last_shot_that_would_get_nothing_makes_the_video_longer() -> None:
    layout = lay_out(shots_of(0.6, 0.3), total=22, fps=24, chunk=CHUNK)

    assert layout.frames == (CHUNK, CHUNK)


def test_without_chunks_a_cut_is_on_any_frame() -> None:
    layout = lay_out(shots_of(0.5, 0.25), total=18, fps=24, chunk=None)

    assert layout.frames == (12, 6)


def test_the_last_shot_of_an_endless_video_is_open() -> None:
    layout = lay_out(shots_of(2, None), total=None, fps=24, chunk=CHUNK)

    assert layout.frames == (2 * CHUNK, None)
    assert layout.total is None


def test_timed_shots_that_fill_the_whole_leave_no_room_for_the_open_one() -> None:
    with pytest.raises(InvalidRequestError, match="leave nothing of the 4 s"):
        lay_out(shots_of(None, 4), total=96, fps=24, chunk=CHUNK)


@given(
    lengths=some.lists(some.floats(0.05, 20), min_size=1, max_size=8),
    chunk=some.integers(1, 48),
    fps=some.sampled_from([8.0, 23.976, 24.0, 30.0]),
)
def test_every_shot_gets_frames_and_every_cut_is_on_a_border(
    lengths: list[float], chunk: int, fps: float
) -> None:
    total = max(1, round(sum(lengths) * fps))

    layout = lay_out(shots_of(*lengths), total=total, fps=fps, chunk=chunk)

    frames = [count or 0 for count in layout.frames]
    assert all(count > 0 for count in frames)
    assert all(count % chunk == 0 for count in frames[:-1])
    assert sum(frames) == total or sum(frames[:-1]) >= total
