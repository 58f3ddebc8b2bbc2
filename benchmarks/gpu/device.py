"""A GPU, or the CPU in rehearsal: random weights on it, its memory and its peak."""

import gc
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmarks.gpu.scale import Scale
from media_agent_magi.engine.autoencoders.vit_vae import ViTVAE, ViTVAEConfig
from media_agent_magi.engine.blocks.compiling import compile_elementwise
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.fp8 import FP8
from media_agent_magi.loading.stream import on_meta
from media_agent_magi.magi.config import MagiConfig
from media_agent_magi.magi.loader import build
from media_agent_magi.magi.vae import TILES_AT_ONCE, ScaledVAE

GIB = 2**30
CAP = 24 * GIB
PEAKS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "B200": 2250, "4090": 165}
"""TF/s of dense bfloat16, as vendors give them; by a part of the device's name."""


def random_model(config: MagiConfig, device: torch.device) -> VideoDiT:
    """Return a transformer with random weights, compiled on a GPU."""
    model: VideoDiT = build(config).to_empty(device=device)
    scramble(model)
    model.prepare()
    compile_elementwise(model, backend="inductor" if device.type == "cuda" else "eager")
    return model


def random_vae(scale: Scale) -> ScaledVAE:
    """Return the autoencoder of the released shape with random weights."""
    dtype = torch.bfloat16 if scale.is_gpu else torch.float32
    vae = on_meta(lambda: ViTVAE(ViTVAEConfig.from_dict(scale.vae)).to(dtype))
    vae.to_empty(device=scale.device)
    scramble(vae)
    assert isinstance(vae, ViTVAE)
    base = scale.base
    return ScaledVAE(vae, scale=base.scale_factor, fps=base.fps, at_once=TILES_AT_ONCE)


def scramble(model: torch.nn.Module) -> None:
    """Draw all weights, small enough that nothing overflows."""
    for parameter in model.parameters():
        if parameter.dtype == FP8:
            drawn = torch.randn(parameter.shape, device=parameter.device, dtype=torch.bfloat16)
            parameter.data.copy_(drawn.mul_(0.02).to(FP8))
        elif parameter.dim() > 1:
            parameter.data.normal_(std=0.02)
        else:
            parameter.data.uniform_(0.9, 1.1)


def largest_product(device: torch.device) -> float:
    """Return the TF/s that a large product in bfloat16 reaches here."""
    side = 8192 if device.type == "cuda" else 256
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    taken = []
    for _ in range(20):
        wait(device)
        began = time.perf_counter()
        a @ b
        wait(device)
        taken.append(time.perf_counter() - began)
    return 2 * side**3 / statistics.median(taken[5:]) / 1e12


def known_peak(name: str) -> float | None:
    """Return what the vendor says, None of a device that is not listed."""
    return next((float(peak) for part, peak in PEAKS.items() if part in name), None)


@contextmanager
def cap(device: torch.device) -> Iterator[None]:
    """Give no more than 24 GiB of a GPU."""
    if device.type != "cuda":
        yield
        return
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, CAP / total), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def free() -> None:
    """Give back what is not used."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def reset_peak(device: torch.device) -> None:
    """Forget the peak so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_gib(device: torch.device) -> float | None:
    """Return the peak of what torch has taken of the GPU; None on a CPU."""
    return torch.cuda.max_memory_reserved(device) / GIB if device.type == "cuda" else None
