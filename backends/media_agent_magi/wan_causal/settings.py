"""The config files that the released code of Self-Forcing and LongLive writes. No torch here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from media_agent_magi.engine.config import ConfigError
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.wan_causal.config import LONGLIVE, SELF_FORCING, WanCausalConfig
from media_agent_magi.wan_causal.fetching import CHECKPOINTS, Checkpoint

MARK = "denoising_step_list"
"""The key by which a config file is known."""

SUFFIXES = (".yaml", ".yml")
LARGEST = 2**20  # bytes
LATENT_PIXELS = 8
PRESETS = {"self-forcing": SELF_FORCING, "longlive": LONGLIVE}
SAMPLING = {
    "denoising_step_list": "steps",
    "warp_denoising_step": "warp",
    "timestep_shift": "shift",
    "num_frame_per_block": "block_frames",
    "context_noise": "context_noise",
    "independent_first_frame": "first_alone",
    "global_sink": "global_sink",
    "local_attn_size": "window",
    "sink_size": "sink",
    "use_infinite_attention": "slot_positions",
}
"""Key, at the top or in `model_kwargs` -> field of CausalConfig. Others are of training."""

SIZES = ("dim", "num_heads", "ffn_dim", "num_layers", "text_dim", "text_len", "freq_dim")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a model is, and which files and which entry hold its weights."""

    config: WanCausalConfig
    checkpoint: Checkpoint


def released_settings(name: str) -> Settings:
    """Return the settings of a released model."""
    return Settings(PRESETS[name], CHECKPOINTS[name])


def read_settings(path: Path) -> Settings | None:
    """Read a config file of the released code; None: it is another file.

    Raises:
        WeightsError: It cannot be read, or says what cannot be.
    """
    try:
        if path.stat().st_size > LARGEST:
            return None
        values = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise WeightsError(f"{path} is no YAML: {error}") from error
    if not isinstance(values, Mapping) or MARK not in values:
        return None
    try:
        return _settings_of(values)
    except (ConfigError, TypeError, ValueError, IndexError) as error:
        raise WeightsError(f"{path}: {error}") from error


def _settings_of(values: Mapping[str, Any]) -> Settings:
    flat = {**values, **(values.get("model_kwargs") or {})}
    name = "longlive" if values.get("lora_ckpt") or values.get("adapter") else "self-forcing"
    preset, usual = PRESETS[name], CHECKPOINTS[name]
    convert: dict[str, Callable[[Any], Any]] = {"steps": tuple}
    sampling = {
        field: convert.get(field, lambda value: value)(flat[key])
        for key, field in SAMPLING.items()
        if key in flat
    }
    adapter = values.get("adapter") or {}
    config = replace(
        preset,
        model=replace(preset.model, **{key: flat[key] for key in SIZES if key in flat}),
        causal=replace(preset.causal, **sampling),
        adapter_alpha=adapter.get("alpha", preset.adapter_alpha),
    )
    shape = values.get("image_or_video_shape")
    if shape is not None:
        rows, columns = (int(side) * LATENT_PIXELS for side in shape[-2:])
        config = replace(config, size=(rows, columns))
    entries: dict[Any, str] = {True: "generator_ema", False: "generator"}
    entry = values.get("entry") or entries.get(values.get("use_ema"), usual.entry)
    return Settings(
        config,
        Checkpoint(
            _stem(values.get("generator_ckpt"), usual.stem),
            str(entry),
            adapter=_stem(values.get("lora_ckpt"), usual.adapter),
        ),
    )


def _stem(said: object, usual: Any) -> Any:
    return Path(str(said)).stem if said else usual
