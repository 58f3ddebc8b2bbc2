"""Trains the autoencoder of magi/tiny on freshly drawn scenes."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from media_agent_magi.engine.autoencoders.conv_vae import FRAMES, ConvVAE
from media_agent_magi.engine.autoencoders.vit_vae import ViTVAE
from media_agent_magi.engine.config import ConvVAEConfig
from media_agent_magi.training.checkpoint import Average, load, save
from media_agent_magi.training.clock import Budget
from media_agent_magi.training.log import TrainingLog
from media_agent_magi.training.optimizers import Optimizers, autocast
from media_agent_magi.world.renderer import SceneBatch, positions, render, sample_scenes

MUON_RATE = 2e-3
ADAM_RATE = 1e-3
MOTION_WEIGHT = 8.0
"""Of the squared error of the change from frame to frame; without it small motion is not learnt."""
PLACE_WEIGHT = 4.0
"""Of the squared error of where things are, in pixels; few pixels decide it."""
LATENT_NOISE = 0.3
"""Largest noise on the latents while training, so that the decoder forgives the transformer."""


def clips(count: int, generator: torch.Generator, frames: int = 12) -> Tensor:
    """Draw clips (count, 3, frames, 64, 64) in [-1, 1]; frames of one chunk."""
    scenes = sample_scenes(count, 1, generator, include_held_out=True)
    return render(scenes, frames).transpose(1, 2) * 2 - 1


def train_autoencoder(
    folder: Path,
    budget: Budget,
    *,
    device: str = "cpu",
    batch: int = 16,
    seed: int = 0,
    make: Callable[[], ConvVAE | ViTVAE] = lambda: ConvVAE(ConvVAEConfig()),
    noise: float = LATENT_NOISE,
    frames: int = 12,
    decoder_only: bool = False,
) -> Path:
    """Spend `budget`, continuing `folder/autoencoder.safetensors` if it is there.

    With `decoder_only` the latents stay what they are, so that a transformer that makes them stays
    right: the averaged encoder is kept, and only the decoder trained.
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
    if decoder_only:
        model.load_state_dict(average.state)
        model.encoder.eval().requires_grad_(requires_grad=False)
    optimizers = Optimizers(
        model, is_kernel, muon_rate=MUON_RATE, adam_rate=ADAM_RATE, betas=(0.9, 0.99)
    )
    log = TrainingLog(folder / "autoencoder.csv", every=200)
    for _ in budget.steps():
        loss = reconstruction_loss(model, clips(batch, generator, frames), noise)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizers.step(budget.learning_rate())
        step += 1
        average.update(model, step)
        log.report(step, budget.spent())
        if log.add(step, loss=loss.detach()):
            evaluated = make().to(device)
            evaluated.load_state_dict(average.state)
            log.write(step, budget.spent(), **quality(evaluated, device, frames))
            save(path, model, average, {"step": step})
    save(path, model, average, {"step": step})
    return path


def is_kernel(name: str, parameter: Tensor) -> bool:
    """Say whether Muon trains this parameter: 3x3 convolutions, and linear layers inside blocks."""
    convolution = parameter.dim() == 4 and parameter.shape[-1] == 3
    return convolution or (".blocks." in name and parameter.dim() == 2)


def reconstruction_loss(model: ConvVAE | ViTVAE, video: Tensor, noise: float) -> Tensor:
    """Return the loss of clips that are encoded, disturbed by up to `noise`, and decoded."""
    with autocast(video.device):
        latents = model.encode(video)
        strength = torch.rand(len(latents), 1, 1, 1, 1, device=video.device) * noise
        decoded = model.decode(latents + strength * torch.randn_like(latents))
    return video_loss(decoded.float(), video)


def video_loss(decoded: Tensor, video: Tensor) -> Tensor:
    """Return L1 + 2 MSE of the decoded clips plus the errors of their motion and of places.

    The mean of likely images stands still, so the change from frame to frame is asked for by
    itself, twice where two groups meet; squared, as L1 would rather have none. So is the place of
    what moves, which few pixels decide.
    """
    error = decoded - video
    motion = error.diff(dim=2).square().mean((0, 1, 3, 4))
    weight = torch.where(at_borders(len(motion), video.device), 2.0, 1.0) * MOTION_WEIGHT
    place = PLACE_WEIGHT * displacement(error, video).square().mean()
    return error.abs().mean() + 2 * error.square().mean() + (weight * motion).mean() + place


def displacement(error: Tensor, video: Tensor) -> Tensor:
    """Return by how much each frame is displaced, (B, T, 2), x and y, pixels.

    The least squares of `error` = -(displacement * slope of `video`), on the torus, along each axis
    by itself.
    """
    axes = []
    for axis in (-1, -2):
        slope = (video.roll(-1, axis) - video.roll(1, axis)) / 2
        size = slope.square().sum((1, 3, 4)).clamp(min=1.0)
        axes.append(-(error * slope).sum((1, 3, 4)) / size)
    return torch.stack(axes, dim=-1)


def at_borders(changes: int, device: torch.device | str) -> Tensor:
    """Say of each change from frame to frame whether it is between two groups of four frames."""
    return torch.arange(1, changes + 1, device=device) % FRAMES == 0


@torch.no_grad()
def quality(model: ConvVAE | ViTVAE, device: str, frames: int = 12) -> dict[str, float]:
    """Measure 64 fixed clips after a round trip.

    Returns PSNR in dB, clean and with latent noise of 0.3, the mean change from frame to frame over
    that of the truth, inside the groups of four frames and at their borders (1 is right), and how
    far things move on average from each of the four to the next, over the truth (1 is right).
    """
    model.eval()
    generator = torch.Generator(device).manual_seed(123)
    scenes = sample_scenes(64, 1, generator, include_held_out=True)
    video = render(scenes, frames).transpose(1, 2) * 2 - 1
    latents = model.encode(video)
    noise = torch.randn(latents.shape, generator=generator, device=device)
    decoded = model.decode(latents)
    change = (decoded.clamp(-1, 1).diff(dim=2).abs().mean((0, 1, 3, 4))) / (
        video.diff(dim=2).abs().mean((0, 1, 3, 4))
    )
    border = at_borders(frames - 1, device)
    moved = moves_by_phase(decoded - video, video, scenes)
    return {
        "psnr": psnr(decoded, video),
        "psnr_noise": psnr(model.decode(latents + 0.3 * noise), video),
        "motion_inside": change[~border].mean().item(),
        "motion_at_borders": change[border].mean().item(),
        **{f"move_{phase}": value for phase, value in enumerate(moved, start=1)},
    }


def moves_by_phase(error: Tensor, video: Tensor, scenes: SceneBatch) -> list[float]:
    """Return how far what moves gets from each of four frames to the next, over the truth."""
    way = positions(scenes)[:, : video.shape[2]].diff(dim=1)  # B T-1 2
    off = displacement(error, video).diff(dim=1)
    size = way.square().sum(-1)
    moving = size[:, 0] > 0
    gain = 1 + ((off * way).sum(-1) / size)[moving].mean(0)  # T-1
    return [gain[phase::FRAMES].mean().item() for phase in range(FRAMES)]


def psnr(decoded: Tensor, video: Tensor) -> float:
    """Return the peak signal-to-noise ratio of clips in [-1, 1], dB."""
    error = (decoded.clamp(-1, 1) - video).square().mean().item()
    return 10 * torch.log10(torch.tensor(4 / max(error, 1e-12))).item()
