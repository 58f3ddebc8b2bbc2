"""Trains the transformer of magi/tiny and its text encoder on latent videos."""

import random
from pathlib import Path

import torch
from torch import Tensor, nn

from media_agent_magi.tiny.model import TinyModel, initialise
from media_agent_magi.training.checkpoint import Average, load, save
from media_agent_magi.training.clock import Budget
from media_agent_magi.training.dataset import Dataset
from media_agent_magi.training.layouts import ALL_AT_ONCE, RAMP, STEADY
from media_agent_magi.training.log import TrainingLog
from media_agent_magi.training.objective import draw_layout, loss
from media_agent_magi.training.optimizers import Optimizers, autocast

MUON_RATE = 3e-3
ADAM_RATE = 2e-3
RESTYLE_SHARE = 0.15
"""Of the steps: on videos that are made from others, not from noise."""


def is_matrix(name: str, parameter: Tensor) -> bool:
    """Say whether Muon trains this parameter."""
    inside = ".layers." in name or name.startswith("text.layer.")
    return inside and parameter.dim() == 2


def train_transformer(
    folder: Path,
    dataset: Dataset,
    held_back: Dataset,
    budget: Budget,
    *,
    batch: int = 16,
    seed: int = 0,
    peak: float = 1.0,
    save_every: int = 250,
) -> Path:
    """Spend `budget`, continuing `folder/transformer.safetensors` if it is there.

    The learning rate follows the budget and ends low, so every run ends with weights worth keeping.
    `peak` scales both rates, for continued runs. Losses per age on training windows and, for the
    average, on `held_back` go to `folder/transformer.csv`. Returns the checkpoint.
    """
    device = dataset.latents.device
    model = TinyModel()
    initialise(model, seed)
    model.to(device)
    average = Average(model, 0.998)
    path = folder / "transformer.safetensors"
    step = int(load(path, model, average)["step"]) if path.exists() else 0
    generator = torch.Generator(device).manual_seed(seed + step + 1)
    rng = random.Random(seed + step + 1)
    optimizers = Optimizers(model, is_matrix, muon_rate=MUON_RATE, adam_rate=ADAM_RATE)
    log = TrainingLog(folder / "transformer.csv", every=save_every)
    for _ in budget.steps():
        twins = None
        if len(dataset.twins) and rng.random() < RESTYLE_SHARE:
            twins, latents, words = dataset.pairs(batch, generator)
        else:
            latents, words = dataset.batch(batch, generator)
        with autocast(device):
            per_age = loss(
                model, latents, words, layout=draw_layout(rng), generator=generator, twins=twins
            )
        per_age.nansum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizers.step(peak * budget.learning_rate())
        step += 1
        average.update(model, step)
        log.report(step, budget.spent())
        if log.add(step, loss=per_age.detach().nanmean()):
            log.write(step, budget.spent(), **evaluate(average, held_back))
            save(path, model, average, {"step": step})
    save(path, model, average, {"step": step})
    return path


@torch.no_grad()
def evaluate(average: Average, dataset: Dataset) -> dict[str, float]:
    """Return the averaged weights' loss per age on fixed clips, windows and noise."""
    device = dataset.latents.device
    model = TinyModel().to(device)
    model.load_state_dict(average.state)
    generator = torch.Generator(device).manual_seed(7)
    latents, words = dataset.batch(min(24, len(dataset.latents)), generator)
    rows = [
        loss(model, latents, words, layout=layout, generator=generator)
        for layout in (STEADY, *ALL_AT_ONCE, RAMP[0])
    ]
    first = rows[-1][0].item()
    means = torch.stack(rows).nanmean(dim=0).tolist()
    return {"first_age0": first} | {f"age{age}": value for age, value in enumerate(means)}
