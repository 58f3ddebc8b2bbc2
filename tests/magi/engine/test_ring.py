from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any
from weakref import ref

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.rope import apply_rotary, rotary_table, turn_back

BASE = SamplerConfig(num_steps=8, window_size=4, chunk_width=2, null_caption_tokens=3)


class WholeCache(KVCache):
    """Keeps the keys of the whole video, as the reference does."""

    def forget_before(self, token: int) -> None:
        pass

    def move_origin(self, chunks: int, tokens: int, turn: Callable[[Tensor], Tensor]) -> None:
        pass


@pytest.mark.parametrize(
    ("window", "ramp", "prefix"),
    [(1, False, 3), (2, True, 0), (2, False, 8), (4, True, 3), (4, False, 0), (4, True, 8)],
)
@pytest.mark.parametrize("ranges", [(5, 4, 3, 2), (1,), (2, 2, 2, 2), (8, 2, 3, 6)])
def test_a_ring_makes_the_video_of_a_cache_that_keeps_everything(
    small_videos: Any, ranges: tuple[int, ...], window: int, ramp: bool, prefix: int
) -> None:
    config = replace(
        BASE, num_steps=4, window_size=window, noise2clean_kvrange=ranges, ramp=ramp, cfg_number=1
    )
    given = small_videos.prefix(prefix) if prefix else None
    whole = WholeCache()

    ring = small_videos.video(config, 10, prefix=given)
    full = small_videos.video(config, 10, prefix=given, cache=whole)

    assert len(ring) == 10 - prefix // 2
    assert all(map(torch.equal, ring, full))
    held = whole.entries()[0].shape[1]
    assert held == 9 * 8  # all chunks but the last, which nobody looks back at


@pytest.mark.parametrize("guidance", [3, 1])
def test_positions_counted_from_the_start_again_change_nothing_but_rounding(
    small_videos: Any, guidance: int
) -> None:
    config = replace(BASE, cfg_number=guidance)
    often, never = (small_videos.video(config, 8, rebase_every=n) for n in (2, 1000))

    for a, b in zip(often, never, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert not all(map(torch.equal, often, never))


def test_keys_turned_back_are_keys_of_an_earlier_time() -> None:
    bands, keys = torch.rand(2), torch.randn(1, 12, 3, 16)
    late, early = (rotary_table(bands, first, 3, 2, 2) for first in (57, 7))

    turned = turn_back(apply_rotary(keys, late), bands, 50)
    torch.testing.assert_close(turned, apply_rotary(keys, early), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ramp", [False, True])
def test_nothing_grows_over_a_hundred_chunks(small_videos: Any, ramp: bool) -> None:
    config = replace(BASE, num_steps=4, cfg_number=1, ramp=ramp)
    running = small_videos.sampler(config, 100, rebase_every=16)
    kept = []
    for _ in running:
        state = running.state()
        tokens = sum(entry.shape[1] for entry in state.keys.values())
        behind = state.stage - state.origin
        kept.append(
            (len(state.latents), tokens, len(state.rows), len(state.levels), state.tail.shape[2])
        )
        assert behind <= 16 + 16  # positions stay small

    assert len(kept) == 100
    assert len(set(kept[20:95])) == 1
    assert kept[50] == (5, 16, 4, 0, 8)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("made", [2, 6])
def test_the_keys_of_a_video_go_with_it(small_videos: Any, made: int) -> None:
    running = small_videos.sampler(BASE, 6, cache=(cache := KVCache()))
    assert len(list(islice(running, made))) == made
    keys = ref(cache)

    del running, cache

    assert keys() is None


def test_the_tail_holds_the_last_finished_chunks(small_videos: Any) -> None:
    running = small_videos.sampler(BASE, 6)
    made: list[Tensor] = []
    for chunk in running:
        made.append(chunk.latents)
        assert torch.equal(running.state().tail, torch.cat(made[-4:], dim=2))


def test_the_tail_ends_where_the_video_ends(small_videos: Any) -> None:
    prefix = small_videos.prefix(5)
    running = small_videos.sampler(BASE, 99, prefix=prefix, frames=4, hand_out_prefix=False)
    made = torch.cat([prefix, *[chunk.latents for chunk in running]], dim=2)

    assert made.shape[2] == 9
    assert torch.equal(running.state().tail, made[:, :, 2:])


class Made(TorchDispatchMode):
    """Hears which operations make tensors, and on which device; views are free."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, str, int]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out, name = function(*args, **(kwargs or {})), function._overloadpacket.__name__
        if not function.is_view and not name.endswith("_"):
            asked = str((kwargs or {}).get("device") or out.device)
            self.heard.append((name, asked, out.nbytes))
        return out


def test_keys_go_to_a_state_and_come_back_layer_by_layer() -> None:
    layers, tokens = 5, 8
    cache, restored = KVCache(tokens), KVCache(tokens)
    for layer in range(layers):
        keys, values = torch.randn(2, 1, tokens, 2, 4)
        cache.write(layer, 0, keys, values)

    with Made() as saving:
        entries = cache.entries()
    with Made() as there:
        restored.restore(entries, 0, 0, place=(torch.device("meta"), torch.float32))

    each = entries[0].nbytes
    assert saving.heard == []
    ring = [("new_empty", "meta", 0), ("new_empty", "meta", each)]
    assert there.heard == ring * layers


def test_what_comes_back_is_what_was_held() -> None:
    cache, restored = KVCache(12), KVCache()
    keys, values = torch.randn(2, 2, 8, 2, 4)
    cache.write(0, 0, keys, values)

    restored.restore(cache.entries(), 0, 0, place=(torch.device("cpu"), torch.float64))

    held = torch.cat([keys, values], dim=-1).double()
    assert torch.equal(restored.read(0, 0, 8), held)
