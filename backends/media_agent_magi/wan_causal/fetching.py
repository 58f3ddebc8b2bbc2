"""The released models, and which files of which repositories they are made of. No torch here."""

from dataclasses import dataclass

from media_agent.backend.released import ReleasedModel, ReleasedPart

LICENCE = "unsettled, see model card"
"""Of the weights: their model cards are reported to forbid commercial use, while the code that they
come with is Apache-2.0."""

TEXT_WEIGHTS = "models_t5_umt5-xxl-enc-bf16"
VAE_WEIGHTS = "Wan2.1_VAE"
TOKENIZER_FOLDER = "google/umt5-xxl"
BASE_FOLDERS = ("wan2.1-t2v-1.3b", "Wan2.1-T2V-1.3B", "wan_models/Wan2.1-T2V-1.3B")
"""Folders of the parts that are Wan 2.1's own: as they are fetched, and as others lay them out."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The file of a transformer.

    stem: its name without the suffix. entry: of the file, which holds the weights. adapter: the
    stem of the file without which it is another model.
    """

    stem: str
    entry: str
    adapter: str | None = None


CHECKPOINTS = {
    "self-forcing": Checkpoint("self_forcing_dmd", "generator_ema"),
    "longlive": Checkpoint("longlive_base", "generator", adapter="lora"),
}
ADAPTER_ENTRY = "generator_lora"

_BASE = ReleasedPart(
    "Wan-AI/Wan2.1-T2V-1.3B",
    (f"{TEXT_WEIGHTS}.pth", f"{VAE_WEIGHTS}.pth", f"{TOKENIZER_FOLDER}/spiece.model"),
    shared=BASE_FOLDERS[0],
)

RELEASED = {
    "self-forcing": ReleasedModel(
        (ReleasedPart("gdhe17/Self-Forcing", ("checkpoints/self_forcing_dmd.pt",)), _BASE), LICENCE
    ),
    "longlive": ReleasedModel(
        (
            ReleasedPart(
                "Efficient-Large-Model/LongLive-1.3B",
                ("models/longlive_base.pt", "models/lora.pt"),
            ),
            _BASE,
        ),
        LICENCE,
    ),
}
