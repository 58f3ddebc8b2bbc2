import sys
import warnings
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.backends import cuda

from media_agent_magi.engine.blocks.attention import interleave
from media_agent_magi.engine.blocks.kernels import (
    KernelError,
    flexible,
    fused,
    kernel_for,
    pinned,
    rounded_once,
    written_out,
)
from media_agent_magi.engine.blocks.lean import make_lean
from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.config import ModelConfig
from media_agent_magi.engine.dit import VideoDiT

CONFIG = ModelConfig(
    num_layers=2,
    hidden_size=64,
    ffn_hidden_size=96,
    num_attention_heads=4,
    num_query_groups=2,
    kv_channels=16,
    in_channels=4,
    out_channels=4,
    caption_channels=12,
    caption_max_length=6,
    t_patch_size=2,
)
CHUNK = 3 * 2 * 2  # tokens of 6 latent frames of 4x4 cells


@pytest.fixture
def model() -> VideoDiT:
    torch.manual_seed(0)
    model = VideoDiT(CONFIG)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def inputs(chunks: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(chunks)
    return {
        "x": torch.randn(1, 4, 6 * chunks, 4, 4, generator=generator),
        "t": torch.linspace(0.9, 0.1, chunks)[None],
        "caption": torch.randn(chunks, 6, 12, generator=generator),
        "caption_mask": (torch.arange(6) < torch.arange(2, 2 + chunks)[:, None]).float(),
    }


def causal(chunks: int, first: int = 0) -> list[tuple[int, int]]:
    return [(0, (first + chunk + 1) * CHUNK) for chunk in range(chunks)]


@torch.no_grad()
def test_a_chunk_does_not_depend_on_later_chunks(model: VideoDiT) -> None:
    given = inputs(3)
    whole = model(**given, kv_ranges=causal(3))

    changed = {name: value.clone() for name, value in given.items()}
    changed["x"][:, :, 12:] += 1
    changed["caption"][2] += 1
    changed["t"][:, 2] = 0.5

    other = model(**changed, kv_ranges=causal(3))
    assert torch.equal(other[:, :, :12], whole[:, :, :12])
    assert not torch.allclose(other[:, :, 12:], whole[:, :, 12:], atol=1e-3)


@torch.no_grad()
def test_cached_chunks_give_what_recomputing_them_gives(model: VideoDiT) -> None:
    given = inputs(3)
    whole = model(**given, kv_ranges=causal(3))

    cache = KVCache()
    past = {"x": given["x"][:, :, :6], "t": given["t"][:, :1]}
    rows = {name: given[name][:1] for name in ("caption", "caption_mask")}
    model(**past, **rows, kv_ranges=causal(1), cache=cache, write_cache=True)
    rest = {"x": given["x"][:, :, 6:], "t": given["t"][:, 1:]}
    rows = {name: given[name][1:] for name in ("caption", "caption_mask")}

    out = model(**rest, **rows, kv_ranges=causal(2, first=1), first_chunk=1, cache=cache)
    assert torch.allclose(out, whole[:, :, 6:], atol=1e-5)


@torch.no_grad()
def test_masked_caption_positions_are_not_read(model: VideoDiT) -> None:
    given = inputs(2)
    before = model(**given, kv_ranges=causal(2))

    given["caption"][given["caption_mask"] == 0] = 99.0

    assert torch.equal(model(**given, kv_ranges=causal(2)), before)


@torch.no_grad()
def test_written_out_attention_equals_the_fused_kernel(model: VideoDiT) -> None:
    given = inputs(3)

    trained = model(**given, kv_ranges=causal(3), kernel=written_out)

    assert torch.allclose(trained, model(**given, kv_ranges=causal(3)), atol=1e-5)


def stands_in(allows: bool, seen: list[bool]) -> Any:
    """Return a kernel that can do all or nothing, and looks at what torch allows meanwhile."""

    def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        seen.append(cuda.math_sdp_enabled() and cuda.mem_efficient_sdp_enabled())
        return fused(q, k, v, bias)

    return (lambda asked, debug=False: allows), attend


@torch.no_grad()
def test_the_first_kernel_that_can_is_used_and_no_thread_loses_another_one(
    model: VideoDiT, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, plain = inputs(3), {"kv_ranges": causal(3)}
    cannot: list[bool] = []
    other: list[bool] = []
    used: list[bool] = []
    kernels = {
        "a": stands_in(False, cannot), "b": stands_in(True, used), "c": stands_in(True, other)
    }  # fmt: skip
    monkeypatch.setattr("media_agent_magi.engine.blocks.kernels.WITHOUT_SCORES", kernels)
    monkeypatch.setattr("media_agent_magi.engine.blocks.kernels.FEW_KEYS", 0)

    computed = model(**given, **plain, kernel=pinned)

    assert torch.allclose(computed, model(**given, **plain), atol=1e-5)
    assert not cannot + other
    assert set(used) == {True}


@torch.no_grad()
def test_for_captions_of_many_lengths_no_plan_is_made(
    model: VideoDiT, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[bool] = []
    plain: list[bool] = []
    kernels = {"with plans": stands_in(True, plans), "without": stands_in(True, plain)}
    monkeypatch.setattr("media_agent_magi.engine.blocks.kernels.WITHOUT_SCORES", kernels)
    monkeypatch.setattr("media_agent_magi.engine.blocks.kernels.FEW_KEYS", CHUNK)

    model(**inputs(3), kv_ranges=causal(3), kernel=pinned)

    assert len(plans) == 2 * 3  # a layer, a chunk
    assert plain


@torch.no_grad()
def test_where_no_kernel_can_it_fails_loudly(
    model: VideoDiT, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(asked: object, debug: bool = False) -> bool:
        if debug:
            warnings.warn("the card is too old (Triggered internally at a.cpp:1)", stacklevel=1)
        return False

    seen: list[bool] = []
    kernels = {"cuDNN": (cannot, stands_in(False, seen)[1])}
    monkeypatch.setattr("media_agent_magi.engine.blocks.kernels.WITHOUT_SCORES", kernels)

    with pytest.raises(
        KernelError, match=r"no attention of cuDNN for torch\..*: the card is too old$"
    ):
        model(**inputs(3), kv_ranges=causal(3), kernel=pinned)

    assert seen == []


HEADS = (4, 2, 2)
HIDDEN = torch.tensor([[0.0] * 7, [0.0] * 4 + [-torch.inf] * 3])[:, None, None]  # N 1 1 L


@pytest.mark.parametrize("bias", [None, HIDDEN])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_equals_the_fused_kernel(bias: Tensor | None) -> None:
    q, k, v = (torch.randn(2, heads, n, 16) for heads, n in zip(HEADS, (5, 7, 7), strict=True))

    assert torch.allclose(flexible(q, k, v, bias), fused(q, k, v, bias), atol=1e-6)


@pytest.mark.parametrize("bias", [None, HIDDEN])
def test_magi_attention_gets_samples_as_ranges_of_one_row(
    bias: Tensor | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_its_place(
        q: Tensor, k: Tensor, v: Tensor, *, q_ranges: Tensor, k_ranges: Tensor
    ) -> tuple[Tensor, object]:
        parts = []
        for (a, b), (c, d) in zip(q_ranges.tolist(), k_ranges.tolist(), strict=True):
            part = [x.transpose(0, 1)[None] for x in (q[a:b], k[c:d], v[c:d])]
            parts.append(fused(*part)[0].transpose(0, 1))
        return torch.cat(parts), None

    package = SimpleNamespace(flex_flash_attn_func=in_its_place)
    monkeypatch.setitem(sys.modules, "magi_attention", SimpleNamespace(api=package))
    monkeypatch.setitem(sys.modules, "magi_attention.api", package)
    q, k, v = (torch.randn(2, heads, n, 16) for heads, n in zip(HEADS, (5, 7, 7), strict=True))

    given = kernel_for(torch.device("cpu"), "magi")(q, k, v, bias)

    assert torch.allclose(given, fused(q, k, v, bias), atol=1e-6)


def test_a_kernel_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "magi_attention", None)

    with pytest.raises(KernelError, match=r"no MagiAttention: .*magi_attention"):
        kernel_for(torch.device("cpu"), "magi")


@pytest.mark.parametrize("most", [0, 2**25])
def test_16_bit_attention_is_rounded_once(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media_agent_magi.engine.blocks.kernels.MOST_SCORES", most)
    q, k, v = (torch.randn(1, heads, 5, 16).bfloat16() for heads in (4, 2, 2))

    expected = fused(q.double(), k.double(), v.double()).bfloat16()

    given = rounded_once(q, k, v)
    assert given.dtype == torch.bfloat16
    assert (given == expected).float().mean() > 0.95  # else a last bit is the other neighbour
    torch.testing.assert_close(given, expected, rtol=2**-7, atol=1e-4)


@torch.no_grad()
def test_weights_laid_out_for_inference_are_the_same_weights(model: VideoDiT) -> None:
    given, before = inputs(3), {n: t.clone() for n, t in model.state_dict().items()}
    plain = model(**given, kv_ranges=causal(3))

    prepared = model.prepare()(**given, kv_ranges=causal(3))

    after = model.state_dict()
    assert torch.equal(prepared, plain)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_lean_blocks_give_the_same_numbers(dtype: str) -> None:
    torch.manual_seed(0)
    model = VideoDiT(replace(CONFIG, params_dtype=dtype)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.prepare()

    def run() -> list[torch.Tensor]:
        cache = KVCache()
        with torch.no_grad():
            first = model(**inputs(1), kv_ranges=causal(1), cache=cache, write_cache=True)
            ranges = causal(3, first=1)
            later = model(**inputs(3), kv_ranges=ranges, first_chunk=1, cache=cache)
        return [first, later]

    plain = run()
    make_lean(model)

    assert all(torch.equal(a, b) for a, b in zip([*run(), *run()], plain * 2, strict=True))
    assert model(**inputs(1), kv_ranges=causal(1)).requires_grad  # then they are as they were


@torch.no_grad()
def test_results_side_by_side_need_columns_in_their_order(model: VideoDiT) -> None:
    given = inputs(2)
    plain = model(**given, kv_ranges=causal(2))

    for block in model.videodit_blocks.layers:
        block.self_attention.put_side_by_side()

    assert torch.allclose(model(**given, kv_ranges=causal(2)), plain, atol=1e-5)


@torch.no_grad()
def test_the_global_text_vector_follows_the_drop_flag_of_each_chunk(model: VideoDiT) -> None:
    given = inputs(2)
    own = [(0, CHUNK), (CHUNK, 2 * CHUNK)]

    kept = model(**given, kv_ranges=own, drop_caption=False)
    mixed = model(**given, kv_ranges=own, drop_caption=torch.tensor([[False, True]]))
    dropped = model(**given, kv_ranges=own, drop_caption=torch.tensor([True]))

    assert torch.allclose(mixed[:, :, :6], kept[:, :, :6], atol=1e-5)
    assert torch.allclose(mixed[:, :, 6:], dropped[:, :, 6:], atol=1e-5)
    assert not torch.allclose(kept, dropped, atol=1e-3)


@torch.no_grad()
def test_only_distances_in_time_matter(model: VideoDiT) -> None:
    given = inputs(1)
    here = model(**given, kv_ranges=[(0, CHUNK)])

    later = model(**given, kv_ranges=[(5 * CHUNK, 6 * CHUNK)], first_chunk=5)

    assert torch.allclose(here, later, atol=1e-4)


def test_a_size_that_does_not_fit_the_patch_is_named(model: VideoDiT) -> None:
    given = inputs(1)
    given["x"] = given["x"][:, :, :, :3]

    with pytest.raises(ValueError, match="6x3x4 is not a multiple of the patch 2x2x2"):
        model(**given, kv_ranges=[(0, CHUNK)])


def test_a_range_before_the_cache_is_named(model: VideoDiT) -> None:
    with torch.no_grad(), pytest.raises(ValueError, match="cache"):
        model(**inputs(1), kv_ranges=[(0, 2 * CHUNK)], first_chunk=1, cache=KVCache())


def test_interleaving_takes_eight_pieces_in_turn() -> None:
    joined = interleave(torch.arange(16), torch.arange(100, 116))

    assert joined[:8].tolist() == [0, 1, 100, 101, 2, 3, 102, 103]
    assert joined[-4:].tolist() == [14, 15, 114, 115]
