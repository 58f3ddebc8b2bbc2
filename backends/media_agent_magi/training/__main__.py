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
from media_agent_magi.training.log import REPORT_SECONDS
from media_agent_magi.training.sheet import load_trained_engine, write_sheet
from media_agent_magi.training.transformer import train_transformer

logger = logging.getLogger(__name__)

AUTOENCODER_SHARE = 1 / 6
PREPARATION_SHARE = 1 / 4
"""Of the minutes of the transformer, at most: to draw and encode its clips."""


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
    top.add_argument(
        "--minutes",
        type=float,
        default=90.0,
        help="wall clock to spend, preparation included; few minutes draw fewer clips",
    )
    top.add_argument(
        "--folder",
        type=Path,
        default=Path("runs/tiny"),
        help="run to start or resume",
    )
    top.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    top.add_argument("--batch", type=int, default=16, help="clips of five chunks in a step")
    top.add_argument("--seed", type=int, default=0)
    top.add_argument("--videos", type=int, default=6000, help="most clips to draw and encode")
    top.add_argument(
        "--decoder-only", action="store_true", help="autoencoder: keep the latents as they are"
    )
    top.add_argument("--peak", type=float, default=1.0, help="factor on the learning rates")
    return top


def everything(options: argparse.Namespace) -> None:
    """Spend a sixth of the time on the autoencoder if there is none, the rest on the other."""
    whole = Budget(options.minutes)
    if not (options.folder / "autoencoder.safetensors").exists():
        options.minutes *= AUTOENCODER_SHARE
        autoencoder(options)
    options.minutes = whole.left().minutes
    transformer(options)


def autoencoder(options: argparse.Namespace) -> None:
    """Train the autoencoder."""
    logger.info("training the autoencoder for %.0f s", 60 * options.minutes)
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
    whole = Budget(options.minutes)
    check_trained(options.folder, "autoencoder")
    vae = ConvVAE(ConvVAEConfig())
    load_averaged(options.folder / "autoencoder.safetensors", vae)
    vae.to(options.device).eval()
    held_back = make_dataset(
        vae, 60, options.seed + 10**6, options.device, is_enough=Preparation(whole, 60)
    )
    dataset = make_dataset(
        vae,
        options.videos,
        options.seed,
        options.device,
        twins=options.videos // 5,
        is_enough=Preparation(whole, options.videos),
    )
    left = whole.left()
    logger.info("training on %d clips for %.0f s", len(dataset.latents), 60 * left.minutes)
    path = train_transformer(
        options.folder,
        dataset,
        held_back,
        left,
        batch=options.batch,
        seed=options.seed,
        peak=options.peak,
    )
    logger.info("wrote %s", path)
    sheet(options)


def sheet(options: argparse.Namespace) -> None:
    """Draw `samples.png` beside the checkpoints."""
    check_trained(options.folder, "autoencoder", "transformer")
    path = options.folder / "samples.png"
    write_sheet(load_trained_engine(options.folder, fresh_description()), path)
    logger.info("wrote %s", path)


def export(options: argparse.Namespace) -> None:
    """Write the weights that ship."""
    check_trained(options.folder, "autoencoder", "transformer")
    logger.info("wrote %s", export_weights(options.folder))


class Preparation:
    """Says how many clips there are, and ends their drawing when its share of the time is spent."""

    def __init__(self, whole: Budget, clips: int) -> None:
        self._whole, self._clips = whole, clips
        self._reported = whole.clock()

    def __call__(self, clips: int) -> bool:
        """Return whether no more clips are to be drawn; there are `clips`."""
        is_over = self._whole.spent() >= PREPARATION_SHARE
        if is_over or self._whole.clock() - self._reported >= REPORT_SECONDS:
            self._reported = self._whole.clock()
            logger.info("drew and encoded %d of %d clips", clips, self._clips)
        return is_over


def check_trained(folder: Path, *names: str) -> None:
    """End with a sentence where what is needed was not trained yet."""
    for path in (folder / f"{name}.safetensors" for name in names):
        if not path.exists():
            raise SystemExit(
                f"error: {path} is not there; train it first: "
                f"python -m media_agent_magi.training {path.stem} --folder {folder}"
            )


PARTS = {
    "all": everything,
    "autoencoder": autoencoder,
    "transformer": transformer,
    "sheet": sheet,
    "export": export,
}


if __name__ == "__main__":
    main()
