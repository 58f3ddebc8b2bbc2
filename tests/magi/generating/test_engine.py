import threading
from collections.abc import Sequence

import numpy as np
import pytest

from media_agent_magi.generating.engine import Engine
from media_agent_magi.generating.video import VideoChunk, VideoOptions

RED, BLUE = "a red circle moving right", "a blue square"


def video(engine: Engine, prompts: Sequence[str], seed: int) -> "np.ndarray":
    return np.concatenate(list(engine.generate(list(prompts), seed, num_inference_steps=4)))


def test_a_chunk_is_24_frames_of_64_by_64(engine: Engine) -> None:
    chunks = list(engine.generate([RED, BLUE], 0, num_inference_steps=4))

    assert [chunk.shape for chunk in chunks] == [(24, 64, 64, 3)] * 2
    assert chunks[0].dtype == np.uint8


def test_the_same_seed_gives_the_same_frames_and_another_seed_others(engine: Engine) -> None:
    first = video(engine, [RED], 5)

    assert np.array_equal(video(engine, [RED], 5), first)
    assert not np.array_equal(video(engine, [RED], 6), first)


def test_a_longer_video_begins_like_the_shorter_one(engine: Engine) -> None:
    short, long = video(engine, [RED], 1), video(engine, [RED, BLUE, BLUE], 1)

    difference = np.abs(long[:24].astype(int) - short)
    assert difference.max() <= 1  # the window is wider: sums are rounded in another order


def test_a_later_prompt_changes_no_earlier_chunk(engine: Engine) -> None:
    steady, switched = video(engine, [RED, RED], 2), video(engine, [RED, BLUE], 2)

    assert np.array_equal(switched[:24], steady[:24])
    assert not np.array_equal(switched[24:], steady[24:])


def test_prompts_may_be_a_function_that_ends_the_video(engine: Engine) -> None:
    chunks = engine.generate(lambda chunk: RED if chunk < 3 else None, 0, num_inference_steps=4)

    assert len(list(chunks)) == 3


def test_an_error_in_the_callback_stops_the_video(engine: Engine) -> None:
    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(engine.generate([RED], 0, on_forward=stop))


def test_progress_counts_up_to_all_steps(engine: Engine) -> None:
    seen: list[tuple[int, int | None]] = []

    def note(done: int, total: int | None) -> None:
        seen.append((done, total))

    list(engine.generate([RED, RED], 0, num_inference_steps=4, on_forward=note))

    assert {total for _, total in seen} == {8}  # the second chunk begins when the first is done
    assert seen == sorted(seen)


@pytest.mark.parametrize("decodes_beside", [True, False])
def test_a_chunk_is_decoded_while_another_is_made_unless_memory_is_short(
    engine: Engine, decodes_beside: bool
) -> None:
    other = Engine(engine.models, decodes_beside=decodes_beside)
    frames, waited = list[np.ndarray](), list[bool]()
    chunks = list[VideoChunk]()
    decoding = threading.Thread(target=lambda: frames.append(other.decode(chunks[0])))

    def look(done: int, total: int | None) -> None:
        if len(chunks) == 1 and not waited:  # the second chunk is being made
            decoding.start()
            decoding.join(60 if decodes_beside else 0.2)
            waited.append(decoding.is_alive())

    options = VideoOptions(num_frames=48, num_inference_steps=4)
    for chunk in other.video(lambda _: RED, [0], options, on_forward=look):
        chunks.append(chunk)
    decoding.join(60)

    assert waited == [not decodes_beside]
    assert np.array_equal(frames[0][0], video(engine, [RED, RED], 0)[:24])
