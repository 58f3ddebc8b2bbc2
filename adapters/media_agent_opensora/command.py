"""The command line of one run."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from media_agent_opensora.call import Call
from media_agent_opensora.checkout import CONFIGS, SCRIPT
from media_agent_opensora.prompts import CLIP

_SEEDS = 2**32  # what seeds everything but the noise takes 32 bits


def build_words(
    call: Call, *, torchrun: Path, gpus: int, folder: Path, weights: Mapping[str, Path]
) -> list[str]:
    """Return the program and its arguments; each `--key` has a value, as they are read in pairs.

    Args:
        call: What is asked.
        torchrun: The launcher.
        gpus: On how many GPUs.
        folder: The folder of the run: the file of prompts is in it, and the video comes there.
        weights: Files of weights that are elsewhere than the configuration says, by its keys.
    """
    config = f"{CONFIGS}/{call.model.name_config(gpus)}"
    pairs = dict(_list_pairs(call, folder)) | {key: str(path) for key, path in weights.items()}
    words = [str(torchrun), "--nproc_per_node", str(gpus), "--standalone", SCRIPT, config]
    return words + [word for key, value in pairs.items() for word in (f"--{key}", value)]


def find_video(call: Call, folder: Path) -> Path:
    """Return where a run in this folder leaves its video."""
    return folder / "out" / f"video_{call.model.resolution.name}" / f"{CLIP}.mp4"


def find_prompts(folder: Path) -> Path:
    """Return where a run in this folder reads its prompts."""
    return folder / "prompts.csv"


def _list_pairs(call: Call, folder: Path) -> Iterator[tuple[str, str]]:
    yield "save-dir", str(folder / "out")
    yield "dataset.data-path", str(find_prompts(folder))
    if not call.model.makes_image:  # else its configuration says it
        yield "cond_type", call.condition
    yield "resolution", call.model.resolution.name
    yield "aspect_ratio", call.model.name_ratio(call.size)
    yield "num_frames", str(call.frames)
    yield "num_steps", str(call.options["num_inference_steps"])
    yield "guidance", str(call.options["guidance_scale"])
    yield "guidance_img", str(call.options["image_guidance_scale"])
    yield "motion-score", str(call.options["motion_score"])
    yield "seed", str(call.seed % _SEEDS)
    yield "sampling_option.seed", str(call.seed)
    if call.options.get("offload") is True:
        yield "offload_model", "True"
