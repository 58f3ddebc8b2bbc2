"""Which files of a repository in the released layout are loaded. No torch here."""

from pathlib import Path

from media_agent.errors import StorageError
from media_agent_magi.magi.folder import STEM, T5_NAMES, VAE_STEM, list_weights

TEXT_FILES = ("config.json", "spiece.model")


def choose_files(path: Path, variant: str | None) -> tuple[str, ...]:
    """Return the files of one model, its autoencoder and its text encoder.

    In `path` all but the small JSON files are empty. `variant` is the name of a model folder, such
    as 4.5B_distill.

    Raises:
        StorageError: There is no such model, or a part of it is missing.
    """
    found = list(list_weights(path, depth=5))
    if not found:
        raise StorageError(f"{path} has no folder {STEM}, as MAGI-1 is released")
    names = {weights.parent.name: weights for weights in found}
    chosen = names.get(variant or "", found[0] if variant is None and len(found) == 1 else None)
    if chosen is None:
        known = ", ".join(sorted(names))
        raise StorageError(
            f"{path} holds several models: {known}"
            if variant is None
            else f"{path} has no model {variant!r}, but {known}",
            hint="name one with --variant",
        )
    places = [chosen.parent, *chosen.parent.parents]
    places = places[: places.index(path) + 1] if path in places else places[:1]
    vae = next((p / "vae" for p in places if (p / "vae" / "config.json").is_file()), None)
    texts = (p / name for p in places for name in T5_NAMES)
    text = next((each for each in texts if (each / "config.json").is_file()), None)
    if vae is None or text is None:
        what = "autoencoder (vae)" if vae is None else "text encoder (t5/t5-v1_1-xxl)"
        raise StorageError(f"{path} has no {what} beside {chosen.parent.name}")
    files = [
        *(f for f in chosen.parent.iterdir() if f.suffix in (".json", ".safetensors")),
        *(f for f in chosen.iterdir() if f.suffix in (".json", ".safetensors", ".zst")),
        vae / "config.json",
        *(f for f in vae.iterdir() if f.name.startswith(VAE_STEM) and f.suffix != ".bin"),
        *(text / name for name in TEXT_FILES if (text / name).is_file()),
        *_text_weights(text),
    ]
    return tuple(sorted(str(file.relative_to(path)) for file in files if file.is_file()))


def _text_weights(text: Path) -> list[Path]:
    """Return the weights of the text encoder: safetensors where there are any, else `.bin`."""
    safe = [f for f in text.iterdir() if f.name.startswith("model") and "safetensors" in f.name]
    return safe or [f for f in text.iterdir() if f.name.startswith("pytorch_model")]
