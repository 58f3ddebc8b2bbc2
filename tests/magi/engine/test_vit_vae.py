from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from media_agent_magi.engine.autoencoders.tiling import Tiling, decode_tiled, encode_tiled
from media_agent_magi.engine.autoencoders.vit_vae import ViTVAE, ViTVAEConfig
from media_agent_magi.engine.config import ConfigError
from media_agent_magi.engine.weights_io import WeightsError, load_weights

GOLDEN = Path(__file__).parents[1] / "golden"
SIZES: dict[str, Any] = {
    "video_size": 8,
    "video_length": 8,
    "patch_size": 4,
    "patch_length": 4,
    "z_chans": 3,
    "embed_dim": 64,
    "depth": 1,
    "num_heads": 2,
    "mlp_ratio": 2.0,
}


@pytest.fixture
def vae() -> ViTVAE:
    torch.manual_seed(0)
    vae = ViTVAE(ViTVAEConfig.from_dict(SIZES)).eval().requires_grad_(False)
    for parameter in vae.parameters():
        parameter.normal_(std=0.2)
    return vae


class Resizer:
    """Codes by plain resizing, so that any way of tiling must give the same."""

    config = ViTVAEConfig.from_dict(SIZES)

    def encode(self, video: Tensor) -> Tensor:
        return video[:, :, ::4, ::4, ::4]

    def decode(self, latents: Tensor, *, image: bool = False) -> Tensor:
        return F.interpolate(latents, scale_factor=4.0)


def test_latents_and_video_have_the_sizes_of_each_other(vae: ViTVAE) -> None:
    video = torch.randn(2, 3, 12, 8, 20)
    latents = vae.encode(video)

    assert latents.shape == (2, 3, 3, 2, 5)
    assert vae.decode(latents).shape == video.shape


def test_an_image_stays_an_image(vae: ViTVAE) -> None:
    frame = torch.randn(1, 3, 1, 8, 8)
    latents = vae.encode(frame)

    assert latents.shape == (1, 3, 1, 2, 2)
    assert torch.equal(latents, vae.encode(frame.repeat(1, 1, 4, 1, 1)))
    assert vae.decode(latents, image=True).shape == frame.shape


@pytest.mark.parametrize(("image", "frames"), [(False, 16), (True, 13)])
def test_four_latent_frames_are_sixteen_frames_unless_the_last_tile_is_taken_for_an_image(
    vae: ViTVAE, image: bool, frames: int
) -> None:
    latents = torch.randn(1, 3, 4, 2, 2)

    video = decode_tiled(vae, latents, Tiling(12, 8, 8, spatial_overlap=0.0), image=image)
    assert video.shape[2] == frames


def test_sizes_that_do_not_divide_are_refused(vae: ViTVAE) -> None:
    with pytest.raises(ValueError, match=r"\(4, 8, 10\).* must divide by \(4, 4, 4\)"):
        vae.encode(torch.zeros(1, 3, 4, 8, 10))


def test_positions_are_resized_only_for_another_grid(vae: ViTVAE) -> None:
    native, wide = vae.encoder.positions((2, 2, 2)), vae.encoder.positions((2, 2, 6))

    assert native is vae.encoder.pos_embed
    assert wide.shape == (1, 1 + 24, 64)
    assert torch.equal(wide[:, 0], native[:, 0])


def test_unknown_settings_are_listed() -> None:
    with pytest.raises(ConfigError, match="unknown keys: colour, layers"):
        ViTVAEConfig.from_dict({**SIZES, "colour": 1, "layers": 2})


def test_settings_of_another_architecture_are_refused_all_at_once() -> None:
    with pytest.raises(ConfigError, match="with_cls_token must be True; use_rope must be False"):
        ViTVAEConfig.from_dict({**SIZES, "use_rope": True, "with_cls_token": False})
    with pytest.raises(ConfigError, match="embed_dim 48 is no multiple of 64"):
        ViTVAEConfig.from_dict({**SIZES, "embed_dim": 48})


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_tiles_of_what_codes_locally_join_without_a_seam(overlap: float) -> None:
    resizer = cast(ViTVAE, Resizer())
    tiling = Tiling(16, 32, 32, spatial_overlap=overlap, temporal_overlap=overlap)
    latents = torch.randn(1, 3, 9, 17, 30)
    video = resizer.decode(latents)

    torch.testing.assert_close(decode_tiled(resizer, latents, tiling), video)
    torch.testing.assert_close(encode_tiled(resizer, video, tiling), latents)


def test_a_seam_fades_from_one_tile_to_the_next() -> None:
    class Steps(Resizer):
        """Every tile has its own brightness."""

        calls = 0

        def decode(self, latents: Tensor, *, image: bool = False) -> Tensor:
            self.calls += 1
            return super().decode(torch.full_like(latents, self.calls - 1))

    tiling = Tiling(4, 8, 32, spatial_overlap=0.5)
    video = decode_tiled(cast(ViTVAE, Steps()), torch.zeros(1, 1, 1, 1, 8), tiling)

    expected = [0.0] * 16 + [k / 16 for k in range(16)]
    assert video[0, 0, 0, 0].tolist() == pytest.approx(expected)


def test_tiles_that_cannot_be_laid_are_refused(vae: ViTVAE) -> None:
    with pytest.raises(ValueError, match="overlaps must be in"):
        Tiling(4, 8, 8, spatial_overlap=1.0)
    with pytest.raises(ValueError, match="must be multiples of"):
        encode_tiled(vae, torch.zeros(1, 3, 4, 8, 8), Tiling(4, 8, 8, spatial_overlap=0.25))
    with pytest.raises(ValueError, match="too small"):
        decode_tiled(vae, torch.zeros(1, 3, 1, 2, 2), Tiling(4, 4, 4, spatial_overlap=0.5))


def test_weights_are_taken_as_they_are_in_the_dtype_of_the_model(
    vae: ViTVAE, tmp_path: Path
) -> None:
    state = {name: t.to(torch.bfloat16) for name, t in vae.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    other = ViTVAE(vae.config)
    load_weights(other, tmp_path)

    assert all(t.dtype == torch.float32 for t in other.state_dict().values())
    assert all(torch.equal(t, state[n].float()) for n, t in other.state_dict().items())


def test_shards_are_put_together(vae: ViTVAE, tmp_path: Path) -> None:
    names = sorted(vae.state_dict())
    shards = {"a.safetensors": names[:5], "b.safetensors": names[5:]}
    for file, part in shards.items():
        save_file({n: vae.state_dict()[n] for n in part}, tmp_path / file)
    places = ", ".join(f'"{n}": "{file}"' for file, part in shards.items() for n in part)
    (tmp_path / "model.safetensors.index.json").write_text(f'{{"weight_map": {{{places}}}}}')
    other = ViTVAE(vae.config)
    load_weights(other, tmp_path)

    assert all(torch.equal(t, vae.state_dict()[n]) for n, t in other.state_dict().items())


def test_weights_of_another_model_are_refused_before_anything_changes(
    vae: ViTVAE, tmp_path: Path
) -> None:
    state = load_file(GOLDEN / "vae_p4.weights.safetensors")
    del state["decoder.cls_token"]
    state["extra"] = torch.zeros(1)
    file = tmp_path / "other.safetensors"
    save_file(state, file)
    before = vae.encoder.patch_embed.proj.weight.clone()

    with pytest.raises(WeightsError) as refused:
        load_weights(vae, file)
    text = str(refused.value)
    assert "1 missing: decoder.cls_token" in text
    assert "unexpected: decoder.blocks.1.attn.proj.bias" in text
    assert "of another shape: decoder.blocks.0.attn.proj.bias (128,), not (64,)" in text
    assert torch.equal(vae.encoder.patch_embed.proj.weight, before)


def test_damaged_and_absent_weights_are_named(vae: ViTVAE, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"no tensors in here")

    with pytest.raises(WeightsError, match=r"cannot read .*damaged"):
        load_weights(vae, damaged)
    with pytest.raises(WeightsError, match=r"no weights at .*nowhere"):
        load_weights(vae, tmp_path / "nowhere")
