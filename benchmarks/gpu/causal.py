"""A causal Wan model of the released shapes on this device: blocks, first frame, a new prompt."""

import statistics
import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.count import CAPTION, Counter, Counts
from benchmarks.gpu.device import GIB, free, peak_gib, reset_peak, scramble, wait
from benchmarks.gpu.scale import Scale
from media_agent_magi.engine.autoencoders.wan_vae import WanVAE
from media_agent_magi.engine.autoencoders.wan_vae_config import WanVAEConfig
from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.engine.causal.predictor import WindowedPredictor
from media_agent_magi.engine.causal.stepper import FewStepStepper
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.loading.stream import on_meta
from media_agent_magi.wan_causal.config import WanCausalConfig

WARM = 2  # blocks
FULL = 5
"""Blocks after which the window and the riding block are full."""


def blocks(
    config: WanCausalConfig, model: WanDiT, *, switch: int = -1, **options: Any
) -> ChunkSampler:
    """Begin an endless video; block `switch` is the first with another text."""
    rows = torch.randn(2, CAPTION, config.model.text_dim)
    texts = [TextRow(row, torch.ones(CAPTION)) for row in rows]
    return ChunkSampler(
        model,
        config.causal.sampler,
        noise=seeded_noise(0, config.geometry.shape(*config.size)),
        text=lambda chunk: texts[0 <= switch <= chunk],
        predictor=WindowedPredictor(model, config.causal),
        stepper=FewStepStepper(config.causal),
        **options,
    )


def measure(scale: Scale, until: float) -> dict[str, Any]:
    """Seconds of a block, of the first frame and of a block whose text is new; frames decoded.

    Decoding and the copy of the frames to the main memory are counted, one after the other.
    """
    config, device = scale.causal, scale.device
    free()
    model, vae = random_parts(scale)
    _video(config, model, vae, device, WARM, until)
    reset_peak(device)
    switch = FULL + scale.chunks
    first, seconds, frames = _video(config, model, vae, device, switch + 1, until, switch=switch)
    steady = seconds[FULL:switch]
    if not steady:
        raise TimeoutError(f"{len(seconds)} blocks in time, none with a full window")
    block = statistics.median(steady)
    return {
        "block_seconds": block,
        "frames_per_second": frames / block,
        "first_frame_seconds": first,
        "switch_seconds": seconds[switch] if len(seconds) > switch else None,
        "blocks": len(steady),
        "frames_of_a_block": frames,
        "weights_gib": sum(p.nbytes for p in model.parameters()) / GIB,
        "peak_gib": peak_gib(device),
    }


def random_parts(scale: Scale) -> tuple[WanDiT, WanVAE]:
    """Return transformer and autoencoder of random weights, on the device."""
    dtype = torch.bfloat16 if scale.is_gpu else torch.float32
    config = replace(scale.causal.model, params_dtype=str(dtype).removeprefix("torch."))
    model, vae = (
        on_meta(lambda: WanDiT(config)).to_empty(device=scale.device),
        on_meta(lambda: WanVAE(scale.causal_vae).to(dtype)).to_empty(device=scale.device),
    )
    scramble(model)
    scramble(vae)
    assert isinstance(model, WanDiT)
    assert isinstance(vae, WanVAE)
    return model.prepare(), vae


def _video(
    config: WanCausalConfig,
    model: WanDiT,
    vae: WanVAE,
    device: torch.device,
    count: int,
    until: float,
    *,
    switch: int = -1,
) -> tuple[float, list[float], int]:
    """Make blocks; return the seconds to the first frame, those of each block, its frames."""
    decode = vae.open_decoder().decode
    seconds: list[float] = []
    first, frames = 0.0, 0
    began = clock = time.perf_counter()
    for chunk in blocks(config, model, switch=switch, total=count):
        pieces = list(chunk.latents.split(1, dim=2))
        made = [_on_host(decode(pieces[0]))]
        if not seconds:
            first = time.perf_counter() - began
        made += [_on_host(decode(piece)) for piece in pieces[1:]]
        wait(device)
        frames = sum(piece.shape[2] for piece in made)
        seconds.append(time.perf_counter() - clock)
        if time.perf_counter() > until:
            break
        clock = time.perf_counter()
    return first, seconds, frames


def _on_host(video: Tensor) -> Tensor:
    """Return frames as bytes in the main memory."""
    return ((video + 1) * 127.5).round().to(torch.uint8).cpu()


def count_blocks(config: WanCausalConfig) -> dict[str, Counts]:
    """Count the work of a late block, of one whose text is new, and of decoding a block.

    All layers of the transformer take as much, so few are looked at.
    """
    few, more = (_count_blocks(_of_layers(config, layers)) for layers in (2, 3))
    left = config.model.num_layers - 3
    counts = {name: more[name].plus(more[name].since(few[name]), left) for name in more}
    return counts | {"decode": count_decoding(config, WanVAEConfig())}


def _of_layers(config: WanCausalConfig, layers: int) -> WanCausalConfig:
    return replace(config, model=replace(config.model, num_layers=layers))


def _count_blocks(config: WanCausalConfig) -> dict[str, Counts]:
    counter, counts = Counter(), {}
    model = on_meta(lambda: WanDiT(config.model))
    assert isinstance(model, WanDiT)
    model.kernel = counter.attend

    def count_forward(done: int, total: int | None) -> None:
        counter.counts.forwards += 1

    with torch.inference_mode(), counter:
        before = Counts()
        video = blocks(config, model, switch=FULL + 1, on_forward=count_forward, total=FULL + 2)
        for chunk in video:
            now = replace(counter.counts)
            if chunk.index >= FULL:
                counts["new text" if chunk.index > FULL else "block"] = now.since(before)
            before = now
    return counts


def count_decoding(config: WanCausalConfig, vae_config: WanVAEConfig) -> Counts:
    """Count the decoding of a late block in bfloat16; its attention is one kernel a frame."""
    vae = on_meta(lambda: WanVAE(vae_config).to(torch.bfloat16))
    assert isinstance(vae, WanVAE)
    shape = config.geometry.shape(*config.size)
    latents, counter = torch.empty(1, *shape, device="meta"), Counter()
    stream = vae.open_decoder()
    with torch.inference_mode(), counter:
        stream.decode(latents)
        before = replace(counter.counts)
        stream.decode(latents)
    return counter.counts.since(before)
