"""`python -m media_agent_magi.training`: trains magi/tiny, on the CPU or a GPU alike."""

import argparse
import logging
from pathlib import Path

import torch

from media_agent_magi.engine.autoencoders.conv_vae import ConvVAE
from media_agent_magi.engine.config import ConvVAEConfig
from media_agent_magi.training.autoencoder import train_autoencoder
from media_agent_magi.training.checkpoint import load_averaged
from media_agent_magi.training.clock import Budget
from media_agent_magi.training.dataset import make_dataset
from media_agent_magi.training.export import export_weights, fresh_description
from media_agent_magi.training.sheet import load_trained_engine, write_sheet
from media_agent_magi.training.transformer import train_transformer

logger = logging.getLogger(__name__)

AUTOENCODER_SHARE = 1 / 6


def main() -> None:
    """Train what there is to train, draw a sample sheet, or pack the weights."""
    options = parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    PARTS[options.part](options)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(prog="python -m media_agent_magi.training", description=__doc__)
    top.add_argument(
        "part",
        nargs="?",
        choices=list(PARTS),
        default="all",
        help="all (default): the autoencoder if there is none yet, then the transformer; "
        "sheet: draw samples; export: write the weights that ship",
    )
    top.add_argument("--minutes", type=float, default=90.0, help="wall clock to spend")
    top.add_argument(
        "--folder",
        type=Path,
        default=Path("runs/tiny"),
        help="run to start or resume",
    )
    top.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    top.add_argument("--batch", type=int, default=16, help="clips of five chunks in a step")
    top.add_argument("--seed", type=int, default=0)
    top.add_argument("--videos", type=int, default=6000, help="clips drawn and encoded at start")
    top.add_argument(
        "--decoder-only", action="store_true", help="autoencoder: keep the latents as they are"
    )
    top.add_argument("--peak", type=float, default=1.0, help="factor on the learning rates")
    return top


def everything(options: argparse.Namespace) -> None:
    """Spend a sixth of the time on the autoencoder if there is none, the rest on the other."""
    minutes = options.minutes
    if not (options.folder / "autoencoder.safetensors").exists():
        options.minutes = minutes * AUTOENCODER_SHARE
        autoencoder(options)
        minutes -= options.minutes
    options.minutes = minutes
    transformer(options)


def autoencoder(options: argparse.Namespace) -> None:
    """Train the autoencoder."""
    path = train_autoencoder(
        options.folder,
        Budget(options.minutes),
        device=options.device,
        batch=options.batch,
        seed=options.seed,
        decoder_only=options.decoder_only,
    )
    logger.info("wrote %s", path)


def transformer(options: argparse.Namespace) -> None:
    """Train the transformer on clips encoded by the run's autoencoder, then draw a sheet."""
    vae = ConvVAE(ConvVAEConfig())
    load_averaged(options.folder / "autoencoder.safetensors", vae)
    vae.to(options.device).eval()
    logger.info("drawing and encoding %d clips", options.videos)
    held_back = make_dataset(vae, 60, options.seed + 10**6, options.device)
    twins = options.videos // 5
    dataset = make_dataset(vae, options.videos, options.seed, options.device, twins=twins)
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
    sheet(options)


def sheet(options: argparse.Namespace) -> None:
    """Draw `samples.png` beside the checkpoints."""
    path = options.folder / "samples.png"
    write_sheet(load_trained_engine(options.folder, fresh_description()), path)
    logger.info("wrote %s", path)


def export(options: argparse.Namespace) -> None:
    """Write the weights that ship."""
    logger.info("wrote %s", export_weights(options.folder))


PARTS = {
    "all": everything,
    "autoencoder": autoencoder,
    "transformer": transformer,
    "sheet": sheet,
    "export": export,
}


if __name__ == "__main__":
    main()
