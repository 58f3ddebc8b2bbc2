"""A folder of released weights: where its parts are, and whether they go together. No torch here.

Laid out as released: the model folder, such as `4.5B_distill`, holds `inference_weight.distill`;
beside `magi/`, in which it lies, are `t5/t5-v1_1-xxl` and `vae`. The parts may also lie in the
model folder itself. A config file of the reference beside the weights says the settings; without
one they are those released for the name of the folder.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_agent_magi.engine.config import ConfigError
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.damage import NoModelError, check_all
from media_agent_magi.loading.headers import WeightFiles, read_folder
from media_agent_magi.loading.text_files import TextFiles
from media_agent_magi.magi.config import RELEASED, SECTIONS, MagiConfig, kind_of
from media_agent_magi.magi.table import parameter_table

STEM = "inference_weight"
VAE_STEM = "diffusion_pytorch_model"
T5_NAMES = ("t5/t5-v1_1-xxl", "t5")
DEPTH = 4  # folders between what was named and the weights
NEWER = ("1.1", "v1_1", "1_1")


@dataclass(frozen=True, slots=True)
class MagiFolder:
    """The parts of one model.

    name: of the model folder. config: settings that fit the weights. weights, vae, text: folders.
    """

    name: str
    config: MagiConfig
    weights: Path
    vae: Path
    text: Path

    @classmethod
    def find(cls, path: Path) -> "MagiFolder":
        """Find the parts, without reading a weight.

        Raises:
            WeightsError: A part is missing, or settings and weights do not go together, and why.
        """
        weights = choose_weights(path)
        folder = weights.parent
        config = read_config(folder, weights)
        places = [folder, *list(folder.parents)[:3]]
        vae = next((p / "vae" for p in places if (p / "vae" / "config.json").is_file()), None)
        texts = (p / name for p in places for name in T5_NAMES)
        text = next((each for each in texts if (each / "config.json").is_file()), None)
        absent = [
            f"no {what} beside {folder}: {where} is missing"
            for what, where, found in (
                ("autoencoder", "vae/config.json", vae),
                ("text encoder", "t5/t5-v1_1-xxl/config.json", text),
            )
            if found is None
        ]
        if absent:
            raise WeightsError("; ".join(absent))
        assert vae is not None
        assert text is not None
        return cls(folder.name, config, weights, vae, text)

    def check(self) -> None:
        """Compare all weights with what is wanted, by their headers.

        Raises:
            WeightsError: Something is missing, damaged, or does not fit; all that is.
        """
        check_all(self.read_weights, self.read_vae, self.read_vae_config, self.check_text)

    def check_text(self) -> None:
        """Check that all files of the text encoder are there and whole.

        Raises:
            WeightsError: They are not.
        """
        TextFiles(self.text).check()

    def read_weights(self) -> WeightFiles:
        """Read the headers of the transformer, and compare them with its settings.

        Raises:
            WeightsError: Files are missing, cut off or half downloaded, or of another model.
        """
        files = read_folder(self.weights)
        is_quantised = any(fact.dtype == "F8_E4M3" for fact in files.tensors.values())
        if is_quantised != self.config.quantised:
            found = "fp8" if is_quantised else "not fp8"
            raise WeightsError(
                f"the weights in {self.weights} are {found}, and the settings are for weights "
                f"that are {self.config.kind}"
            )
        table = parameter_table(self.config.model, quantised=self.config.quantised)
        files.check({name: weight.shape for name, weight in table.items()})
        return files

    def read_vae(self) -> WeightFiles:
        """Read the headers of the autoencoder.

        Raises:
            WeightsError: Files are missing, cut off or half downloaded.
        """
        return read_folder(self.vae, VAE_STEM)

    def read_vae_config(self) -> dict[str, Any]:
        """Return the sizes of the autoencoder.

        Raises:
            WeightsError: Its config.json cannot be used.
        """
        path = self.vae / "config.json"
        try:
            values = json.loads(path.read_bytes())
            sizes: dict[str, Any] = dict(values.get("ddconfig", values))
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise WeightsError(f"cannot read {path}: {error}") from error
        known = {name: v for name, v in sizes.items() if not name.startswith("_")}
        known.pop("model_type", None)
        return known


def choose_weights(path: Path) -> Path:
    """Return the one folder of transformer weights in or below a folder.

    Raises:
        WeightsError: There is none, or several.
    """
    if path.name.startswith(STEM) and path.is_dir():
        return path
    found = list(list_weights(path))
    if not found:
        raise NoModelError(
            f"no weights in {path}: a folder {STEM}, {STEM}.distill or {STEM}.fp8.distill is wanted"
        )
    if len(found) > 1:
        names = ", ".join(str(each.relative_to(path)) for each in found)
        raise WeightsError(f"{path} holds several models: {names}; name the folder of one")
    return found[0]


def list_weights(path: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Yield the folders of transformer weights in and below a folder."""
    if not path.is_dir():
        return
    for each in sorted(path.iterdir()):
        if not each.is_dir() or each.name.startswith("."):
            continue
        if each.name == STEM or each.name.startswith(f"{STEM}."):
            yield each
        elif depth > 1:
            yield from list_weights(each, depth - 1)


def read_config(folder: Path, weights: Path) -> MagiConfig:
    """Return the settings of a model folder, checked against the names of its folders.

    Base and distilled weights have the same names and shapes: nothing else tells them apart.

    Raises:
        WeightsError: There are none, several, or they are for another kind of weights.
    """
    files = [file for file in sorted(folder.glob("*.json")) if _is_config(file)]
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise WeightsError(f"{folder} has several config files: {names}; leave one")
    try:
        config = MagiConfig.read(files[0]) if files else _released(folder)
    except ConfigError as error:
        raise WeightsError(str(error)) from error
    said = files[0].name if files else f"the settings released for {folder.name}"
    marks = weights.name.removeprefix(STEM).split(".")
    _check_pair(config, said, weights.name, distilled="distill" in marks, quantised="fp8" in marks)
    known = RELEASED.get(folder.name)
    if known is not None:
        _check_pair(config, said, folder.name, distilled=known.distilled, quantised=known.quantised)
    return config


def _check_pair(
    config: MagiConfig, said: str, name: str, *, distilled: bool, quantised: bool
) -> None:
    if (config.distilled, config.quantised) != (distilled, quantised):
        raise WeightsError(
            f"{said} is for weights that are {config.kind}, and by their name those in {name} are "
            f"{kind_of(distilled=distilled, quantised=quantised)}: they have the same shapes, and "
            "make noise with the settings of another kind"
        )


def _released(folder: Path) -> MagiConfig:
    known = RELEASED.get(folder.name)
    if known is not None:
        return known
    newer = "; MAGI-1.1 has other weights, which this engine does not read"
    raise WeightsError(
        f"{folder} has no config file, and its name is none of {', '.join(RELEASED)}"
        + (newer if any(mark in folder.name for mark in NEWER) else "")
    )


def _is_config(file: Path) -> bool:
    try:
        values = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and any(name in values for name in SECTIONS)
