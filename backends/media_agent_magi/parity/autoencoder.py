"""Cases of the transformer autoencoder, whole and in tiles."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from media_agent_magi.engine.autoencoders.tiling import Tiling, decode_tiled, encode_tiled
from media_agent_magi.engine.autoencoders.vit_vae import Attention, ViTVAE
from media_agent_magi.parity.comparison import SINGLE, CaseError, Check, Comparison
from media_agent_magi.parity.golden import (
    Fields,
    GoldenFolder,
    Tensors,
    check_declared,
    note_uncompared,
)
from media_agent_magi.parity.intermediates import record_modules
from media_agent_magi.parity.wan.autoencoder import wan_vae_checks

TILE_KEYS = (
    "tile_sample_min_length",
    "tile_sample_min_height",
    "tile_sample_min_width",
    "spatial_tile_overlap_factor",
    "temporal_tile_overlap_factor",
)
SHARED_CASE = "tiled"
"""A tiled case without a video of its own takes that of this one."""

SAME_TILES = {"last_tile_of_one": SHARED_CASE}
"""Tiled cases without sizes of their own, and whose they take."""

PIXEL_ROUNDING = 1e-3
"""How far from a whole number a pixel may be cut to the wrong side."""


def autoencoder_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the cases of a file."""
    spec, tensors = golden.spec(stem), golden.tensors(stem)
    if "latent_mean" in spec:  # of another model
        yield from wan_vae_checks(golden, stem)
        return
    vae = golden.autoencoder(spec)
    for name in spec["cases"]:

        def check(name: str = name) -> Comparison:
            done = Comparison()
            check_declared(done, spec, tensors, f"{name}.")
            with torch.no_grad():
                _check(done, vae, spec["cases"], name, tensors)
            return done

        yield f"{stem}/{name}", check


def _check(done: Comparison, vae: ViTVAE, cases: Fields, name: str, tensors: Tensors) -> None:
    own = tensors.under(f"{name}.")
    tiling = _tiling(cases, name)
    if "out.latent" in own or "out.moments" in own:
        video = own.get("in.video_u8", tensors.get(f"{SHARED_CASE}.in.video_u8"))
        if video is None:
            raise CaseError("tensor 'in.video_u8' is missing")
        _encode(done, vae, tiling, video.float() / 127.5 - 1, own)
    if "out.video" in own:
        _decode(done, vae, tiling, own)
    known = {"latent", "moments", "video", "frames_u8_TCHW"}
    note_uncompared(done, set(own.under("out.")) - known)


def _tiling(cases: Fields, name: str) -> Tiling | None:
    """Return the tiles of a case, None where it is coded whole."""
    case = cases[SAME_TILES.get(name, name)]
    if not isinstance(case, Fields) or not any(key in case for key in TILE_KEYS):
        return None
    return Tiling(*(case[key] for key in TILE_KEYS))


def _encode(
    done: Comparison, vae: ViTVAE, tiling: Tiling | None, video: Tensor, own: Tensors
) -> None:
    with record_modules(vae.encoder) as seen:
        latent = vae.encode(video) if tiling is None else encode_tiled(vae, video, tiling)
    if "out.latent" in own:
        done.close("latent", latent, own["out.latent"], SINGLE)
    if "out.moments" in own:
        done.close("moments", vae.moments(video), own["out.moments"], SINGLE)
    if "mid.patch_embed" in own:
        done.close("patches", seen.outputs["patch_embed"][0], own["mid.patch_embed"], SINGLE)
    if "mid.block0" in own:
        done.close("first block", seen.outputs["blocks.0"][0], own["mid.block0"], SINGLE)
    if "mid.qkv_after_norm_block0" in own:
        attention = vae.encoder.get_submodule("blocks.0.attn")
        assert isinstance(attention, Attention)
        normed = attention.normalise(seen.inputs["blocks.0.attn"][0])
        done.close("first qkv", normed, own["mid.qkv_after_norm_block0"], SINGLE)


def _decode(done: Comparison, vae: ViTVAE, tiling: Tiling | None, own: Tensors) -> None:
    latent = own["in.latent" if "in.latent" in own else "in.latent_for_decode"]
    if tiling is None:
        video = vae.decode(latent, image=True)
    else:
        video = decode_tiled(vae, latent, tiling, image=True)
    done.close("video", video, own["out.video"], SINGLE)
    if "out.frames_u8_TCHW" in own:
        exact = (video[0].transpose(0, 1) * 127.5 + 127.5).clamp(0, 255)  # T C H W
        frames = own["out.frames_u8_TCHW"].float()
        # a pixel is cut to a whole number: the fraction cut off is in [0, 1)
        outside = (frames - exact).clamp(min=0) + (exact - frames - 1).clamp(min=0)
        done.near("frames", outside, torch.zeros_like(outside), PIXEL_ROUNDING)
