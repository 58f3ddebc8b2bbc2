"""Steps are counted whatever a pipeline does with its progress bar and its callback."""

import pytest

from media_agent_diffusers.pipelines.progress import StepCounter

Steps = list[tuple[int, int]]


def counted(*, windows: int = 1, has_callback: bool = True) -> tuple[StepCounter, Steps]:
    steps: Steps = []
    counter = StepCounter(
        lambda done, total: steps.append((done, total)),
        windows=windows,
        has_callback=has_callback,
    )
    return counter, steps


def test_steps_are_counted_by_the_callback_and_not_twice_where_there_is_one() -> None:
    counter, steps = counted()

    with counter.open_bar(total=2) as bar:
        for index in range(2):
            assert counter.after_step(None, index, None, {"latents": 1}) == {"latents": 1}
            bar.update()

    assert steps == [(0, 2), (1, 2), (2, 2)]


def test_a_pipeline_without_a_callback_is_counted_by_its_bar() -> None:
    counter, steps = counted(has_callback=False)

    with counter.open_bar(total=2) as bar:
        bar.update()
        bar.update(1)

    assert steps == [(0, 2), (1, 2), (2, 2)]


def test_a_bar_that_is_looped_over_is_counted_too() -> None:
    counter, steps = counted(has_callback=False)

    assert list(counter.open_bar([9, 5])) == [9, 5]

    assert steps == [(0, 2), (1, 2), (2, 2)]


def test_windows_are_counted_on() -> None:
    counter, steps = counted(windows=2)

    for _ in range(2):
        with counter.open_bar(total=2):
            for index in range(2):
                counter.after_step(None, index, None, {})

    assert steps == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_more_windows_than_expected_are_counted_on_as_well() -> None:
    counter, steps = counted(windows=1)

    for _ in range(2):
        with counter.open_bar(total=1):
            counter.after_step(None, 0, None, {})

    assert steps == [(0, 1), (1, 1), (2, 2)]


@pytest.mark.parametrize("has_callback", [True, False])
def test_what_is_raised_while_counting_stops_the_pipeline(has_callback: bool) -> None:
    class StoppedError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done:
            raise StoppedError

    counter = StepCounter(stop, windows=1, has_callback=has_callback)
    bar = counter.open_bar(total=3)

    with pytest.raises(StoppedError):
        counter.after_step(None, 0, None, {}) if has_callback else bar.update()
