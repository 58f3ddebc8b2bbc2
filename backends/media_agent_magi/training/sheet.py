"""Sample sheets: what the model makes of fixed prompts, a row each, to look at while it learns."""

import logging
import random
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from media_agent_magi.engine.autoencoders.conv_vae import ConvVAE
from media_agent_magi.engine.config import ConvVAEConfig
from media_agent_magi.generating.engine import Engine
from media_agent_magi.tiny.description import TinyDescription
from media_agent_magi.tiny.model import TinyModel
from media_agent_magi.tiny.models import TinyModels
from media_agent_magi.training.checkpoint import load_averaged
from media_agent_magi.world.captions import plain_caption
from media_agent_magi.world.scene import CHUNK_FRAMES, SIZE, all_descriptions

logger = logging.getLogger(__name__)

ROWS, CHUNKS, STRIDE, ZOOM = 8, 2, 6, 2


def load_trained_engine(run: Path, description: TinyDescription) -> Engine:
    """Build the engine from the averaged weights of a run's checkpoints."""
    vae, model = ConvVAE(ConvVAEConfig()), TinyModel()
    load_averaged(run / "autoencoder.safetensors", vae)
    load_averaged(run / "transformer.safetensors", model)
    return Engine(TinyModels(model, vae, description))


def write_sheet(engine: Engine, path: Path, seed: int = 0) -> None:
    """Draw every sixth frame of two chunks for eight prompts, the prompt above each row."""
    rng = random.Random(seed)
    prompts = [plain_caption(d) for d in rng.sample(all_descriptions(), ROWS)]
    row, width = SIZE * ZOOM + 14, CHUNKS * CHUNK_FRAMES // STRIDE * (SIZE * ZOOM + 2)
    sheet = Image.new("RGB", (width, ROWS * row), "black")
    draw = ImageDraw.Draw(sheet)
    for number, prompt in enumerate(prompts):
        logger.info("drawing sample %d of %d: %s", number + 1, ROWS, prompt)
        draw.text((2, number * row + 1), prompt, fill="white")
        frames = torch.cat(
            [torch.from_numpy(c) for c in engine.generate([prompt] * CHUNKS, seed + number)]
        )
        for column, frame in enumerate(frames[::STRIDE]):
            image = Image.fromarray(frame.numpy()).resize(
                (SIZE * ZOOM, SIZE * ZOOM), Image.Resampling.NEAREST
            )
            sheet.paste(image, (column * (SIZE * ZOOM + 2), number * row + 14))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
