"""Cases of the causal autoencoder: whole, streamed, and from pixels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor

from media_agent_magi.engine.autoencoders.wan_vae import WanVAE
from media_agent_magi.engine.autoencoders.wan_vae_config import WanVAEConfig
from media_agent_magi.engine.weights_io import load_weights
from media_agent_magi.parity.comparison import SINGLE, Check, Comparison
from media_agent_magi.parity.golden import (
    Fields,
    GoldenFolder,
    Tensors,
    check_declared,
    note_uncompared,
)

WHOLE, STREAMED, PIXELS = "decode", "streaming", "encode"


def wan_vae_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the cases of a file."""
    spec, tensors = golden.spec(stem), golden.tensors(stem)
    vae = read_autoencoder(golden, spec)

    @cache
    def decode_whole() -> Tensor:
        return vae.open_decoder().decode_unclamped(_latents(tensors))

    for name in dict.fromkeys(name.partition(".")[0] for name in tensors):

        def check(name: str = name) -> Comparison:
            done = Comparison()
            check_declared(done, spec, tensors, f"{name}.")
            with torch.no_grad():
                if name == WHOLE:
                    _decode(done, decode_whole(), tensors)
                elif name == STREAMED:
                    _stream(done, vae, decode_whole(), spec["streaming_parts"], tensors)
                else:
                    _encode(done, vae, name, tensors)
            return done

        yield f"{stem}/{name}", check


def read_autoencoder(golden: GoldenFolder, spec: Fields) -> WanVAE:
    """Return the autoencoder of a file of cases with its weights, float32."""
    path = golden.weights(spec)
    sizes = golden.spec(path.name.removesuffix(path.suffix))["config"]
    scale = {"mean": spec["latent_mean"], "std": spec["latent_std"]}
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in (sizes | scale).items()}
    vae = WanVAE(WanVAEConfig.from_dict(values)).eval().requires_grad_(False)
    load_weights(vae, path)
    return vae


def _latents(tensors: Tensors) -> Tensor:
    return tensors[f"{WHOLE}.in.latent"].transpose(1, 2)  # from B T C h w


def _decode(done: Comparison, video: Tensor, tensors: Tensors) -> None:
    wanted = tensors[f"{WHOLE}.out.pixels_unclamped"]
    done.close("video", video.transpose(1, 2), wanted, SINGLE)
    note_uncompared(done, set(tensors.under(f"{WHOLE}.out.")) - {"pixels_unclamped"})


def _stream(
    done: Comparison, vae: WanVAE, whole: Tensor, parts: list[int], tensors: Tensors
) -> None:
    own, stream, pieces = tensors.under(f"{STREAMED}."), vae.open_decoder(), []
    for number, part in enumerate(_latents(tensors).split(parts, dim=2)):
        pieces.append(stream.decode_unclamped(part))
        if (frames := own.get(f"out.frames_{number}")) is not None:
            done.equal(f"frames of part {number}", pieces[-1].shape[2], int(frames))
        if (kept := own.get(f"mid.cache_conv1_after_{number}")) is not None:
            mine = stream.kept[vae.decoder.conv1]
            done.close(f"memory after part {number}", mine, kept, SINGLE)
    streamed = torch.cat(pieces, dim=2)
    done.equal("streamed and whole are equal", torch.equal(streamed, whole), True)
    wanted = tensors[f"{WHOLE}.out.pixels_unclamped"]
    done.close("video", streamed.transpose(1, 2), wanted, SINGLE)
    compared = {f"frames_{number}" for number in range(len(parts))}
    note_uncompared(done, set(own.under("out.")) - compared)


def _encode(done: Comparison, vae: WanVAE, name: str, tensors: Tensors) -> None:
    """Compare what is coded of its own pixels, or of the first frame of the others'."""
    own = tensors.under(f"{name}.")
    pixels = own.get("in.pixels")
    pixels = tensors[f"{PIXELS}.in.pixels"][:, :, :1] if pixels is None else pixels
    latents = vae.encode(pixels)
    done.close("latents", latents.transpose(1, 2), own["out.latent"], SINGLE)
    note_uncompared(done, set(own.under("out.")) - {"latent"})
