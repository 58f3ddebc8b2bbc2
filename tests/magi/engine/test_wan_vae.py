"""The causal autoencoder: coded in pieces, from anywhere, as coded whole."""

from typing import Any

import pytest
import torch
from torch import Tensor

from media_agent_magi.engine.autoencoders import wan_vae_config
from media_agent_magi.engine.autoencoders.wan_vae import WanVAE
from media_agent_magi.engine.autoencoders.wan_vae_config import WanVAEConfig, tile_spans
from media_agent_magi.engine.autoencoders.wan_vae_tiles import TiledStream
from media_agent_magi.engine.config import ConfigError
from media_agent_magi.wan_causal.vae_table import stream_numbers, vae_table


def build(**sizes: Any) -> WanVAE:
    torch.manual_seed(0)
    vae = WanVAE(WanVAEConfig(dim=4, **sizes)).eval().requires_grad_(False)
    for parameter in vae.parameters():
        fan = parameter[0].numel() if parameter.dim() > 1 else 4
        parameter.normal_(std=1 / max(1, fan) ** 0.5)
    return vae


def latents(frames: int, rows: int = 1, columns: int = 2, videos: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(videos, 16, frames, rows, columns, generator=generator)


@pytest.mark.parametrize("parts", [[7], [1, 6], [3, 3, 1], [1] * 7])
def test_a_video_decoded_in_pieces_is_the_one_decoded_whole(parts: list[int]) -> None:
    vae, given = build(), latents(7)
    whole = vae.open_decoder().decode(given)
    stream = vae.open_decoder()
    pieces = [stream.decode(part) for part in given.split(parts, dim=2)]

    assert whole.shape == (1, 3, 25, 8, 16)
    assert [piece.shape[2] for piece in pieces] == [4 * parts[0] - 3, *(4 * p for p in parts[1:])]
    assert torch.equal(torch.cat(pieces, dim=2), whole)


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"num_res_blocks": 1},
        {"temporal_downsample": (True, False, True)},
        {"dim_mult": (1, 2), "temporal_downsample": (True,)},
    ],
)
def test_a_stream_opened_within_a_video_is_exact_after_what_it_looks_back_at(
    sizes: dict[str, Any],
) -> None:
    vae = build(**sizes)
    given, before = latents(vae.decoder_frames + 9), vae.decoder_frames
    whole = vae.open_decoder().decode(given)
    start = given.shape[2] - before - 3
    late, without = vae.open_decoder(is_first=False), vae.open_decoder(is_first=False)
    late.decode(given[:, :, start : start + before])

    last = late.decode(given[:, :, start + before :])
    assert torch.equal(last, whole[:, :, -last.shape[2] :])
    assert not torch.equal(without.decode(given[:, :, start + before :]), last)


def test_the_released_decoder_looks_38_latent_frames_back() -> None:
    assert WanVAEConfig().decoder_frames == 38


def test_videos_side_by_side_do_not_touch_each_other() -> None:
    vae, given = build(), latents(3, videos=2)

    both = vae.open_decoder().decode(given)

    for number in range(2):
        alone = vae.open_decoder().decode(given[number : number + 1])
        assert torch.allclose(both[number], alone[0], atol=1e-4)


def test_frames_that_fill_no_latent_frame_are_left_out() -> None:
    vae = build()
    video = torch.rand(1, 3, 11, 16, 8, generator=torch.Generator().manual_seed(2)) * 2 - 1

    assert vae.encode(video).shape == (1, 16, 3, 2, 1)
    assert torch.equal(vae.encode(video), vae.encode(video[:, :, :9]))
    first = vae.encode(video[:, :, :1])
    assert torch.allclose(vae.encode(video)[:, :, :1], first, atol=1e-6)


def test_latents_are_normalised_by_channel() -> None:
    video = torch.rand(1, 3, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    mean, std = torch.arange(16.0), 1 + torch.arange(16.0)
    plain = build(mean=(0.0,) * 16, std=(1.0,) * 16)
    scaled = build(mean=tuple(mean.tolist()), std=tuple(std.tolist()))
    by_channel = (1, 16, 1, 1, 1)

    raw = plain.encode(video)
    assert torch.allclose(
        scaled.encode(video), (raw - mean.view(by_channel)) / std.view(by_channel)
    )
    assert torch.allclose(
        scaled.open_decoder().decode(scaled.encode(video)),
        plain.open_decoder().decode(raw),
        atol=1e-5,
    )


def test_a_video_that_fits_no_latents_is_refused() -> None:
    with pytest.raises(ValueError, match="1 frames of 12x16: both sides must be multiples of 8"):
        build().encode(torch.zeros(1, 3, 1, 16, 12))


def test_sizes_that_contradict_each_other_are_named() -> None:
    with pytest.raises(ConfigError, match="temporal_downsample must have 3 entries"):
        WanVAEConfig(temporal_downsample=(True,))
    with pytest.raises(ConfigError, match="mean and std must have 8 entries"):
        WanVAEConfig(z_dim=8)


@pytest.mark.parametrize("sizes", [{}, {"dim_mult": (1, 2), "temporal_downsample": (True,)}])
def test_the_table_is_what_is_built_and_what_a_stream_keeps(sizes: dict[str, Any]) -> None:
    vae = build(**sizes)
    stream = vae.open_decoder()
    stream.decode(latents(3, 2, 3))

    assert vae_table(vae.config) == {n: tuple(p.shape) for n, p in vae.named_parameters()}
    kept = sum(tensor.numel() for tensor in stream.kept.values())
    assert kept == sum(stream_numbers(vae.config, 2, 3))


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"temporal_downsample": (True, False, True)},
        {"dim_mult": (1, 2), "temporal_downsample": (True,)},
        {"dim_mult": (1, 2), "temporal_downsample": (False,)},
    ],
)
def test_a_video_decoded_in_tiles_is_the_one_decoded_whole(
    sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also at the edges of the tiles: they see all that a pixel depends on."""
    monkeypatch.setattr(wan_vae_config, "TILE", 24)
    vae, given = build(**sizes), latents(3, 5, 8)
    whole = vae.open_decoder().decode(given)
    late = vae.open_decoder(is_first=False).decode(given)

    stream, within = TiledStream(vae, is_first=True), TiledStream(vae, is_first=False)
    tiled = torch.cat([stream.decode(part) for part in given.split([2, 1], dim=2)], dim=2)

    assert (tiled - whole).abs().max() <= 1e-5  # of values up to 1
    assert (within.decode(given) - late).abs().max() <= 1e-5
    assert whole.std() > 0.1


def test_a_smaller_halo_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wan_vae_config, "TILE", 40)
    vae, given = build(), latents(2, 5, 10)
    assert vae.config.halo == 10
    monkeypatch.setattr(WanVAEConfig, "halo", 4)

    tiled = TiledStream(vae, is_first=True).decode(given)

    assert (tiled - vae.open_decoder().decode(given)).abs().max() > 1e-3


def test_spans_cover_a_side_once_and_are_equal() -> None:
    config = WanVAEConfig()
    for side in (16, 416, 424, 480, 832, 1280):
        spans = tile_spans(config, side)
        filled = [place for span in spans for place in range(span.start, span.stop)]
        assert filled == list(range(side // 2))
        lengths = {span.stop - span.start for span in spans}
        assert max(lengths) - min(lengths) <= 1
        assert max(lengths) <= 208
        assert all(0 <= span.first <= span.start < span.stop <= span.last for span in spans)


def test_what_a_tile_looks_back_at_waits_elsewhere() -> None:
    vae = build()
    stream = TiledStream(vae, is_first=True)
    stream.decode(latents(2, 2, 3))

    [tile] = stream.tiles
    waiting = sum(kept.numel() for kept in tile.waiting.values())
    assert tile.memory.kept == {}
    assert waiting == stream_numbers(vae.config, 2, 3)[1]
