from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.guidance import Predictor
from media_agent_magi.engine.guidance_table import GuidanceTable
from media_agent_magi.engine.noise import given_noise, seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.schedule import ChunkSchedule
from media_agent_magi.engine.stepper import timesteps
from media_agent_magi.engine.text.of_chunks import read_rows
from media_agent_magi.engine.text.rows import TextRow, null_row
from media_agent_magi.engine.transformer import StepInput

BASE = SamplerConfig(num_steps=8, window_size=4, chunk_width=2, null_caption_tokens=3)
APART = replace(BASE, tokens_together=0)
DISTILLED = replace(BASE, cfg_number=1, distill=True)
SHAPE = (4, 2, 4, 4)


@pytest.fixture(scope="module")
def model(small_videos: Any) -> VideoDiT:
    return small_videos.model


def row(chunk: int) -> TextRow:
    generator = torch.Generator().manual_seed(chunk)
    return TextRow(torch.randn(6, 8, generator=generator), torch.ones(6))


def sampler(
    model: VideoDiT, config: SamplerConfig = BASE, made: int = 6, **options: Any
) -> ChunkSampler:
    options.setdefault("noise", seeded_noise(7, SHAPE))
    options.setdefault("text", lambda chunk: row(chunk) if chunk < made else None)
    return ChunkSampler(model, config, **options)


def video(*args: Any, **options: Any) -> list[Tensor]:
    return [chunk.latents for chunk in sampler(*args, **options)]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(map(torch.equal, a, b))


def test_chunks_come_out_in_order_and_are_finite(model: VideoDiT) -> None:
    chunks = list(sampler(model))

    assert [chunk.index for chunk in chunks] == list(range(6))
    assert all(chunk.latents.shape == (1, *SHAPE) for chunk in chunks)
    assert all(bool(chunk.latents.isfinite().all()) for chunk in chunks)


def test_an_end_told_by_the_text_equals_an_end_known_before(model: VideoDiT) -> None:
    assert same(video(model, made=5), video(model, made=9, total=5))


def test_a_longer_video_begins_like_a_shorter_one(model: VideoDiT) -> None:
    short, long = video(model, made=3), video(model, made=7)

    for a, b in zip(short, long, strict=False):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_an_endless_video_can_be_left_at_any_time(model: VideoDiT) -> None:
    chunks = list(islice(sampler(model, made=10**9), 3))

    assert [chunk.index for chunk in chunks] == [0, 1, 2]


def test_no_text_at_all_makes_no_chunk(model: VideoDiT) -> None:
    assert video(model, made=0) == []


def test_the_prompt_of_a_chunk_changes_this_chunk(model: VideoDiT) -> None:
    changed = video(model, text=lambda c: row(c + 50 * (c == 2)) if c < 6 else None)

    plain = video(model)
    assert not torch.allclose(changed[2], plain[2], atol=1e-3)
    torch.testing.assert_close(changed[:2], plain[:2], rtol=1e-4, atol=1e-5)


def test_noise_depends_on_the_seed_and_the_chunk_alone() -> None:
    noise, other = seeded_noise(3, SHAPE), seeded_noise(4, SHAPE)
    late = noise(1000)
    noise(1)

    assert torch.equal(noise(1000), late)
    assert not torch.equal(noise(0), noise(1))
    assert not torch.equal(noise(0), other(0))
    assert abs(float(torch.cat([noise(c) for c in range(50)]).std()) - 1) < 0.05


def test_given_noise_is_cut_into_chunks() -> None:
    noise = torch.arange(6.0).view(1, 1, 6, 1, 1)

    assert given_noise(noise, 2)(1).flatten().tolist() == [2, 3]


def test_progress_counts_steps_and_can_stop_the_video(model: VideoDiT) -> None:
    seen: list[tuple[int, int | None]] = []

    def stop(step: int, total: int | None) -> None:
        seen.append((step, total))
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        video(model, total=6, on_forward=stop)
    assert sorted({step for step, _ in seen}) == [0, 1, 2, 3, 4, 5]
    assert {total for _, total in seen} == {18}


def count_forwards(model: VideoDiT, config: SamplerConfig, **options: Any) -> tuple[int, int]:
    """Forwards and steps of a video of one chunk more than the window."""
    steps: list[int] = []
    video(model, config, made=5, on_forward=lambda step, _: steps.append(step), **options)
    return len(steps), len(set(steps))


def test_forwards_without_weight_are_left_out(model: VideoDiT) -> None:
    table = replace(BASE, prev_chunk_scales=(1.0,) * 5, text_scales=(0.0,) * 5)

    assert count_forwards(model, table) == (16, 16)
    assert count_forwards(model, DISTILLED) == (16, 16)
    # the last chunk's last quarter needs the history alone
    assert count_forwards(model, APART) == (3 * 16 - 2 * 2, 16)


def test_forwards_with_and_without_text_run_together_where_they_are_small(model: VideoDiT) -> None:
    assert count_forwards(model, BASE) == (2 * 16 - 2, 16)

    prefix = torch.randn(1, 4, 5, 4, 4, generator=torch.Generator().manual_seed(1))
    for a, b in zip(
        video(model, BASE, prefix=prefix), video(model, APART, prefix=prefix), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


NULL = null_row(torch.randn(6, 8, generator=torch.Generator().manual_seed(9)), 3)


def stack(rows: list[TextRow]) -> tuple[Tensor, Tensor]:
    return torch.stack([r.caption for r in rows]), torch.stack([r.mask for r in rows])


def mix_by_hand(model: VideoDiT, given: StepInput, cache: Callable[[], KVCache]) -> Tensor:
    """All three forwards in full, straight from the formula."""
    tokens, chunks, t = 2 * 2 * 2, len(given.t), torch.tensor([given.t])
    caption, mask = stack([row(c) for c in range(chunks)])
    null, null_mask = stack([NULL] * chunks)
    ranges = [(a * tokens, b * tokens) for a, b in given.step.kv_ranges]
    common: dict[str, Any] = {"kv_ranges": ranges, "first_chunk": given.step.first_chunk}
    v1 = model(given.x, t, caption, mask, cache=cache(), **common)
    v2 = model(given.x, t, null, null_mask, cache=cache(), drop_caption=True, **common)
    apart = torch.cat(given.x.chunk(chunks, dim=2))
    v3 = model(apart, t.T, null, null_mask, kv_ranges=[(0, tokens)], drop_caption=True)
    v3 = torch.cat(v3.split(1), dim=2)
    p, s = (
        torch.tensor(scale).repeat_interleave(2).view(-1, 1, 1)
        for scale in zip(*given.scales, strict=True)
    )
    mixed: Tensor = (1 - p) * v3 + (p - s) * v2 + s * v1
    return mixed


@torch.no_grad()
@pytest.mark.parametrize("config", [BASE, APART])
def test_leaving_forwards_out_changes_no_number(model: VideoDiT, config: SamplerConfig) -> None:
    step = ChunkSchedule(BASE).stage(3, 9)[1]
    t = timesteps(BASE)[[level for level in step.levels if level is not None]].tolist()
    table = GuidanceTable.from_config(BASE)
    scales = [table.at(value) for value in t]
    texts, null = [read_rows(model, [row(c)]) for c in range(4)], read_rows(model, [NULL])
    x = torch.randn(1, 4, 8, 4, 4, generator=torch.Generator().manual_seed(3))
    given = StepInput(step, x, tuple(t), texts, [null] * 4, scales)

    velocity = Predictor(model, config, KVCache()).velocity(given)

    assert (1.0, 0.0) in scales
    torch.testing.assert_close(velocity, mix_by_hand(model, given, KVCache), rtol=1e-4, atol=1e-4)


def test_a_chunk_can_have_guidance_of_its_own(model: VideoDiT) -> None:
    none = GuidanceTable((0.0,), (1.0,), (0.0,))
    strong = GuidanceTable((0.0,), (1.0,), (4.0,))

    def only_first(chunk: int) -> GuidanceTable:
        return strong if chunk == 0 else none

    plain = video(model, guidance=lambda _: none)
    guided = video(model, guidance=only_first)
    assert not torch.allclose(guided[0], plain[0], atol=1e-3)
    assert count_forwards(model, APART, guidance=only_first) == (16 + 8, 16)


def test_guidance_goes_by_intervals_of_t() -> None:
    table = GuidanceTable((0.0, 0.1, 0.3), (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))

    assert table.at(0.0) == (1.0, 4.0)
    assert table.at(0.1) == (2.0, 5.0)
    assert table.at(0.2999) == (2.0, 5.0)
    assert table.at(1.0) == (3.0, 6.0)


def test_an_image_is_handed_out_with_the_first_chunk(model: VideoDiT) -> None:
    image = torch.full((1, 4, 1, 4, 4), 0.5)
    moved = video(model, prefix=image)
    exact = video(model, prefix=image, exact_prefix=True)

    assert torch.equal(exact[0][:, :, :1], image)
    assert not torch.equal(moved[0][:, :, :1], image)
    assert torch.equal(moved[0][:, :, 1:], exact[0][:, :, 1:])
    assert same(moved[1:], exact[1:])


def test_a_continuation_hands_out_new_frames_only(model: VideoDiT) -> None:
    prefix = torch.randn(1, 4, 5, 4, 4, generator=torch.Generator().manual_seed(1))
    chunks = list(sampler(model, prefix=prefix, made=6))

    assert [chunk.index for chunk in chunks] == [2, 3, 4, 5]
    assert [chunk.latents.shape[2] for chunk in chunks] == [1, 2, 2, 2]


def test_a_continuation_depends_on_what_it_continues_from(model: VideoDiT) -> None:
    prefix = torch.randn(1, 4, 4, 4, 4, generator=torch.Generator().manual_seed(1))

    a, b = video(model, prefix=prefix, made=4), video(model, prefix=-prefix, made=4)
    assert not torch.allclose(a[0], b[0], atol=1e-3)


@pytest.mark.parametrize("config", [BASE, DISTILLED])
def test_patches_may_span_two_frames(config: SamplerConfig, small_videos: Any) -> None:
    chunks = video(
        small_videos.random_model(replace(small_videos.sizes, t_patch_size=2)), config, made=6
    )

    assert len(chunks) == 6
    assert all(chunk.shape == (1, *SHAPE) for chunk in chunks)


def test_near_clean_chunks_are_predicted_alone_as_well(model: VideoDiT) -> None:
    always_with_history = replace(DISTILLED, nearly_clean_threshold=2.0)
    made, plain = video(model, DISTILLED), video(model, always_with_history)

    torch.testing.assert_close(made[0], plain[0], rtol=1e-4, atol=1e-5)  # it has no history
    assert not torch.allclose(made[1], plain[1], atol=1e-4)


@pytest.mark.parametrize("strength", [0.0, -0.1, 1.01])
def test_a_strength_that_means_nothing_is_refused(model: VideoDiT, strength: float) -> None:
    with pytest.raises(ValueError, match="strength of chunk 0 must be above 0 and at most 1"):
        video(model, source=lambda _: (SOURCE, strength))


SOURCE = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(5))


def test_at_full_strength_nothing_is_left_of_the_source(model: VideoDiT) -> None:
    assert same(video(model, source=lambda _: (SOURCE, 1.0)), video(model))


def test_the_weaker_the_closer_to_the_source(model: VideoDiT) -> None:
    distances = [
        float((video(model, made=3, source=lambda _, s=s: (SOURCE, s))[1] - SOURCE).abs().mean())
        for s in (0.05, 0.5, 0.9, 1.0)
    ]

    assert distances == sorted(distances)
    assert distances[0] < 0.5 * distances[-1]


@pytest.mark.parametrize("ramp", [False, True])
def test_strength_is_chosen_by_chunk_and_a_chunk_waits_unmoved_for_its_turn(
    model: VideoDiT, ramp: bool
) -> None:
    def source(chunk: int) -> tuple[Tensor, float] | None:
        return None if chunk < 2 else (SOURCE, 0.4)

    config = replace(BASE, ramp=ramp)
    running = sampler(model, config, source=source)
    made = [chunk.latents for chunk in islice(running, 2)]
    state = running.state()
    held = {c: state.latents[c] for c in state.levels if c in state.latents}
    t = timesteps(config)[7]  # the nearest to 1 - 0.4

    for a, b in zip(made, video(model, config)[:2], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    newest = max(held)
    expected = (1 - t) * seeded_noise(7, SHAPE)(newest) + t * SOURCE
    torch.testing.assert_close(held[newest], expected)


def test_nobody_runs_chunks_that_wait(model: VideoDiT) -> None:
    seen: list[int] = []

    class Counting(ChunkSampler):
        def predict(self, given: StepInput) -> Tensor:
            seen.append(len(given.t) - given.step.clean_chunks)
            return super().predict(given)

    options = {"noise": seeded_noise(7, SHAPE), "total": 6, "source": lambda _: (SOURCE, 0.4)}
    list(Counting(model, BASE, text=row, **options))

    assert seen == [1] * 6  # at this strength the last step alone moves a chunk


@pytest.mark.parametrize("per_item", [False, True])
@pytest.mark.parametrize("config", [replace(BASE, ramp=True), APART, DISTILLED])
def test_videos_side_by_side_equal_videos_of_their_own(
    model: VideoDiT, config: SamplerConfig, per_item: bool
) -> None:
    prefix = torch.randn(3, 4, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    noises = [seeded_noise(seed, SHAPE) for seed in range(3)]

    def text(chunk: int, item: int) -> TextRow | None:
        return row(chunk + 10 * item * per_item) if chunk < 6 else None

    def texts(chunk: int) -> list[TextRow] | TextRow | None:
        if not per_item or chunk == 6:
            return text(chunk, 0)
        return [text(chunk, item) or NULL for item in range(3)]

    together = video(model, config, noise=noises, text=texts, prefix=prefix)

    for item in range(3):
        alone = video(
            model,
            config,
            noise=noises[item],
            text=lambda chunk, item=item: text(chunk, item),
            prefix=prefix[item : item + 1],
        )
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[item : item + 1], b, rtol=1e-4, atol=1e-4)


def test_a_text_is_read_once(model: VideoDiT) -> None:
    calls: list[int] = []
    hook = model.y_embedder.y_proj_xattn.register_forward_hook(lambda *_: calls.append(1))
    video(model, made=6)
    hook.remove()

    assert len(calls) == 6 + 1  # and the null caption


FRAMES_ASKED = [
    (prefix, shown, asked)
    for prefix in range(6)
    for shown in (False, True)
    for asked in (1, 2, 3, 6)
    if not shown or prefix < BASE.chunk_width
]


@pytest.mark.parametrize(("prefix", "shown", "asked"), FRAMES_ASKED)
def test_as_many_frames_are_handed_out_as_asked_for(
    model: VideoDiT, prefix: int, shown: bool, asked: int
) -> None:
    given = torch.randn(1, 4, prefix, 4, 4) if prefix else None
    config = replace(DISTILLED, num_steps=4, noise2clean_kvrange=(2,))
    chunks = list(sampler(model, config, 99, prefix=given, frames=asked, hand_out_prefix=shown))

    counts = [chunk.latents.shape[2] for chunk in chunks]
    assert sum(counts) == asked
    assert [chunk.start for chunk in chunks] == [sum(counts[:i]) for i in range(len(counts))]
    assert min(counts) > 0


def numbers(*values: float) -> tuple[Tensor, Tensor]:
    """Keys and values of one sample and group, of width 1; values are the keys plus a half."""
    keys = torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)
    return keys, keys + 0.5


def test_the_cache_gives_back_what_was_written_and_forgets_on_request() -> None:
    cache = KVCache()
    cache.write(0, 0, *numbers(0, 1, 2, 3, 4))
    cache.write(0, 3, *numbers(0, 1))
    cache.forget_before(2)

    assert cache.first_token == 2
    assert cache.read(0, 2, 5).flatten().tolist() == [2, 2.5, 0, 0.5, 1, 1.5]
    assert cache.read(0, 3, 4).flatten().tolist() == [0, 0.5]
    assert cache.read(0, 2, 2).numel() == 0


def test_the_origin_of_the_cache_moves_with_the_video() -> None:
    cache = KVCache()
    cache.write(0, 0, *numbers(*range(12)))
    cache.forget_before(10)
    cache.move_origin(2, 4, lambda keys: keys + 1)

    assert (cache.origin, cache.first_token) == (2, 2)
    assert cache.read(0, 2, 4)[..., 0].flatten().tolist() == [11, 12]


def test_the_cache_is_written_in_place() -> None:
    cache = KVCache(capacity=6)
    cache.write(0, 0, *numbers(0, 1))
    place = cache.read(0, 0, 2).data_ptr()
    for token in range(2, 20):
        cache.write(0, token, *numbers(token))
        cache.forget_before(token - 3)

        assert cache.read(0, cache.first_token, token).data_ptr() == place


def test_a_gap_in_the_cache_and_reading_beyond_its_end_are_refused() -> None:
    cache = KVCache()
    cache.write(0, 0, *numbers(0, 1))

    with pytest.raises(ValueError, match="token 3 of a cache that holds 2"):
        cache.write(0, 3, *numbers(0))
    with pytest.raises(ValueError, match="layer 0 holds tokens 0 to 2, 0 to 4 were asked for"):
        cache.read(0, 0, 4)
