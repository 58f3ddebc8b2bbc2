from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from media_agent_magi.engine.config import ConfigError, ModelConfig, SamplerConfig
from media_agent_magi.engine.schedule import ChunkSchedule, Step
from media_agent_magi.engine.stepper import timesteps


@st.composite
def configs(draw: st.DrawFn) -> SamplerConfig:
    window, parts = draw(st.integers(1, 8)), draw(st.integers(0, 4))
    steps = window * max(parts, 1) * draw(st.integers(1, 2))
    return SamplerConfig(
        num_steps=steps,
        window_size=window,
        chunk_width=draw(st.integers(1, 6)),
        noise2clean_kvrange=tuple(
            draw(st.lists(st.integers(1, 6), min_size=parts, max_size=parts))
        ),
        clean_chunk_kvrange=draw(st.sampled_from([-1, 1, 2, 3])),
        ramp=draw(st.booleans()),
    )


videos = st.tuples(configs(), st.integers(0, 3), st.integers(0, 6))
"""A config, whole prefix chunks, chunks to make."""


def plan(schedule: ChunkSchedule, total: int) -> list[Step]:
    return [step for j in range(schedule.stages(total)) for step in schedule.stage(j, total)]


def number_chunks(step: Step) -> Iterator[tuple[int, int | None, tuple[int, int]]]:
    """Chunk, level and visible chunks of everything the model sees in a step."""
    for i, (level, visible) in enumerate(zip(step.levels, step.kv_ranges, strict=True)):
        yield step.first_chunk + i, level, visible


@given(videos)
def test_every_chunk_takes_every_step_once_and_in_order(
    video: tuple[SamplerConfig, int, int],
) -> None:
    config, prefix, made = video
    taken: dict[int, list[int]] = {}
    for step in plan(ChunkSchedule(config, prefix), prefix + made):
        for chunk, level, _ in number_chunks(step):
            if level is not None:
                taken.setdefault(chunk, []).append(level)

    assert taken == {prefix + c: list(range(config.num_steps)) for c in range(made)}


@given(videos)
def test_chunks_finish_one_by_one_at_the_end_of_a_stage(
    video: tuple[SamplerConfig, int, int],
) -> None:
    config, prefix, made = video
    schedule = ChunkSchedule(config, prefix)
    steps = plan(schedule, prefix + made)
    finishing = [step for step in steps if step.finished is not None]

    assert [step.finished for step in finishing] == list(range(prefix, prefix + made))
    assert all(step.index == schedule.stage_steps - 1 for step in finishing)
    assert len(steps) == schedule.total_steps(prefix + made)


@given(videos)
def test_no_chunk_sees_a_later_one_and_the_window_never_overflows(
    video: tuple[SamplerConfig, int, int],
) -> None:
    config, prefix, made = video
    for step in plan(ChunkSchedule(config, prefix), prefix + made):
        assert 0 < step.window[1] - step.window[0] <= config.window_size
        for chunk, _, (start, end) in number_chunks(step):
            assert 0 <= start <= chunk
            assert end == chunk + 1


@given(videos)
def test_whatever_is_read_from_the_cache_was_stored_clean_before(
    video: tuple[SamplerConfig, int, int],
) -> None:
    config, prefix, made = video
    schedule = ChunkSchedule(config, prefix)
    clean = set(range(prefix))
    for step in plan(schedule, prefix + made):
        read = {c for start, _ in step.kv_ranges for c in range(start, step.first_chunk)}
        assert read <= clean
        clean |= {chunk for chunk, level, _ in number_chunks(step) if level is None}


@given(videos)
def test_nothing_is_forgotten_that_is_needed_later(video: tuple[SamplerConfig, int, int]) -> None:
    config, prefix, made = video
    schedule, total = ChunkSchedule(config, prefix), prefix + made
    for j in range(schedule.stages(total)):
        later = [s for s in plan(schedule, total) if s.stage >= j]
        needed = min(start for s in later for start, _ in s.kv_ranges)
        assert schedule.earliest_visible(j, total) == needed
        assert schedule.earliest_visible(j, None) <= needed


@given(videos)
@settings(max_examples=50)
def test_an_open_end_starts_like_every_video(video: tuple[SamplerConfig, int, int]) -> None:
    config, prefix, made = video
    schedule = ChunkSchedule(config, prefix)
    for j in range(made):
        assert schedule.stage(j, None) == schedule.stage(j, prefix + made)


@given(configs(), st.integers(1, 5))
def test_the_prefix_step_holds_clean_chunks_that_see_backwards(
    config: SamplerConfig, prefix: int
) -> None:
    step = ChunkSchedule(config, prefix).prefix()

    assert step is not None
    assert step.is_prefix
    assert step.levels == (None,) * prefix
    assert all(start <= c < end == c + 1 for c, _, (start, end) in number_chunks(step))
    assert ChunkSchedule(config, 0).prefix() is None


@pytest.mark.parametrize(
    ("window", "entries"),
    [
        (1, [0, 1, 2, 3, 4]),
        (2, [0, 2, 3, 4, 5]),
        (3, [0, 3, 4, 5, 6]),
        (4, [0, 4, 6, 8, 9, 10, 11]),
        (8, [0, 8, 12, 16, 18, 20, 22, 24, 25, 26]),
    ],
)
def test_a_ramp_begins_with_one_chunk_alone(window: int, entries: list[int]) -> None:
    config = SamplerConfig(num_steps=8 * window, window_size=window, chunk_width=6, ramp=True)
    for prefix in (0, 2):
        schedule = ChunkSchedule(config, prefix)
        assert [schedule.entry(prefix + chunk) for chunk in range(len(entries))] == entries


def test_the_first_chunk_of_a_ramp_costs_no_more_than_a_later_one() -> None:
    ramp, steady = (
        SamplerConfig(num_steps=16, window_size=4, chunk_width=6, ramp=ramp)
        for ramp in (True, False)
    )

    def chunks_seen(config: SamplerConfig) -> list[int]:
        """Chunks that go through the model before each chunk is finished."""
        seen = [0]
        for step in plan(ChunkSchedule(config), 12):
            seen[-1] += len(step.levels)
            seen += [0] if step.finished is not None else []
        return seen[:8]

    assert chunks_seen(ramp) == [16, 25, 21, 29, 17, 17, 17, 17]
    assert chunks_seen(steady) == [40, 17, 17, 17, 17, 17, 17, 17]


def test_the_released_window_reaches_back_one_chunk() -> None:
    config = SamplerConfig(num_steps=16, window_size=4, chunk_width=6)
    steps = [s for s in plan(ChunkSchedule(config), 9) if s.window == (3, 7)]

    assert steps[0].first_chunk == 2
    assert steps[0].kv_ranges == ((2, 3), (2, 4), (2, 5), (2, 6), (2, 7))
    assert steps[1].kv_ranges == ((2, 4), (2, 5), (2, 6), (2, 7))


@pytest.mark.parametrize("transform", ["sd3", "square", "piecewise", "identity", "shift"])
@pytest.mark.parametrize("steps", [4, 12, 64])
def test_timesteps_rise_from_noise_to_clean(transform: str, steps: int) -> None:
    config = SamplerConfig(num_steps=steps, window_size=4, chunk_width=6, transform=transform)
    t = timesteps(config)

    assert t[0] == 0
    assert float(t[-1]) == pytest.approx(1, abs=2e-7)
    assert bool((t.diff() > 0).all())


def test_shift_alone_bends_even_steps() -> None:
    config = SamplerConfig(num_steps=4, window_size=1, chunk_width=6, transform="shift", shift=2.0)

    assert timesteps(config).tolist() == pytest.approx([0, 1 / 7, 1 / 3, 3 / 5, 1])


def test_the_last_quarter_begins_above_three_tenths() -> None:
    t = timesteps(SamplerConfig(num_steps=16, window_size=4, chunk_width=6))

    assert float(t[12]) > 0.3
    assert t[12] == torch.tensor(0.3)


def test_twelve_steps_name_their_sizes() -> None:
    config = SamplerConfig(num_steps=12, window_size=4, chunk_width=6)

    assert [ChunkSchedule(config).step_size(k) for k in range(3)] == [4, 8, 8]


def test_other_counts_name_half_their_steps() -> None:
    config = SamplerConfig(num_steps=16, window_size=4, chunk_width=6)

    assert ChunkSchedule(config).step_size(1) == 8


def test_unknown_and_missing_keys_are_listed_together() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown keys: colour, speed.*missing keys: .*num_steps"
    ):
        SamplerConfig.from_dict({"colour": 1, "speed": 2, "window_size": 4})


def test_sampler_settings_that_do_not_fit_are_named() -> None:
    with pytest.raises(ConfigError, match="num_steps 6 is no multiple of window_size 4"):
        SamplerConfig(num_steps=6, window_size=4, chunk_width=6, noise2clean_kvrange=())
    with pytest.raises(ConfigError, match="cfg_number must be 3 or 1, not 2"):
        SamplerConfig(num_steps=8, window_size=4, chunk_width=6, cfg_number=2)
    with pytest.raises(ConfigError, match="distilled model needs cfg_number 1"):
        SamplerConfig(num_steps=8, window_size=4, chunk_width=6, distill=True)


def test_model_settings_that_do_not_fit_are_named() -> None:
    sizes = {
        "num_layers": 1,
        "hidden_size": 64,
        "ffn_hidden_size": 64,
        "num_attention_heads": 6,
        "num_query_groups": 4,
        "kv_channels": 16,
        "in_channels": 4,
        "out_channels": 4,
        "caption_channels": 8,
        "caption_max_length": 8,
    }
    with pytest.raises(ConfigError, match="6 is no multiple of num_query_groups 4"):
        ModelConfig.from_dict(sizes)
    with pytest.raises(ConfigError, match="num_layers must be a whole number above 0, not 0"):
        ModelConfig.from_dict({**sizes, "num_query_groups": 2, "num_layers": 0})
    with pytest.raises(ConfigError, match=r"cond_gating_ratio must be 1, .* not 0\.5"):
        ModelConfig.from_dict({**sizes, "num_query_groups": 2, "cond_gating_ratio": 0.5})
