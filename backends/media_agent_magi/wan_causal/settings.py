"""The config files that the released code of Self-Forcing and LongLive writes. No torch here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from media_agent_magi.engine.causal.config import TRAIN_STEPS
from media_agent_magi.engine.config import ConfigError
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.wan_causal.config import LONGLIVE, SELF_FORCING, SIDES, WanCausalConfig
from media_agent_magi.wan_causal.fetching import CHECKPOINTS, Checkpoint

MARK = "denoising_step_list"
"""The key by which a config file is known."""

SUFFIXES = (".yaml", ".yml")
LARGEST = 2**20  # bytes
LATENT_PIXELS = 8
LONGEST_SAID = 60
AVERAGED = "generator_ema"
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

SIZES = {"dim", "num_heads", "ffn_dim", "num_layers", "text_dim", "text_len", "freq_dim"}


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
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is no YAML: {error}") from error
    if not isinstance(values, Mapping) or MARK not in values:
        return None
    try:
        return _settings_of(values)
    except ConfigError as error:
        raise WeightsError(f"{path}: {error}") from error


def _settings_of(values: Mapping[str, Any]) -> Settings:
    flat = {**values, **_section(values, "model_kwargs")}
    name = "longlive" if values.get("lora_ckpt") or values.get("adapter") else "self-forcing"
    preset, usual = PRESETS[name], CHECKPOINTS[name]
    model, causal = preset.model, preset.causal
    adapter = _section(values, "adapter")
    config = replace(
        preset,
        model=replace(
            model, **{key: _like(getattr(model, key), key, flat[key]) for key in SIZES & set(flat)}
        ),
        causal=replace(
            causal,
            **{
                field: _like(getattr(causal, field), key, flat[key])
                for key, field in SAMPLING.items()
                if key in flat
            },
        ),
        adapter_rank=_above_0(preset.adapter_rank, adapter, "rank"),
        adapter_alpha=_above_0(preset.adapter_alpha, adapter, "alpha"),
        size=_size(values.get("image_or_video_shape"), preset.size),
    )
    is_averaged = _like(usual.entry == AVERAGED, "use_ema", values.get("use_ema"))
    entry = _name(values, "entry") or (AVERAGED if is_averaged else "generator")
    return Settings(
        config,
        Checkpoint(
            _stem(values, "generator_ckpt") or usual.stem,
            entry,
            adapter=_stem(values, "lora_ckpt") or usual.adapter,
        ),
    )


def _like(usual: Any, key: str, value: object) -> Any:
    """Return a value of the kind of the usual one.

    Raises:
        ConfigError: It is of another kind. Of a value that is no scalar only the kind is said: with
            aliases a few lines of YAML hold more than memory does.
    """
    if value is None and isinstance(usual, bool):
        return usual
    if isinstance(usual, tuple):
        if isinstance(value, list) and len(value) <= TRAIN_STEPS:
            return tuple(_like(0.0, key, each) for each in value)
        wanted = "a list of numbers"
    elif isinstance(usual, bool):
        if isinstance(value, bool):
            return value
        wanted = "true or false"
    elif isinstance(usual, int):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        wanted = "a whole number"
    else:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and math.isfinite(value):  # type: ignore[arg-type]  # a number, as just seen
            return value
        wanted = "a number"
    is_scalar = isinstance(value, str | int | float | None)
    said = repr(value)[:LONGEST_SAID] if is_scalar else f"a {type(value).__name__}"
    raise ConfigError(f"{key} must be {wanted}, not {said}")


def _above_0(usual: Any, adapter: Mapping[str, Any], key: str) -> Any:
    """Return a number of an adapter, the usual one where nothing is said; None: there is none."""
    if usual is None or key not in adapter:
        return usual
    value = _like(usual, f"adapter.{key}", adapter[key])
    if value <= 0:
        raise ConfigError(f"adapter.{key} must be above 0, not {value}")
    return value


def _section(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = values.get(key) or {}
    if not isinstance(section, Mapping):
        raise ConfigError(f"{key} must be a section, not a {type(section).__name__}")
    return section


def _size(shape: object, usual: tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns of pixels of a shape of latents, the last two of its numbers."""
    if shape is None:
        return usual
    if not isinstance(shape, list) or len(shape) < 2:
        raise ConfigError("image_or_video_shape must be a list of at least two numbers")
    rows, columns = (_like(1, "image_or_video_shape", side) * LATENT_PIXELS for side in shape[-2:])
    if rows not in SIDES or columns not in SIDES:
        raise ConfigError(
            f"image_or_video_shape says {columns}x{rows} pixels; sides must be multiples of "
            f"{SIDES.step} from {SIDES.start} to {SIDES[-1]}"
        )
    return rows, columns


def _name(values: Mapping[str, Any], key: str) -> str | None:
    said = values.get(key)
    if said is not None and not isinstance(said, str):
        raise ConfigError(f"{key} must be a text, not a {type(said).__name__}")
    return said or None


def _stem(values: Mapping[str, Any], key: str) -> str | None:
    said = _name(values, key)
    return Path(said).stem if said else None
