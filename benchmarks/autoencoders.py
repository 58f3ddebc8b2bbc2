"""Which autoencoder for magi/tiny? The transformer one of the family against a convolutional one.

Each is trained for the same CPU seconds on one thread, on the same scenes, without latent noise,
and measured on the same 64 clips of 12 frames, the temporal tile of the family; beside them the one
that ships. Writes results/autoencoders.json.

    python benchmarks/autoencoders.py [--seconds 150]
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import describe_machine

from media_agent_magi.engine.autoencoders.conv_vae import ConvVAE
from media_agent_magi.engine.autoencoders.vit_vae import ViTVAE, ViTVAEConfig
from media_agent_magi.engine.config import ConvVAEConfig
from media_agent_magi.tiny.loader import load_tiny
from media_agent_magi.training.autoencoder import quality, train_autoencoder
from media_agent_magi.training.checkpoint import load_averaged
from media_agent_magi.training.clock import Budget

FRAMES = 12
RESULT = Path(__file__).parent / "results" / "autoencoders.json"


def vit(depth: int, mlp_ratio: float) -> ViTVAE:
    """Return a transformer autoencoder of magi/tiny's latent shape; its width can be no smaller."""
    return ViTVAE(
        ViTVAEConfig(
            video_size=64,
            video_length=FRAMES,
            patch_size=8,
            patch_length=4,
            z_chans=16,
            embed_dim=256,
            depth=depth,
            num_heads=4,
            mlp_ratio=mlp_ratio,
        )
    )


CANDIDATES: dict[str, Callable[[], ConvVAE | ViTVAE]] = {
    "convolutional": lambda: ConvVAE(ConvVAEConfig()),
    "transformer, 1 + 1 blocks": lambda: vit(1, 3.0),
    "transformer, 2 + 2 blocks": lambda: vit(2, 2.0),
}


def main() -> None:
    """Train all, print a line each, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=150.0, help="CPU seconds for each")
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    rows = {}
    for name, make in CANDIDATES.items():
        with tempfile.TemporaryDirectory() as folder:
            budget = Budget(seconds / 60, time.process_time)
            path = train_autoencoder(
                Path(folder), budget, make=make, noise=0.0, batch=16, frames=FRAMES
            )
            model = make()
            facts = load_averaged(path, model)
        rows[name] = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "steps": facts["step"],
            "psnr_db": round(quality(model, "cpu", FRAMES)["psnr"], 2),
        }
        print(name, rows[name], flush=True)
    result = {
        "command": " ".join(["python", "benchmarks/autoencoders.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe_machine(),
        "cpu_seconds_each": seconds,
        "candidates": rows,
        "shipped": quality(load_tiny().models.vae, "cpu", FRAMES),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
