"""Builds complete pipelines of the known families with tiny random weights.

They make noise, and quickly: right for trying the whole path from a folder of weights to a video
without a download. Run as `python -m media_agent_diffusers.tiny FOLDER --family wan`.
"""

import argparse
import sys
from pathlib import Path

from media_agent_diffusers.families.catalogue import tiny_builders


def main(arguments: list[str] | None = None) -> int:
    """Build one pipeline as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m media_agent_diffusers.tiny", description=__doc__
    )
    parser.add_argument("folder", type=Path, help="new folder, for example weights/tiny-wan")
    parser.add_argument("--family", choices=sorted(tiny_builders()), required=True)
    given = parser.parse_args(arguments)
    try:
        build_tiny(given.family, given.folder)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        parser.error(f"{given.folder}: {error.strerror}")
    sys.stdout.write(f"{given.folder}: a tiny {given.family} pipeline\n")
    return 0


def build_tiny(name: str, folder: Path, *, seed: int = 0) -> Path:
    """Write one of the tiny pipelines, such as "wan-i2v", to a new folder and return that.

    The same seed gives the same weights.

    Raises:
        FileExistsError: the folder exists and is not empty.
    """
    import torch
    from transformers.utils.logging import disable_progress_bar

    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(17, "the folder is not empty")
    disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = tiny_builders()[name]()
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
