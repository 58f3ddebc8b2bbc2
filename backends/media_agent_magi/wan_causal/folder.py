"""A folder of released weights: where its parts are, and whether they go together. No torch here.

The transformer is a checkpoint as released, `self_forcing_dmd.pt` or `longlive_base.pt` with its
adapter `lora.pt`, in the folder or below it. Wan 2.1's own autoencoder, text encoder and tokenizer
lie with it, or in a folder beside it. Every file may be safetensors too. A config file of the
released code beside the checkpoint says the settings; without one they are those of the release.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from media_agent_magi.engine.autoencoders.wan_vae_config import WanVAEConfig
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.damage import NoModelError, check_all
from media_agent_magi.loading.headers import WeightFiles, find_unfinished, read_file
from media_agent_magi.loading.pickled import read_pickled
from media_agent_magi.loading.tokenizer import TOKENIZER
from media_agent_magi.wan_causal.config import WanCausalConfig
from media_agent_magi.wan_causal.fetching import (
    ADAPTER_ENTRY,
    BASE_FOLDERS,
    CHECKPOINTS,
    TEXT_WEIGHTS,
    TOKENIZER_FOLDER,
    VAE_WEIGHTS,
    Checkpoint,
)
from media_agent_magi.wan_causal.settings import (
    SUFFIXES,
    Settings,
    read_settings,
    released_settings,
)
from media_agent_magi.wan_causal.table import adapter_table, rank_of, transformer_table
from media_agent_magi.wan_causal.text import WanText
from media_agent_magi.wan_causal.vae_table import read_vae_config

KINDS = (".safetensors", ".pt", ".pth")
DEPTH = 4  # folders between what was named and the checkpoint
ABOVE = 3  # folders above the checkpoint in which the other parts may lie
PREFIX, ADAPTER_PREFIX = "model.", "base_model.model."


@dataclass(frozen=True, slots=True)
class WanCausalFolder:
    """The files of one model.

    config: what it is. entry: of the checkpoint. adapter: None where it needs none.
    """

    config: WanCausalConfig
    entry: str
    checkpoint: Path
    adapter: Path | None
    vae: Path
    text_weights: Path
    tokenizer: Path

    @classmethod
    def find(cls, path: Path) -> "WanCausalFolder":
        """Find the parts, without reading a weight.

        Raises:
            WeightsError: A part is missing, or what is there does not go together, and why.
        """
        checkpoint, settings = choose_checkpoint(path)
        adapter = find_adapter(checkpoint, settings.checkpoint)
        places = _places(checkpoint)
        vae = _find(places, VAE_WEIGHTS)
        text = _find(places, TEXT_WEIGHTS)
        tokenizers = (p / each for p in places for each in (TOKENIZER_FOLDER, "."))
        tokenizer = next((p for p in tokenizers if (p / TOKENIZER).is_file()), None)
        absent = [
            f"no {what} beside {checkpoint}: {where} is missing{_half(places, where)}"
            for what, where, found in (
                ("autoencoder", f"{VAE_WEIGHTS}.pth", vae),
                ("text encoder", f"{TEXT_WEIGHTS}.pth", text),
                ("tokenizer", f"{TOKENIZER_FOLDER}/{TOKENIZER}", tokenizer),
            )
            if found is None
        ]
        if absent:
            raise WeightsError("; ".join(absent))
        assert vae is not None
        assert text is not None
        assert tokenizer is not None
        entry = settings.checkpoint.entry
        return cls(settings.config, entry, checkpoint, adapter, vae, text, tokenizer)

    def check(self) -> None:
        """Compare all weights with what is wanted, by their headers.

        Raises:
            WeightsError: Something is missing, damaged, or does not fit; all that is.
        """
        check_all(self.read_weights, self.read_adapter, self.read_vae, lambda: self.text().check())

    def read_weights(self) -> WeightFiles:
        """Read the header of the checkpoint, and compare it with the settings.

        Raises:
            WeightsError: It is cut off or half downloaded, lacks its entry, or is another model.
        """
        files = read_weights(self.checkpoint, self.entry, PREFIX)
        files.check(transformer_table(self.config.model))
        return files

    def read_adapter(self) -> WeightFiles | None:
        """Read the header of the adapter, and compare it with the settings; None: there is none.

        Raises:
            WeightsError: It is cut off or half downloaded, is for another model, or has not the
                rank that the settings say in all of its parts.
        """
        if self.adapter is None:
            return None
        wanted = self.config.adapter_rank
        assert wanted is not None  # of every model that has an adapter
        files = read_weights(self.adapter, ADAPTER_ENTRY, ADAPTER_PREFIX)
        by_rank: dict[int, list[str]] = {}
        for name, fact in files.tensors.items():
            by_rank.setdefault(rank_of(name, fact.shape), []).append(name)
        if len(by_rank) > 1:
            parts = ", ".join(f"{rank} ({names[0]})" for rank, names in sorted(by_rank.items()))
            raise WeightsError(f"{self.adapter} holds no adapter of one rank, but of {parts}")
        [rank] = by_rank or [0]
        if rank != wanted:
            raise WeightsError(
                f"{self.adapter} has rank {rank}, and the settings say {wanted}, for which what it "
                "adds is scaled; put the config file of this adapter beside it "
                "(adapter: rank, alpha), or fetch the adapter again"
            )
        files.check(adapter_table(self.config.model, rank))
        return files

    def read_vae(self) -> tuple[WeightFiles, WanVAEConfig]:
        """Read the header of the autoencoder, and its sizes.

        Raises:
            WeightsError: It is cut off or half downloaded, or is another model.
        """
        files = read_weights(self.vae)
        return files, read_vae_config(files)

    def text(self) -> WanText:
        """Return the text encoder; its header is read.

        Raises:
            WeightsError: It is cut off or half downloaded.
        """
        return WanText(read_weights(self.text_weights), self.tokenizer)

    @property
    def fingerprint(self) -> str:
        """What tells its transformer from another one.

        Raises:
            WeightsError: Its files cannot be read.
        """
        parts = [read_weights(self.checkpoint, self.entry, PREFIX).fingerprint]
        if self.adapter is not None:
            parts.append(read_weights(self.adapter, ADAPTER_ENTRY, ADAPTER_PREFIX).fingerprint)
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def read_weights(file: Path, entry: str | None = None, prefix: str = "") -> WeightFiles:
    """Read the header of a file of either kind; only checkpoints of torch have entries.

    Raises:
        WeightsError: It is cut off, or holds something else.
    """
    if file.suffix != ".safetensors":
        return read_pickled(file, entry, prefix)
    digest = hashlib.sha256()
    found = dict(read_file(file, digest))
    stored = {name.removeprefix(prefix): name for name in found}
    tensors = {own: found[name] for own, name in stored.items()}
    return WeightFiles(file, (file,), tensors, digest.hexdigest(), None, stored)


def choose_checkpoint(path: Path) -> tuple[Path, Settings]:
    """Return the one checkpoint in or below a folder, and what it is.

    Raises:
        WeightsError: There is none, several, or a config file that it does not go with.
    """
    read = {file: read_settings(file) for file in _files(path, SUFFIXES)}
    said = {file: settings for file, settings in read.items() if settings is not None}
    if len(said) > 1:
        names = ", ".join(str(file.relative_to(path)) for file in said)
        raise WeightsError(f"{path} has several config files: {names}; leave one")
    known = {each.stem: name for name, each in CHECKPOINTS.items()}
    stems = {each.checkpoint.stem for each in said.values()} or set(known)
    found = [file for file in _files(path, KINDS) if file.stem in stems]
    if not found:
        names = ", ".join(f"{stem}.pt" for stem in sorted(stems))
        halves = (half for stem in stems for half in path.rglob(f"{stem}.pt.*"))
        half = next((f"; {each.name} is half downloaded" for each in halves), "")
        kind = WeightsError if half else NoModelError
        raise kind(f"no checkpoint in {path}: {names} is wanted{half}")
    if len(found) > 1:
        names = ", ".join(str(file.relative_to(path)) for file in found)
        raise WeightsError(f"{path} holds several checkpoints: {names}; name the folder of one")
    [checkpoint] = found
    settings = next(iter(said.values()), None) or released_settings(known[checkpoint.stem])
    _check_pair(checkpoint, settings, known.get(checkpoint.stem))
    return checkpoint, settings


def find_adapter(checkpoint: Path, settings: Checkpoint) -> Path | None:
    """Return the adapter of a checkpoint; None: it needs none.

    Raises:
        WeightsError: It is missing, or one is there that is not of this checkpoint.
    """
    if settings.adapter is None:
        stray = _find([checkpoint.parent], CHECKPOINTS["longlive"].adapter or "")
        if stray is not None:
            raise WeightsError(
                f"{stray} is an adapter of LongLive, and {checkpoint.name} is run without one: "
                "keep it in another folder"
            )
        return None
    found = _find([checkpoint.parent], settings.adapter)
    if found is None:
        raise WeightsError(
            f"{checkpoint.name} without its adapter {settings.adapter}.pt is not LongLive: the "
            f"training for long videos is in the adapter; put it into {checkpoint.parent}"
            + _half([checkpoint.parent], f"{settings.adapter}.pt")
        )
    return found


def _check_pair(checkpoint: Path, settings: Settings, released: str | None) -> None:
    """Refuse a released checkpoint with the settings of another: the shapes are the same."""
    name = settings.config.name
    if released is not None and released != name:
        raise WeightsError(
            f"{checkpoint.name} is {released}, and the config file beside it is for {name}: they "
            "have the same shapes, and make noise with the settings of the other"
        )


def _files(path: Path, kinds: tuple[str, ...], depth: int = DEPTH) -> Iterator[Path]:
    """Yield the files of some kinds in and below a folder."""
    if not path.is_dir():
        return
    for each in sorted(path.iterdir()):
        if each.name.startswith("."):
            continue
        if each.is_file() and each.suffix in kinds:
            yield each
        elif depth > 0 and each.is_dir():
            yield from _files(each, kinds, depth - 1)


def _places(checkpoint: Path) -> list[Path]:
    """Return the folders in which the parts of Wan 2.1 may lie, nearest first."""
    above = [checkpoint.parent, *list(checkpoint.parent.parents)[:ABOVE]]
    return [place for folder in above for place in (folder, *(folder / b for b in BASE_FOLDERS))]


def _find(places: list[Path], stem: str) -> Path | None:
    found = (place / f"{stem}{kind}" for place in places for kind in KINDS)
    return next((file for file in found if file.is_file()), None)


def _half(places: list[Path], name: str) -> str:
    """Say that a download of a file has stopped, where one has."""
    half = next((found for place in places if (found := find_unfinished(place, name))), None)
    return f"; {half.name} is half downloaded" if half is not None else ""
