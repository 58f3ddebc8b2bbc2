"""What is planned against what is counted: weights exactly, the rest by its allocations."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from media_agent_magi.engine.autoencoders import wan_vae_layers
from media_agent_magi.engine.autoencoders.wan_vae import WanVAE
from media_agent_magi.engine.autoencoders.wan_vae_config import WanVAEConfig, tile_spans
from media_agent_magi.engine.autoencoders.wan_vae_layers import Memory
from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.engine.causal.rope import rotary_table
from media_agent_magi.engine.text.keys import ChunkText
from media_agent_magi.loading.memory import GIB, Holding, MemoryPlan, plan_both, plan_memory
from media_agent_magi.loading.stream import on_meta
from media_agent_magi.wan_causal.config import LONGLIVE, SELF_FORCING, WanCausalConfig
from media_agent_magi.wan_causal.sizes import frame_tokens, key_bytes, wan_sizes, working_bytes
from tests.magi.allocations import Allocations

SIZE = (480, 832)
META = torch.device("meta")


def plan(config: WanCausalConfig, gib: float, **options: Any) -> MemoryPlan:
    return plan_memory(wan_sizes(config, SIZE, **options), round(gib * GIB))


def test_the_numbers_of_the_released_sizes_are_those_of_the_papers() -> None:
    sizes = wan_sizes(LONGLIVE, SIZE)

    assert frame_tokens(LONGLIVE.model, SIZE, 8) == 1560
    assert sizes.weights == 2 * 1_418_996_800
    assert sizes.text == 2 * 5_680_910_336
    assert key_bytes(LONGLIVE.model, 12 * 1560) / GIB == pytest.approx(3.2, abs=0.05)
    assert key_bytes(LONGLIVE.model, 21 * 1560) / GIB == pytest.approx(5.6, abs=0.05)


@pytest.mark.parametrize("parts", [1, 2])
def test_working_memory_is_what_a_forward_allocates(parts: int) -> None:
    config, tokens = replace(LONGLIVE.model, num_layers=2), parts * 3 * 1560
    model = on_meta(lambda: WanDiT(config))
    assert isinstance(model, WanDiT)
    x = torch.empty(1, 16, 3 * parts, 60, 104, device=META)
    condition = torch.empty(1, 3 * parts, 7, config.dim, device=META, dtype=torch.bfloat16)
    rotary = rotary_table(config.head_width, 0, (3 * parts, 30, 52), META)
    text = ChunkText(torch.empty(1, config.text_len, config.dim, device=META, dtype=torch.bfloat16))
    with torch.inference_mode(False), torch.no_grad():
        counted = Allocations(*model.parameters(), x, condition, rotary, text.text)
        with counted:
            model.run(
                x,
                condition,
                (text,) * parts,
                rotary,
                ranges=[[(0, (part + 1) * 3 * 1560)] for part in range(parts)],
                kernel=lambda q, k, v, bias: torch.empty_like(q),
            )

    planned = working_bytes(config, tokens, 0)
    assert counted.peak <= planned <= 1.3 * counted.peak


@pytest.mark.parametrize(("rides", "frames"), [(True, 12 + 3), (False, 12)])
def test_reading_all_that_is_seen_again_is_planned_for(rides: bool, frames: int) -> None:
    held = Holding(window=12, rides=rides)

    planned = wan_sizes(LONGLIVE, SIZE).activations(held)

    assert planned == working_bytes(LONGLIVE.model, frames * 1560, 12 * 1560)


def test_decoding_needs_what_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(  # as a kernel that holds no scores
        wan_vae_layers.F, "scaled_dot_product_attention", lambda q, k, v: torch.empty_like(q)
    )
    vae = on_meta(lambda: WanVAE(WanVAEConfig()).to(torch.bfloat16))
    assert isinstance(vae, WanVAE)
    latents, memory = torch.empty(1, 16, 1, 60, 104, device=META), Memory()
    with torch.no_grad():
        counted = Allocations(*vae.parameters(), latents)
        with counted:
            for _ in range(3):
                vae.decode_frame(latents, memory)

    sizes = wan_sizes(LONGLIVE, SIZE)
    weights = sum(parameter.nbytes for parameter in vae.parameters())
    assert counted.live == sizes.vae - weights  # what a stream keeps
    assert counted.peak <= sizes.vae - weights + sizes.tile <= 1.1 * counted.peak


def test_decoding_in_tiles_needs_what_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        wan_vae_layers.F, "scaled_dot_product_attention", lambda q, k, v: torch.empty_like(q)
    )
    vae = on_meta(lambda: WanVAE(WanVAEConfig()).to(torch.bfloat16))
    assert isinstance(vae, WanVAE)
    latents, memory, tile = torch.empty(1, 16, 1, 60, 104, device=META), Memory(), Memory()
    rows, columns = (tile_spans(vae.config, side)[0] for side in SIZE)
    weights = sum(parameter.nbytes for parameter in vae.parameters())
    with torch.no_grad():
        deep = Allocations(*vae.parameters(), latents)
        with deep:
            for _ in range(3):
                begin = vae.decode_deep(latents, memory)
        part = begin[..., rows.first : rows.last, columns.first : columns.last].contiguous()
        wide = Allocations(*vae.parameters())
        with wide:
            for _ in range(3):
                vae.decoder.widen(part, tile)

    kept = [sum(x.nbytes for x in each.kept.values()) for each in (memory, tile)]
    tiled = wan_sizes(LONGLIVE, SIZE).tiled
    assert tiled is not None
    assert tiled.vae == pytest.approx(weights + sum(kept), rel=1e-6)
    needed = max(deep.peak + kept[1], wide.peak + part.nbytes + kept[0]) + weights
    assert needed <= tiled.vae + tiled.tile <= 1.1 * needed
    whole = wan_sizes(LONGLIVE, SIZE)
    assert 2 * (tiled.vae + tiled.tile) < whole.vae + whole.tile
    assert wan_sizes(LONGLIVE, (384, 384)).tiled is None
    assert wan_sizes(LONGLIVE, SIZE, moves=False).tiled is None


def test_the_ring_is_what_is_planned() -> None:
    causal, model, cache = LONGLIVE.causal, LONGLIVE.model, KVCache(15 * 1560)
    keys = torch.empty(
        1, 4680, model.num_heads, model.head_width, device=META, dtype=torch.bfloat16
    )
    cache.write(0, 0, keys, keys)

    held = wan_sizes(LONGLIVE, SIZE).ring(Holding(window=causal.window))
    texts = key_bytes(model, 2 * model.text_len)
    assert causal.room == 15
    assert held - texts == model.num_layers * bytes_of(cache)


def bytes_of(cache: KVCache) -> int:
    ring: Tensor = cache._rings[0]
    return ring.nbytes


@pytest.mark.parametrize(
    ("config", "gib", "steps", "window"),
    [
        (SELF_FORCING, 40, [], 21),
        (SELF_FORCING, 24, ["text encoder off the device"], 21),
        (LONGLIVE, 24, [], 12),
        (SELF_FORCING, 12, ["keys of finished blocks made apart", "frames decoded in tiles"], 21),
        (SELF_FORCING, 11, ["frames decoded in tiles", "a window of 12 frames"], 12),
        (LONGLIVE, 12, ["chunks decoded in turn"], 12),
        (LONGLIVE, 11, ["keys of finished blocks made apart"], 12),
        (SELF_FORCING, 8, ["a window of 12 frames", "keys in the main memory"], 12),
        (LONGLIVE, 10, ["keys of finished blocks made apart", "frames decoded in tiles"], 12),
        (LONGLIVE, 8, ["frames decoded in tiles", "keys in the main memory"], 12),
        (LONGLIVE, 6.5, ["frames decoded in tiles", "keys in the main memory"], 12),
        (LONGLIVE, 6, ["keys in the main memory", "blocks streamed from the main memory"], 12),
    ],
)
def test_usual_cards_hold_the_released_models(
    config: WanCausalConfig, gib: float, steps: list[str], window: int
) -> None:
    found = plan(config, gib)

    assert found.device_bytes <= gib * GIB
    assert list(found.steps[-len(steps) :] if steps else found.steps) == steps
    assert found.holding.window == window


def test_steps_come_in_one_order_and_stop_as_soon_as_it_fits() -> None:
    every = plan(SELF_FORCING, 0).steps

    assert every == (
        "text encoder off the device",
        "chunks decoded in turn",
        "keys of finished blocks made apart",
        "frames decoded in tiles",
        "a window of 12 frames",
        "keys in the main memory",
        "blocks streamed from the main memory",
    )
    for gib in range(3, 26):
        steps = plan(SELF_FORCING, gib).steps
        assert steps == every[: len(steps)]


def test_a_window_that_was_asked_for_is_kept() -> None:
    assert plan(SELF_FORCING, 12, fixed_window=True).holding.window == 21


def test_what_is_moved_off_the_device_is_counted_in_the_main_memory() -> None:
    found = plan(LONGLIVE, 6)

    names = {"text encoder", "keys", "weights", "autoencoder"}
    assert {part.name for part in found.main} == names
    assert found.main_bytes / GIB == pytest.approx(10.6 + 3.4 + 2.6 + 2.1, abs=0.2)


def test_tiles_are_left_out_where_the_main_memory_is_too_small_for_them() -> None:
    sizes = wan_sizes(LONGLIVE, SIZE)
    roomy, narrow = (plan_both(sizes, 8 * GIB, main * GIB) for main in (32, 15))

    assert roomy.holding.vae_in_tiles
    assert roomy.main_bytes > 15 * GIB > narrow.main_bytes
    assert narrow.steps[-1] == "keys in the main memory"
    assert narrow.device_bytes <= 8 * GIB
    assert plan_both(sizes, 7 * GIB, 15 * GIB).main_bytes > 15 * GIB  # nothing else fits


def test_several_videos_side_by_side_share_the_weights() -> None:
    one, two = plan(LONGLIVE, 80), plan(LONGLIVE, 80, videos=2)

    shared = wan_sizes(LONGLIVE, SIZE).weights + wan_sizes(LONGLIVE, SIZE).text
    assert one.device_bytes < two.device_bytes < 2 * one.device_bytes - shared
