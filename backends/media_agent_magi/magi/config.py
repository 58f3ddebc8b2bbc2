"""The released configurations of MAGI-1, and the config files beside released weights. No torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from media_agent_magi.engine.config import ConfigError, ModelConfig, SamplerConfig
from media_agent_magi.generating.geometry import Geometry

SECTIONS = ("model_config", "runtime_config", "engine_config")
SCALE_FACTOR = 0.18215
DISTILLED_FORWARDS, BASE_FORWARDS = 1, 3


@dataclass(frozen=True, slots=True)
class MagiConfig:
    """What a config file says: sizes, sampling, and which kind of weights it is for.

    size: rows and columns of pixels. scale_factor: latents are the autoencoder's times this.
    """

    model: ModelConfig
    sampler: SamplerConfig
    size: tuple[int, int]
    distilled: bool = False
    quantised: bool = False
    fps: int = 24
    scale_factor: float = SCALE_FACTOR

    @property
    def geometry(self) -> Geometry:
        """How latents lie in time and space."""
        return Geometry(
            fps=self.fps,
            chunk_width=self.sampler.chunk_width,
            latent_channels=self.model.latent_channels,
        )

    @property
    def kind(self) -> str:
        """Which kind of weights it is for, in words."""
        return kind_of(distilled=self.distilled, quantised=self.quantised)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from the content of a released config file.

        Raises:
            ConfigError: Keys are missing or unknown, or contradict each other.
        """
        absent = [name for name in SECTIONS if not isinstance(values.get(name), Mapping)]
        if absent:
            raise ConfigError(f"sections missing: {', '.join(absent)}")
        model, runtime, engine = (values[name] for name in SECTIONS)
        distilled = bool(engine.get("distill", False))
        quantised = bool(engine.get("fp8_quant", False))
        given = runtime.get("cfg_number", BASE_FORWARDS)
        wanted = DISTILLED_FORWARDS if distilled or quantised else BASE_FORWARDS
        if given != wanted:
            raise ConfigError(
                f"cfg_number is {given}, and weights that are "
                f"{kind_of(distilled=distilled, quantised=quantised)} take {wanted}"
            )
        return cls(
            model=ModelConfig.from_dict(model),
            sampler=SamplerConfig.from_reference(runtime, engine),
            size=(runtime.get("video_size_h", 720), runtime.get("video_size_w", 720)),
            distilled=distilled,
            quantised=quantised,
            fps=runtime.get("fps", 24),
            scale_factor=runtime.get("scale_factor", SCALE_FACTOR),
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a released config file.

        Raises:
            ConfigError: It cannot be read, or says what nobody knows.
        """
        try:
            values = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read {path}: {error}") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{path} holds no JSON object")
        try:
            return cls.from_dict(values)
        except (ConfigError, TypeError) as error:
            raise ConfigError(f"{path}: {error}") from error


def kind_of(*, distilled: bool, quantised: bool) -> str:
    """Return which kind of weights it is, in words."""
    words = [word for word, holds in (("distilled", distilled), ("fp8", quantised)) if holds]
    return " and ".join(words) or "base"


_SMALL = ModelConfig(
    num_layers=34,
    hidden_size=3072,
    ffn_hidden_size=12288,
    num_attention_heads=24,
    num_query_groups=8,
    kv_channels=128,
    in_channels=16,
    out_channels=16,
    caption_channels=4096,
    caption_max_length=800,
    params_dtype="bfloat16",
)
_LARGE = replace(
    _SMALL,
    num_layers=48,
    hidden_size=6144,
    ffn_hidden_size=16384,
    num_attention_heads=48,
    in_channels=32,
    out_channels=32,
    x_rescale_factor=0.1,
    half_channel_vae=True,
    gated_linear_unit=True,
)


def _sampler(steps: int, *, distilled: bool) -> SamplerConfig:
    number = DISTILLED_FORWARDS if distilled else BASE_FORWARDS
    return SamplerConfig(
        num_steps=steps,
        window_size=4,
        chunk_width=6,
        cfg_number=number,
        distill=distilled,
        keep_keys=False,
    )


RELEASED = {
    "4.5B_base": MagiConfig(_SMALL, _sampler(64, distilled=False), (720, 720)),
    "4.5B_distill": MagiConfig(_SMALL, _sampler(16, distilled=True), (720, 720), distilled=True),
    "4.5B_distill_quant": MagiConfig(
        _SMALL, _sampler(16, distilled=True), (720, 720), distilled=True, quantised=True
    ),
    "24B_base": MagiConfig(_LARGE, _sampler(32, distilled=False), (720, 1280)),
    "24B_distill": MagiConfig(_LARGE, _sampler(16, distilled=True), (720, 1280), distilled=True),
    "24B_distill_quant": MagiConfig(
        _LARGE, _sampler(16, distilled=True), (720, 1280), distilled=True, quantised=True
    ),
}
"""By the name of their folder. The files released for distilled 4.5B say 64 steps, which looks like
an oversight; it was distilled for 8, 16 and 32, so 16 are taken unless a config file says more."""
