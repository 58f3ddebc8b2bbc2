import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from media_agent_magi.tiny.description import Guidance, TinyDescription, WeightsError
from media_agent_magi.tiny.engine import TinyEngine, load_tiny
from media_agent_magi.tiny.video import guidance_table

RED, BLUE = "a red circle moving right", "a blue square"


def video(engine: TinyEngine, prompts: Sequence[str], seed: int) -> "np.ndarray":
    return np.concatenate(list(engine.generate(list(prompts), seed, num_inference_steps=4)))


def test_a_chunk_is_24_frames_of_64_by_64(engine: TinyEngine) -> None:
    chunks = list(engine.generate([RED, BLUE], 0, num_inference_steps=4))

    assert [chunk.shape for chunk in chunks] == [(24, 64, 64, 3)] * 2
    assert chunks[0].dtype == np.uint8


def test_the_same_seed_gives_the_same_frames_and_another_seed_others(engine: TinyEngine) -> None:
    first = video(engine, [RED], 5)

    assert np.array_equal(video(engine, [RED], 5), first)
    assert not np.array_equal(video(engine, [RED], 6), first)


def test_a_longer_video_begins_like_the_shorter_one(engine: TinyEngine) -> None:
    short, long = video(engine, [RED], 1), video(engine, [RED, BLUE, BLUE], 1)

    difference = np.abs(long[:24].astype(int) - short)
    assert difference.max() <= 1  # the window is wider: sums are rounded in another order


def test_a_later_prompt_changes_no_earlier_chunk(engine: TinyEngine) -> None:
    steady, switched = video(engine, [RED, RED], 2), video(engine, [RED, BLUE], 2)

    assert np.array_equal(switched[:24], steady[:24])
    assert not np.array_equal(switched[24:], steady[24:])


def test_prompts_may_be_a_function_that_ends_the_video(engine: TinyEngine) -> None:
    chunks = engine.generate(lambda chunk: RED if chunk < 3 else None, 0, num_inference_steps=4)

    assert len(list(chunks)) == 3


def test_an_error_in_the_callback_stops_the_video(engine: TinyEngine) -> None:
    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(engine.generate([RED], 0, on_forward=stop))


def test_progress_counts_up_to_all_steps(engine: TinyEngine) -> None:
    seen: list[tuple[int, int | None]] = []

    def note(done: int, total: int | None) -> None:
        seen.append((done, total))

    list(engine.generate([RED, RED], 0, num_inference_steps=4, on_forward=note))

    assert {total for _, total in seen} == {8}  # the second chunk begins when the first is done
    assert seen == sorted(seen)


def test_guidance_is_strongest_where_the_prompt_is_new() -> None:
    guidance, prompts = Guidance(first=4.0, switch=3.0, steady=2.0), [RED, RED, BLUE]

    scales = [guidance_table(guidance, c, prompts.__getitem__).text_scales[0] for c in range(3)]

    assert scales == [4.0, 2.0, 3.0]


def copy_weights(raw_weights: Path, folder: Path) -> Path:
    copy = folder / "weights"
    shutil.copytree(raw_weights, copy)
    return copy


def test_flipped_bytes_in_the_weights_are_noticed(raw_weights: Path, tmp_path: Path) -> None:
    copy = copy_weights(raw_weights, tmp_path)
    data = bytearray((copy / "tiny.safetensors").read_bytes())
    data[-5] ^= 1
    (copy / "tiny.safetensors").write_bytes(data)

    with pytest.raises(WeightsError, match="are damaged: SHA-256"):
        load_tiny(copy)


def test_missing_weights_are_named(raw_weights: Path, tmp_path: Path) -> None:
    copy = copy_weights(raw_weights, tmp_path)
    (copy / "tiny.safetensors").unlink()

    with pytest.raises(WeightsError, match=r"cannot read the weights .*tiny\.safetensors"):
        load_tiny(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": None}, "TypeError"),
        ({"guidance": {"strong": 1}}, "strong"),
        ({"sampler": {"num_stepz": 4}}, "unknown keys: num_stepz"),
    ],
)
def test_a_description_that_says_something_unknown_is_refused(
    raw_weights: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    copy = copy_weights(raw_weights, tmp_path)
    facts = json.loads((copy / "tiny.json").read_text())
    (copy / "tiny.json").write_text(json.dumps(facts | change))

    with pytest.raises(WeightsError, match=message):
        TinyDescription.read(copy)


def test_weights_of_another_model_are_refused(raw_weights: Path, tmp_path: Path) -> None:
    copy = copy_weights(raw_weights, tmp_path)
    facts = json.loads((copy / "tiny.json").read_text())
    facts["model"]["num_layers"] = 5
    (copy / "tiny.json").write_text(json.dumps(facts))

    with pytest.raises(WeightsError, match="do not fit their description"):
        load_tiny(copy)
