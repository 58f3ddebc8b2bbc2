"""The causal model in the sampler: windows, sinks, texts that change, states."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.causal.config import EVERYTHING, CausalConfig, WanConfig
from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.engine.causal.predictor import WindowedPredictor
from media_agent_magi.engine.causal.stepper import FewStepStepper
from media_agent_magi.engine.config import ConfigError
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.state_io import load_state, save_state
from media_agent_magi.engine.text.rows import TextRow

SIZES = WanConfig(
    dim=48, num_heads=2, ffn_dim=64, num_layers=2, text_dim=8, text_len=6, freq_dim=32,
    in_dim=4, out_dim=4,
)  # fmt: skip
SHAPE = (4, 3, 4, 4)  # 4 tokens a frame
TWO_STEPS = CausalConfig(steps=(1000, 500), window=9, sink=3)
LONGLIVE = replace(TWO_STEPS, recache=True)
STEPS = len(TWO_STEPS.steps)


@pytest.fixture(scope="module")
def model() -> WanDiT:
    torch.manual_seed(0)
    model = WanDiT(SIZES).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.normal_(std=0.2)
    return model


def row(number: int) -> TextRow:
    generator = torch.Generator().manual_seed(number)
    return TextRow(torch.randn(4, 8, generator=generator), torch.ones(4))


def sampler(
    model: WanDiT,
    config: CausalConfig,
    blocks: int | None = 6,
    *,
    seeds: tuple[int, ...] = (7,),
    switch: int = 1000,
    cache: KVCache | None = None,
    **options: Any,
) -> ChunkSampler:
    return ChunkSampler(
        model,
        config.sampler,
        noise=[seeded_noise(seed, SHAPE) for seed in seeds],
        text=lambda chunk: row(0 if chunk < switch else 1),
        total=blocks,
        predictor=WindowedPredictor(model, config, cache),
        stepper=FewStepStepper(config),
        **options,
    )


def video(*args: Any, **options: Any) -> list[Tensor]:
    return [chunk.latents for chunk in sampler(*args, **options)]


class WholeCache(KVCache):
    """Keeps the keys of the whole video."""

    def forget_before(self, token: int) -> None:
        pass


@pytest.mark.parametrize("rides", [True, False])
def test_a_window_that_holds_all_is_the_full_cache(model: WanDiT, rides: bool) -> None:
    config = replace(TWO_STEPS, rides=rides, sink=0)

    ring = video(model, replace(config, window=18))
    full = video(model, replace(config, window=EVERYTHING))

    assert all(map(torch.equal, ring, full))


@pytest.mark.parametrize(("window", "sink"), [(3, 0), (7, 2), (9, 3)])
@pytest.mark.parametrize("rides", [True, False])
@pytest.mark.parametrize(("slots", "switch"), [(False, 1000), (False, 5), (True, 5)])
def test_a_ring_makes_the_video_of_a_cache_that_keeps_everything(
    model: WanDiT, window: int, sink: int, rides: bool, slots: bool, switch: int
) -> None:
    config = replace(LONGLIVE, window=window, sink=sink, rides=rides, slot_positions=slots)
    whole = WholeCache()

    ring = video(model, config, 8, switch=switch)
    full = video(model, config, 8, switch=switch, cache=whole)

    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(ring, full, strict=True))
    assert whole.entries()[0].shape[1] == 7 * 3 * 4


@pytest.mark.parametrize("switch", [1000, 2, 5])
@pytest.mark.parametrize("global_sink", [True, False])
def test_a_clean_block_may_ride_or_not(model: WanDiT, switch: int, global_sink: bool) -> None:
    config = replace(LONGLIVE, global_sink=global_sink)

    riding = video(model, config, 8, switch=switch)
    apart = video(model, replace(config, rides=False), 8, switch=switch)

    for a, b in zip(riding, apart, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_new_text_is_shown_by_the_block_that_has_it(model: WanDiT) -> None:
    plain, changed = video(model, LONGLIVE), video(model, LONGLIVE, switch=3)

    same = [torch.equal(a, b) for a, b in zip(plain, changed, strict=True)]
    assert same == [True] * 3 + [False] * 3


@pytest.mark.parametrize("switch", [1, 2, 5])
def test_what_is_seen_is_read_again_with_a_new_text(model: WanDiT, switch: int) -> None:
    kept = video(model, replace(LONGLIVE, recache=False), 8, switch=switch)
    read = video(model, LONGLIVE, 8, switch=switch)
    other = video(model, replace(LONGLIVE, global_sink=False), 8, switch=switch)

    assert all(map(torch.equal, kept[:switch], read[:switch]))
    assert not torch.equal(kept[switch], read[switch])
    early = 3 * switch <= LONGLIVE.window  # the sink is read again, too
    assert torch.equal(read[switch], other[switch]) is early


def test_the_sink_decides_what_a_late_block_is(model: WanDiT) -> None:
    without = video(model, replace(TWO_STEPS, sink=0))
    with_sink = video(model, TWO_STEPS)

    assert all(map(torch.equal, without[:3], with_sink[:3]))
    assert not torch.equal(without[3], with_sink[3])


@pytest.mark.parametrize("after", [1, 4, 6])
@pytest.mark.parametrize(("global_sink", "rides"), [(True, True), (False, False)])
def test_a_video_goes_on_from_its_state_to_the_bit(
    model: WanDiT, after: int, global_sink: bool, rides: bool, tmp_path: Path
) -> None:
    config = replace(LONGLIVE, global_sink=global_sink, rides=rides)
    whole = video(model, config, 9, seeds=(1, 2), switch=4)
    running = sampler(model, config, 9, seeds=(1, 2), switch=4)
    list(islice(running, after))
    save_state(tmp_path / "state", running.state(), {})
    state, _ = load_state(tmp_path / "state", {})

    rest = video(model, config, seeds=(1, 2), switch=4, state=state)

    assert len(rest) == 9 - after
    assert all(map(torch.equal, rest, whole[after:]))


def test_the_ring_of_a_state_is_allocated_once(model: WanDiT, tmp_path: Path) -> None:
    running = sampler(model, LONGLIVE, 9)
    list(islice(running, 2))  # fewer than the ring has room for
    save_state(tmp_path / "state", running.state(), {})
    state, _ = load_state(tmp_path / "state", {})

    cache = KVCache()
    resumed = sampler(model, LONGLIVE, state=state, cache=cache)
    places = [ring.data_ptr() for ring in cache.entries().values()]
    list(islice(resumed, 4))

    assert [ring.data_ptr() for ring in cache.entries().values()] == places


def test_a_branch_goes_on_from_the_keys_of_one_video(model: WanDiT) -> None:
    whole = video(model, LONGLIVE, 8)
    running = sampler(model, LONGLIVE, 8, seeds=(7, 8))
    list(islice(running, 4))

    state = running.state().first_sample(2)
    same, other = torch.stack(video(model, LONGLIVE, seeds=(7, 9), state=state)).unbind(1)

    assert torch.allclose(same, torch.stack(whole[4:])[:, 0], atol=1e-5)
    assert not torch.allclose(same, other, atol=1e-2)


def test_nothing_grows_over_many_blocks(model: WanDiT) -> None:
    cache, places, sizes = KVCache(), set(), set()
    running = sampler(model, LONGLIVE, None, cache=cache, switch=20)
    for _ in islice(running, 40):
        if cache.entries() and cache.first_token > 12:
            places.add(cache.read(0, cache.start, cache.start + 1).data_ptr())
            state = running.state()
            sizes.add(sum(x.numel() for x in state.to_tensors().values()))

    assert len(places) == 1
    assert len(sizes) == 1
    held = (LONGLIVE.window - LONGLIVE.block_frames) * 4  # what the next block sees before it
    assert state.keys[0].shape[1] == held


def test_given_blocks_begin_a_video_and_other_frames_are_refused(model: WanDiT) -> None:
    given = torch.randn(1, 4, 6, 4, 4, generator=torch.Generator().manual_seed(1))

    made = video(model, TWO_STEPS, 5, prefix=given)
    alone = video(model, replace(TWO_STEPS, first_alone=True), 4, prefix=given[:, :, :4])

    assert [x.shape[2] for x in made] == [3] * 3
    assert [x.shape[2] for x in alone] == [3] * 2
    assert [x.shape[2] for x in video(model, replace(TWO_STEPS, first_alone=True), 3)] == [1, 3, 3]
    with pytest.raises(ValueError, match="4 given latent frames are no whole blocks of 3"):
        sampler(model, TWO_STEPS, 5, prefix=given[:, :, :4])


def test_the_forwards_of_a_block_are_its_steps(model: WanDiT) -> None:
    counted: list[int] = []

    def count(done: int, total: int | None) -> None:
        counted.append(done)

    video(model, TWO_STEPS, 4, on_forward=count)
    assert len(counted) == 4 * STEPS
    counted.clear()
    video(model, replace(TWO_STEPS, rides=False), 4, on_forward=count)
    assert len(counted) == 4 * STEPS + 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sink": 4}, "sink of 4 frames"),
        ({"window": 5}, "window of 5 frames must hold the sink and a block, 6"),
        ({"steps": (500, 1000)}, "steps must fall"),
        ({"steps": ()}, "steps must fall"),
        ({"shift": 0.0}, "shift must be above 0"),
        ({"context_noise": -1.0}, "context_noise"),
    ],
)
def test_settings_that_make_noise_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(TWO_STEPS, **changes)


def test_a_few_steps_end_with_what_is_predicted_to_be_clean() -> None:
    stepper = FewStepStepper(CausalConfig())
    x, flow = torch.randn(1, 4, 3, 4, 4), torch.randn(1, 4, 3, 4, 4)
    fresh: Callable[[], Tensor] = lambda: torch.ones_like(x)  # noqa: E731

    assert stepper.times == (1000.0, 937.5, pytest.approx(833.333, abs=1e-3), 625.0)
    assert torch.equal(stepper.step(x, flow, 3, fresh), stepper.predict(x, flow, 3))
    mixed = stepper.step(x, flow, 0, fresh)
    torch.testing.assert_close(mixed, 0.0625 * (x - flow) + 0.9375 * torch.ones_like(x))
    assert [stepper.nearest(t) for t in (0.0, 0.07, 0.4)] == [0, 1, 3]
    assert stepper.progress(0) == 0.0
    assert stepper.progress(4) == 1.0
