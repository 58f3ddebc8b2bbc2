"""`python -m media_agent_magi.training`: trains magi/tiny, on the CPU or a GPU alike."""

import argparse
import logging
from pathlib import Path

import torch

from media_agent_magi.engine.config import ConvVAEConfig
from media_agent_magi.engine.conv_vae import ConvVAE
from media_agent_magi.training.autoencoder import train_autoencoder
from media_agent_magi.training.checkpoint import Average, load
from media_agent_magi.training.clock import Budget
from media_agent_magi.training.dataset import make_dataset
from media_agent_magi.training.export import export_weights, fresh_description
from media_agent_magi.training.sheet import trained_engine, write_sheet
from media_agent_magi.training.transformer import train_transformer

logger = logging.getLogger(__name__)


def main() -> None:
    """Train, draw a sample sheet, or pack the weights."""
    options = parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    options.run(options)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(prog="python -m media_agent_magi.training", description=__doc__)
    top.add_argument("--folder", type=Path, default=Path("runs/tiny"), help="run folder")
    parts = top.add_subparsers(required=True)
    for name, run, minutes in (
        ("autoencoder", autoencoder, 15.0),
        ("transformer", transformer, 90.0),
    ):
        part = parts.add_parser(name, help=f"train the {name}; continues what is there")
        part.add_argument("--minutes", type=float, default=minutes, help="wall clock to spend")
        part.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
        part.add_argument("--batch", type=int, default=48 if run is autoencoder else 16)
        part.add_argument("--seed", type=int, default=0)
        part.set_defaults(run=run)
    part.add_argument("--videos", type=int, default=6000, help="clips drawn and encoded at start")
    part.add_argument("--peak", type=float, default=1.0, help="factor on the learning rates")
    sheet = parts.add_parser("sheet", help="draw a sample sheet of the run")
    sheet.set_defaults(run=lambda options: sample_sheet(options.folder))
    pack = parts.add_parser("export", help="write the weights that ship")
    pack.set_defaults(run=lambda options: logger.info("wrote %s", export_weights(options.folder)))
    return top


def autoencoder(options: argparse.Namespace) -> None:
    """Train the autoencoder."""
    path = train_autoencoder(
        options.folder,
        Budget(options.minutes),
        device=options.device,
        batch=options.batch,
        seed=options.seed,
    )
    logger.info("wrote %s", path)


def transformer(options: argparse.Namespace) -> None:
    """Train the transformer on clips encoded by the run's autoencoder, then draw a sheet."""
    vae = ConvVAE(ConvVAEConfig())
    average = Average(vae, 0.0)
    load(options.folder / "autoencoder.safetensors", vae, average)
    vae.load_state_dict(average.state)
    vae.to(options.device).eval()
    logger.info("drawing and encoding %d clips", options.videos)
    held_back = make_dataset(vae, 60, options.seed + 10**6, options.device)
    dataset = make_dataset(vae, options.videos, options.seed, options.device)
    path = train_transformer(
        options.folder,
        dataset,
        held_back,
        Budget(options.minutes),
        batch=options.batch,
        seed=options.seed,
        peak=options.peak,
    )
    logger.info("wrote %s", path)
    sample_sheet(options.folder)


def sample_sheet(folder: Path) -> None:
    """Draw `samples.png` beside the checkpoints."""
    write_sheet(trained_engine(folder, fresh_description()), folder / "samples.png")
    logger.info("wrote %s", folder / "samples.png")


if __name__ == "__main__":
    main()
