"""Trains the autoencoder of magi/tiny on freshly drawn scenes."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media_agent_magi.engine.config import ConvVAEConfig
from media_agent_magi.engine.conv_vae import ConvVAE
from media_agent_magi.engine.vit_vae import ViTVAE
from media_agent_magi.training.checkpoint import Average, load, save
from media_agent_magi.training.clock import Budget
from media_agent_magi.training.log import TrainingLog
from media_agent_magi.world.renderer import render, sample_scenes

PEAK_RATE = 1e-3
LATENT_NOISE = 0.3
"""Largest noise on the latents while training, so that the decoder forgives the transformer."""


def clips(count: int, generator: torch.Generator, frames: int = 4) -> Tensor:
    """Draw clips (count, 3, frames, 64, 64) in [-1, 1]; frames of one chunk."""
    scenes = sample_scenes(count, 1, generator, include_held_out=True)
    return render(scenes, frames).transpose(1, 2) * 2 - 1


def train_autoencoder(
    folder: Path,
    budget: Budget,
    *,
    device: str = "cpu",
    batch: int = 48,
    seed: int = 0,
    make: Callable[[], ConvVAE | ViTVAE] = lambda: ConvVAE(ConvVAEConfig()),
    noise: float = LATENT_NOISE,
    frames: int = 4,
) -> Path:
    """Spend `budget`, continuing `folder/autoencoder.safetensors` if it is there.

    Returns the checkpoint. Every 200 steps a line goes to `folder/autoencoder.csv`: reconstruction
    of 64 fixed clips in dB (peak 255), without and with latent noise.
    """
    torch.manual_seed(seed)
    model = make().to(device)
    average = Average(model, 0.998)
    path = folder / "autoencoder.safetensors"
    facts = load(path, model, average) if path.exists() else {"step": 0}
    step = int(facts["step"])
    generator = torch.Generator(device).manual_seed(seed + step + 1)
    optimizer = torch.optim.AdamW(model.parameters(), PEAK_RATE, (0.9, 0.99), weight_decay=1e-3)
    log = TrainingLog(folder / "autoencoder.csv", every=200)
    while budget.spent() < 1:
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * budget.learning_rate()
        loss = reconstruction_loss(model, clips(batch, generator, frames), noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        step += 1
        average.update(model, step)
        if log.add(step, loss=loss.detach()):
            evaluated = make().to(device)
            evaluated.load_state_dict(average.state)
            log.write(step, budget.spent(), **quality(evaluated, device, frames))
            save(path, model, average, {"step": step})
    save(path, model, average, {"step": step})
    return path


def reconstruction_loss(model: ConvVAE | ViTVAE, video: Tensor, noise: float) -> Tensor:
    """Return L1 + 2 MSE of the decoded clips, latents disturbed by up to `noise`."""
    with torch.autocast(video.device.type, torch.bfloat16):
        latents = model.encode(video)
        strength = torch.rand(len(latents), 1, 1, 1, 1, device=video.device) * noise
        decoded = model.decode(latents + strength * torch.randn_like(latents))
    decoded = decoded.float()
    return F.l1_loss(decoded, video) + 2 * F.mse_loss(decoded, video)


@torch.no_grad()
def quality(model: ConvVAE | ViTVAE, device: str, frames: int = 4) -> dict[str, float]:
    """Return PSNR in dB on 64 fixed clips, clean and with latent noise of 0.3."""
    model.eval()
    generator = torch.Generator(device).manual_seed(123)
    video = clips(64, generator, frames)
    latents = model.encode(video)
    noise = torch.randn(latents.shape, generator=generator, device=device)
    return {
        "psnr": psnr(model.decode(latents), video),
        "psnr_noise": psnr(model.decode(latents + 0.3 * noise), video),
    }


def psnr(decoded: Tensor, video: Tensor) -> float:
    """Return the peak signal-to-noise ratio of clips in [-1, 1], dB."""
    error = (decoded.clamp(-1, 1) - video).square().mean().item()
    return 10 * torch.log10(torch.tensor(4 / max(error, 1e-12))).item()
