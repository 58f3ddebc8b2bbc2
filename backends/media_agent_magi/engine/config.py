"""The numbers a model and a sampler are built from. No torch here: reading a config is cheap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Self

TRANSFORMS = ("sd3", "square", "piecewise", "identity", "shift")
DTYPES = ("float32", "bfloat16", "float16", "float64")


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names every fault found."""


def check_keys(owner: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as keyword arguments, or one ConfigError naming all unknown and missing keys."""
    known = {f.name: f for f in fields(owner)}
    unknown = sorted(set(values) - set(known))
    required = {
        n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING
    }
    missing = sorted(required - set(values))
    if unknown or missing:
        parts = [f"unknown keys: {', '.join(unknown)}"] if unknown else []
        parts += [f"missing keys: {', '.join(missing)}"] if missing else []
        raise ConfigError(f"{owner.__name__}: {'; '.join(parts)}")
    return {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}


def refuse(owner: object, faults: list[str]) -> None:
    """Raise one ConfigError with all faults, if there are any."""
    if faults:
        raise ConfigError(f"{type(owner).__name__}: {'; '.join(faults)}")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes of one video transformer; the names are those of the released config files.

    Ratios are fractions of `hidden_size`. `params_dtype` is the dtype of the transformer body,
    with or without the prefix "torch.".
    """

    num_layers: int
    hidden_size: int
    ffn_hidden_size: int
    num_attention_heads: int
    num_query_groups: int
    kv_channels: int
    in_channels: int
    out_channels: int
    caption_channels: int
    caption_max_length: int
    layernorm_epsilon: float = 1e-6
    x_rescale_factor: float = 1.0
    half_channel_vae: bool = False
    patch_size: int = 2
    t_patch_size: int = 1
    cond_hidden_ratio: float = 0.25
    xattn_cond_hidden_ratio: float = 1.0
    cond_gating_ratio: float = 1.0
    gated_linear_unit: bool = False
    params_dtype: str = "float32"
    model_name: str = "videodit_ardf"
    apply_layernorm_1p: bool = True

    POSITIVE: ClassVar[tuple[str, ...]] = (
        "num_layers", "hidden_size", "ffn_hidden_size", "num_attention_heads", "num_query_groups",
        "kv_channels", "in_channels", "out_channels", "caption_channels", "patch_size",
        "t_patch_size",
    )  # fmt: skip

    def __post_init__(self) -> None:
        object.__setattr__(self, "params_dtype", str(self.params_dtype).removeprefix("torch."))
        refuse(self, self._faults())

    def _faults(self) -> list[str]:
        values = {name: getattr(self, name) for name in self.POSITIVE}
        bad = [
            f"{n} must be a whole number above 0, not {v!r}"
            for n, v in values.items()
            if not isinstance(v, int) or isinstance(v, bool) or v < 1
        ]
        if bad:
            return bad
        heads, groups = self.num_attention_heads, self.num_query_groups
        rules = {
            f"caption_max_length must be at least 2, not {self.caption_max_length}": (
                self.caption_max_length >= 2
            ),
            f"num_attention_heads {heads} is no multiple of num_query_groups {groups}": (
                heads % groups == 0
            ),
            f"params_dtype {self.params_dtype!r} is none of {', '.join(DTYPES)}": (
                self.params_dtype in DTYPES
            ),
            f"cond_gating_ratio must be 1, as gates are always of full width, not "
            f"{self.cond_gating_ratio}": self.cond_gating_ratio == 1,
            f"half_channel_vae needs even channels, not {self.in_channels}": (
                not self.half_channel_vae or self.in_channels % 2 == 0
            ),
        }
        return [fault for fault, holds in rules.items() if not holds]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a config section; ConfigError lists all unknown and missing keys at once."""
        return cls(**check_keys(cls, values))

    @property
    def latent_channels(self) -> int:
        """Channels of the latents that go in and come out."""
        return self.in_channels // 2 if self.half_channel_vae else self.in_channels


@dataclass(frozen=True, slots=True)
class SamplerConfig:
    """How a model is stepped from noise to clean latents.

    cfg_number: 3 mixes three forwards per step, 1 takes one (distilled models).
    cfg_t_range: left ends of the intervals of t that prev_chunk_scales and text_scales hold for.
    noise2clean_kvrange: chunks seen (own one counted), one entry per equal part of the steps,
        noisiest first; empty means all earlier chunks. clean_chunk_kvrange: the same for a clean
        chunk, -1 for the last entry of that list.
    transform: from even steps u to t, one of TRANSFORMS; "shift" is t = (u/q)/(1+(1/q-1)u) with
        q = shift, "sd3" the same on u squared.
    distill: the model is told its step size. With cfg_number 1 the oldest chunk, once its t exceeds
        nearly_clean_threshold, is predicted with and without history and the two are mixed,
        nearly_clean_history_share being the part of the former.
    shortcut_mode: the order of step sizes when num_steps is 12; "16,16,8", or any other text for
        the usual "8,16,16".
    null_caption_tokens: positions of the null caption that the unconditional forwards read.
    ramp: the first chunk is made alone, the next ones two at a time, then four, up to the window;
        without, a chunk enters in every stage from the start, as in the reference.
    tokens_together: up to so many tokens, the forward with text and the one with history alone run
        as one of twice the samples, or at the same time, which is faster for small models and needs
        more memory.
    keep_keys: a state holds the keys of clean chunks; else they are made again of the last clean
        latents, which gives the same but for rounding, and only where clean chunks see themselves
        alone.
    """

    num_steps: int
    window_size: int
    chunk_width: int
    cfg_number: int = 3
    cfg_t_range: tuple[float, ...] = (0.0, 0.0217, 0.1, 0.3, 0.999)
    prev_chunk_scales: tuple[float, ...] = (1.5, 1.5, 1.5, 1.0, 1.0)
    text_scales: tuple[float, ...] = (7.5, 7.5, 7.5, 0.0, 0.0)
    noise2clean_kvrange: tuple[int, ...] = (5, 4, 3, 2)
    clean_chunk_kvrange: int = 1
    clean_t: float = 0.9999
    transform: str = "sd3"
    shift: float = 3.0
    distill: bool = False
    nearly_clean_threshold: float = 0.3
    nearly_clean_history_share: float = 0.7
    shortcut_mode: str = "8,16,16"
    null_caption_tokens: int = 50
    ramp: bool = False
    tokens_together: int = 512
    keep_keys: bool = True

    RUNTIME_KEYS: ClassVar[tuple[str, ...]] = (
        "cfg_number", "cfg_t_range", "prev_chunk_scales", "text_scales", "noise2clean_kvrange",
        "clean_chunk_kvrange", "clean_t", "num_steps", "window_size", "chunk_width",
    )  # fmt: skip

    def __post_init__(self) -> None:
        refuse(self, self._faults())

    def _faults(self) -> list[str]:
        counts = {n: getattr(self, n) for n in ("num_steps", "window_size", "chunk_width")}
        bad = [f"{n} must be at least 1, not {v!r}" for n, v in counts.items() if v < 1]
        if bad:
            return bad
        steps, window, parts = self.num_steps, self.window_size, len(self.noise2clean_kvrange)
        intervals = len(self.cfg_t_range)
        rules = {
            f"num_steps {steps} is no multiple of window_size {window}": steps % window == 0,
            f"num_steps {steps} is no multiple of the {parts} entries of noise2clean_kvrange": (
                parts == 0 or steps % parts == 0
            ),
            f"cfg_number must be 3 or 1, not {self.cfg_number}": self.cfg_number in (1, 3),
            f"transform {self.transform!r} is none of {', '.join(TRANSFORMS)}": (
                self.transform in TRANSFORMS
            ),
            f"prev_chunk_scales and text_scales must have {intervals} entries like cfg_t_range": (
                len(self.prev_chunk_scales) == len(self.text_scales) == intervals > 0
            ),
            f"shift must be above 0, not {self.shift}": self.shift > 0,
            "noise2clean_kvrange needs entries of at least 1": min(
                self.noise2clean_kvrange, default=1
            )
            >= 1,
            f"clean_chunk_kvrange must be -1 or at least 1, not {self.clean_chunk_kvrange}": (
                self.clean_chunk_kvrange == -1 or self.clean_chunk_kvrange >= 1
            ),
            "without keep_keys clean_chunk_kvrange must be 1": (
                self.keep_keys or self.clean_chunk_kvrange == 1
            ),
            "a distilled model needs cfg_number 1": not self.distill or self.cfg_number == 1,
        }
        return [fault for fault, holds in rules.items() if not holds]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a mapping; ConfigError lists all unknown and missing keys at once."""
        return cls(**check_keys(cls, values))

    @classmethod
    def from_reference(cls, runtime: Mapping[str, Any], engine: Mapping[str, Any]) -> Self:
        """Build from the runtime and engine sections of a released config file."""
        missing = [key for key in cls.RUNTIME_KEYS if key not in runtime]
        if missing:
            raise ConfigError(f"runtime config: missing keys: {', '.join(missing)}")
        values: dict[str, Any] = {key: runtime[key] for key in cls.RUNTIME_KEYS}
        values["keep_keys"] = runtime["clean_chunk_kvrange"] != 1  # gigabytes in a large model
        values["distill"] = bool(engine.get("distill", False))
        if "distill_nearly_clean_chunk_threshold" in engine:
            values["nearly_clean_threshold"] = engine["distill_nearly_clean_chunk_threshold"]
        if "shortcut_mode" in engine:
            values["shortcut_mode"] = engine["shortcut_mode"]
        return cls.from_dict(values)


@dataclass(frozen=True, slots=True)
class ConvVAEConfig:
    """Sizes of the convolutional autoencoder.

    Channels at 1/4, 1/8 and 1/2 of the resolution, and hidden ones of the readout of pixels.
    """

    latent_channels: int = 16
    width: int = 64
    inner_width: int = 128
    outer_width: int = 32
    readout_width: int = 64
    blocks: int = 1

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a mapping; ConfigError lists all unknown and missing keys at once."""
        return cls(**check_keys(cls, values))
