"""Which states of a long video are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_agent.storage.work_folder import count_thinned, thin_states


def grow(chunks: int, newest: int) -> list[int]:
    """Return what is left when a state is added after each chunk and the others thinned out."""
    states: list[int] = []
    for chunk in range(1, chunks + 1):
        states = thin_states([*states, chunk], newest)
    return states


@given(st.integers(1, 400), st.integers(1, 12))
def test_the_newest_all_stay_and_the_nearest_before_any_chunk_is_not_far(
    chunks: int, newest: int
) -> None:
    states = grow(chunks, newest)

    assert states[-newest:] == list(range(max(1, chunks - newest + 1), chunks + 1))
    assert states[0] == 1
    for chunk in range(1, chunks + 1):
        nearest = max(state for state in states if state <= chunk)
        assert chunk - nearest <= 2 * (chunks - nearest) // newest + 1


@pytest.mark.parametrize(("chunks", "kept"), [(5, 5), (8, 8), (60, 21), (600, 33), (100_000, 62)])
def test_their_number_grows_with_each_doubling_only(chunks: int, kept: int) -> None:
    assert count_thinned(chunks, 8) == pytest.approx(kept, abs=3)
    if chunks < 1000:
        assert grow(chunks, 8) == thin_states(range(1, chunks + 1), 8)
