"""What is planned against what is counted: weights exactly, working memory by its allocations."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from media_agent_magi.engine import fp8
from media_agent_magi.engine.autoencoders import vit_vae
from media_agent_magi.engine.autoencoders.vit_vae import ViTVAE, ViTVAEConfig
from media_agent_magi.engine.text.keys import ChunkText
from media_agent_magi.loading.memory import GIB, Holding, MemoryPlan, plan_memory
from media_agent_magi.loading.stream import on_meta
from media_agent_magi.magi.config import RELEASED, MagiConfig
from media_agent_magi.magi.loader import build
from media_agent_magi.magi.sizes import TILE_BYTES, chunk_tokens, magi_sizes, working_bytes
from media_agent_magi.magi.table import count_bytes, parameter_table
from tests.magi.allocations import Allocations

TABLES = Path(__file__).parents[1] / "golden" / "dit_parameter_tables.json"
VAE = ViTVAEConfig(256, 16, 8, 4, 16, 1024, 1, 16, 4)


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_the_released_models_have_the_weights_of_their_tables(name: str) -> None:
    config, golden = RELEASED[name], json.loads(TABLES.read_text())["models"][name]
    state = build(config).state_dict()
    table = parameter_table(config.model, quantised=config.quantised)

    built = {n: (tuple(t.shape), str(t.dtype).removeprefix("torch.")) for n, t in state.items()}
    assert {n: (weight.shape, weight.dtype) for n, weight in table.items()} == built
    assert sum(t.numel() for t in state.values()) == golden["parameter_count"]
    assert len(state) == golden["state_dict_entries"]
    assert count_bytes(table) == golden["bytes_at_runtime_dtypes"]
    said = MagiConfig.from_dict(golden["config"])
    assert replace(said, sampler=config.sampler) == config


@pytest.mark.parametrize("name", ["4.5B_distill", "24B_distill", "4.5B_distill_quant"])
@pytest.mark.parametrize(("size", "chunks"), [((480, 480), 6), ((720, 720), 6), ((480, 480), 3)])
def test_working_memory_is_what_a_forward_allocates(
    name: str, size: tuple[int, int], chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fp8, "has_fp8_product", lambda device: True)
    config = RELEASED[name]
    layers = 3 if config.quantised else 2  # the first and the last are never of eight bits
    model = build(replace(config, model=replace(config.model, num_layers=layers)))
    each, (rows, columns) = chunk_tokens(config, size), (n // 8 for n in size)

    def empty(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
        return torch.empty(*shape, dtype=dtype, device="meta")

    x = empty(1, config.model.latent_channels, 6 * chunks, rows, columns, dtype=torch.float32)
    condition = empty(1, chunks, int(config.model.hidden_size * config.model.cond_hidden_ratio))
    rotary = empty(chunks * each, 2, config.model.kv_channels, dtype=torch.float32)
    text = ChunkText(empty(1, 200, config.model.hidden_size))
    with torch.inference_mode(False), torch.no_grad():
        counted = Allocations(*model.parameters(), x, condition, rotary, text.text)
        with counted:
            model.run(
                x,
                condition,
                (text,) * chunks,
                rotary,
                ranges=[(0, (c + 1) * each) for c in range(chunks)],
                kernel=lambda q, k, v, bias: torch.empty_like(q),
            )

    planned = working_bytes(config.model, chunks * each, 0)
    assert counted.peak <= 1.05 * planned
    assert planned <= 1.3 * counted.peak


def test_a_tile_needs_no_more_than_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(  # as a kernel that holds no scores
        vit_vae.F, "scaled_dot_product_attention", lambda q, k, v: torch.empty_like(q)
    )
    vae = on_meta(lambda: ViTVAE(VAE).to(torch.bfloat16))
    assert isinstance(vae, ViTVAE)
    latents = torch.empty(1, 16, 3, 32, 32, dtype=torch.bfloat16, device="meta")

    with torch.no_grad():
        counted = Allocations(*vae.parameters(), latents)
        with counted:
            vae.decode(latents)

    assert TILE_BYTES / 2 < counted.peak < TILE_BYTES


def plan(name: str, size: tuple[int, int], gib: float, **options: Any) -> MemoryPlan:
    return plan_memory(magi_sizes(RELEASED[name], size, **options), round(gib * GIB))


@pytest.mark.parametrize(
    ("name", "size", "gib", "last"),
    [
        ("4.5B_distill", (720, 720), 80, None),
        ("4.5B_distill", (720, 720), 24, "text encoder off the device"),
        ("4.5B_distill", (720, 720), 16, "keys in the main memory"),
        ("4.5B_distill", (720, 720), 12, "blocks streamed from the main memory"),
        ("4.5B_distill_quant", (720, 720), 12, "keys in the main memory"),
        ("4.5B_distill_quant", (480, 480), 12, "text encoder off the device"),
        ("24B_distill_quant", (720, 720), 24, "blocks streamed from the main memory"),
    ],
)
def test_usual_cards_hold_the_released_models(
    name: str, size: tuple[int, int], gib: int, last: str | None
) -> None:
    found = plan(name, size, gib)

    assert found.device_bytes <= gib * GIB
    assert (found.steps[-1] if found.steps else None) == last


def test_steps_come_in_one_order_and_stop_as_soon_as_it_fits() -> None:
    every = plan("4.5B_distill", (720, 720), 0, has_fp8=True).steps

    assert every == (
        "text encoder off the device",
        "tiles decoded one by one",
        "chunks decoded in turn",
        "fp8 weights",
        "one chunk in work",
        "keys in the main memory",
        "blocks streamed from the main memory",
    )
    for gib in range(4, 30):
        steps = plan("4.5B_distill", (720, 720), gib, has_fp8=True).steps
        assert steps == every[: len(steps)]


def test_the_text_encoder_fits_beside_the_rest_or_leaves_the_device() -> None:
    beside = plan("4.5B_distill", (720, 720), 80)
    least = beside.device_bytes / GIB

    text = {part.name: part.bytes for part in beside.device}["text encoder"]
    assert text == magi_sizes(RELEASED["4.5B_distill"], (720, 720)).text
    assert plan("4.5B_distill", (720, 720), least).holding.text_on_device
    assert not plan("4.5B_distill", (720, 720), least - 0.01).holding.text_on_device


def test_what_is_moved_off_the_device_is_counted_in_the_main_memory() -> None:
    found = plan("4.5B_distill", (720, 720), 8)

    assert {part.name for part in found.main} == {"text encoder", "keys", "weights"}
    assert found.main_bytes > 15 * GIB


def test_a_continuation_keeps_the_keys_of_what_it_continues() -> None:
    config = RELEASED["4.5B_distill"]
    plain, long = magi_sizes(config, (480, 480)), magi_sizes(config, (480, 480), prefix_chunks=4)

    assert long.ring(Holding()) == 4 * plain.ring(Holding())
