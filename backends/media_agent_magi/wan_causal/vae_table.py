"""The layers of Wan 2.1's autoencoder, without building it: its weights, and what it keeps.

No torch here. A test compares it with the autoencoder itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from media_agent_magi.engine.autoencoders.wan_vae_config import BACK, WanVAEConfig
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.headers import WeightFiles

Kind = Literal["norm", "norm of a frame", "cube", "point", "plane", "point of a frame", "time"]

KERNELS: dict[Kind, tuple[int, ...]] = {
    "cube": (3, 3, 3),
    "point": (1, 1, 1),
    "plane": (3, 3),
    "point of a frame": (1, 1),
    "time": (BACK + 1, 1, 1),
}
LOOKS_BACK: tuple[Kind, ...] = ("cube", "time")


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with weights; it works on frames of 1/8 of the pixels times `scale` each way."""

    name: str
    kind: Kind
    inputs: int
    outputs: int
    scale: int

    def weights(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield names and shapes."""
        if self.kind == "norm":
            yield f"{self.name}.gamma", (self.inputs, 1, 1, 1)
        elif self.kind == "norm of a frame":
            yield f"{self.name}.gamma", (self.inputs, 1, 1)
        else:
            yield f"{self.name}.weight", (self.outputs, self.inputs, *KERNELS[self.kind])
            yield f"{self.name}.bias", (self.outputs,)


def vae_table(config: WanVAEConfig) -> dict[str, tuple[int, ...]]:
    """Return all weights by name."""
    layers = (
        *list_encoder(config),
        Layer("conv1", "point", 2 * config.z_dim, 2 * config.z_dim, 1),
        Layer("conv2", "point", config.z_dim, config.z_dim, 1),
        *list_decoder(config),
    )
    return {name: shape for layer in layers for name, shape in layer.weights()}


def read_vae_config(files: WeightFiles) -> WanVAEConfig:
    """Take the sizes from the shapes in a file.

    Raises:
        WeightsError: It is another model; all differences are listed.
    """
    try:
        dim = files.tensors["encoder.conv1.weight"].shape[0]
        z_dim = files.tensors["conv2.weight"].shape[0]
        config = WanVAEConfig(dim=dim, z_dim=z_dim)
    except (KeyError, IndexError, ValueError) as error:
        raise WeightsError(f"{files.folder} holds no autoencoder of Wan 2.1: {error}") from error
    files.check(vae_table(config))
    return config


def stream_numbers(config: WanVAEConfig, rows: int, columns: int) -> tuple[int, int]:
    """Count the numbers that a stream of the decoder keeps, of latents of that size.

    Those of the deep levels, and those of the wide ones.
    """
    deep = wide = 0
    for layer in list_decoder(config):
        if layer.kind in LOOKS_BACK:
            kept = layer.inputs * BACK * rows * columns * layer.scale**2
            _, part, *rest = layer.name.split(".")
            if part == "head" or (part == "upsamples" and int(rest[0]) >= config.deep_layers):
                wide += kept
            else:
                deep += kept
    return deep, wide


def list_encoder(config: WanVAEConfig) -> Iterator[Layer]:
    """Yield the layers of the encoder, first to last."""
    scale, width, number = config.patch[1], config.dim, 0
    yield Layer("encoder.conv1", "cube", 3, width, scale)
    for level, wanted in enumerate(config.widths):
        for _ in range(config.num_res_blocks):
            yield from _residual(f"encoder.downsamples.{number}", width, wanted, scale)
            width, number = wanted, number + 1
        if level < len(config.widths) - 1:
            place = f"encoder.downsamples.{number}"
            scale //= 2
            yield Layer(f"{place}.resample.1", "plane", width, width, scale)
            if config.temporal_downsample[level]:
                yield Layer(f"{place}.time_conv", "time", width, width, scale)
            number += 1
    yield from _middle("encoder", width)
    yield from _head("encoder", width, 2 * config.z_dim, scale)


def list_decoder(config: WanVAEConfig) -> Iterator[Layer]:
    """Yield the layers of the decoder, first to last."""
    widths, doubles = config.widths[::-1], config.temporal_downsample[::-1]
    scale, width, number = 1, widths[0], 0
    yield Layer("decoder.conv1", "cube", config.z_dim, width, scale)
    yield from _middle("decoder", width)
    for level, wanted in enumerate(widths):
        for _ in range(config.num_res_blocks + 1):
            yield from _residual(f"decoder.upsamples.{number}", width, wanted, scale)
            width, number = wanted, number + 1
        if level < len(widths) - 1:
            place = f"decoder.upsamples.{number}"
            if doubles[level]:
                yield Layer(f"{place}.time_conv", "time", width, 2 * width, scale)
            scale *= 2
            yield Layer(f"{place}.resample.1", "plane", width, width // 2, scale)
            width, number = width // 2, number + 1
    yield from _head("decoder", width, 3, scale)


def _residual(place: str, inputs: int, outputs: int, scale: int) -> Iterator[Layer]:
    yield Layer(f"{place}.residual.0", "norm", inputs, inputs, scale)
    yield Layer(f"{place}.residual.2", "cube", inputs, outputs, scale)
    yield Layer(f"{place}.residual.3", "norm", outputs, outputs, scale)
    yield Layer(f"{place}.residual.6", "cube", outputs, outputs, scale)
    if inputs != outputs:
        yield Layer(f"{place}.shortcut", "point", inputs, outputs, scale)


def _middle(half: str, width: int) -> Iterator[Layer]:
    yield from _residual(f"{half}.middle.0", width, width, 1)
    yield Layer(f"{half}.middle.1.norm", "norm of a frame", width, width, 1)
    yield Layer(f"{half}.middle.1.to_qkv", "point of a frame", width, 3 * width, 1)
    yield Layer(f"{half}.middle.1.proj", "point of a frame", width, width, 1)
    yield from _residual(f"{half}.middle.2", width, width, 1)


def _head(half: str, inputs: int, outputs: int, scale: int) -> Iterator[Layer]:
    yield Layer(f"{half}.head.0", "norm", inputs, inputs, scale)
    yield Layer(f"{half}.head.2", "cube", inputs, outputs, scale)
