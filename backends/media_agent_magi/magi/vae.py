"""The released autoencoder with its scale, tile by tile."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from media_agent_magi.engine.autoencoders.tiling import Tiling, decode_stream, encode_tiled
from media_agent_magi.engine.autoencoders.vit_vae import ViTVAE, ViTVAEConfig
from media_agent_magi.engine.config import ConfigError
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.headers import WeightFiles
from media_agent_magi.loading.stream import Report, fill, on_meta, to_device

TILES_AT_ONCE = 16


class ScaledVAE:
    """Latents here are the autoencoder's times `scale`; tiles as released.

    A tile is half a second long and has the size that its positions were made for.
    """

    def __init__(self, vae: ViTVAE, *, scale: float, fps: int, at_once: int) -> None:
        self.vae, self.scale = vae, scale
        side = vae.config.video_size
        self.tiling = Tiling(fps // 2, side, side, at_once=at_once)

    @torch.inference_mode()
    def encode(self, video: Tensor) -> Tensor:
        """Return latents (1, z, t, h, w), float32, of a video (1, 3, T, H, W) in [-1, 1]."""
        like = self.vae.encoder.cls_token
        latents = encode_tiled(self.vae, video.to(like), self.tiling)
        return latents.float() * self.scale

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Return the video (N, 3, T, H, W), on the CPU, of latents (N, z, t, h, w).

        Piece by piece: what is decoded leaves the device at once.
        """
        inputs = (latents / self.scale).to(self.vae.encoder.cls_token)
        pieces = (piece.float().cpu() for piece in decode_stream(self.vae, inputs, self.tiling))
        return torch.cat(list(pieces), dim=2)


def vae_config(values: Mapping[str, Any]) -> ViTVAEConfig:
    """Build the sizes from a released config.json.

    Raises:
        WeightsError: It says what nobody knows.
    """
    try:
        return ViTVAEConfig.from_dict(values)
    except (ConfigError, TypeError) as error:
        raise WeightsError(f"the autoencoder's config.json: {error}") from error


def load_vae(
    config: ViTVAEConfig,
    files: WeightFiles,
    *,
    device: torch.device,
    dtype: torch.dtype,
    report: Report,
) -> ViTVAE:
    """Load it in `dtype`.

    Raises:
        WeightsError: The files do not fit, or cannot be read.
    """
    vae = cast(ViTVAE, on_meta(lambda: ViTVAE(config).to(dtype)))
    fill(vae, files, to_device(device), report=report)
    return vae
