import pytest
import torch

from media_agent_magi.engine.config import ConvVAEConfig
from media_agent_magi.engine.conv_vae import ConvVAE, to_uint8

CONFIG = ConvVAEConfig(latent_channels=4, width=8, inner_width=16)


@pytest.fixture
def vae() -> ConvVAE:
    torch.manual_seed(0)
    vae = ConvVAE(CONFIG)
    for parameter in vae.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return vae.eval()


@torch.no_grad()
def test_latents_are_4_times_shorter_and_8_times_smaller(vae: ConvVAE) -> None:
    latents = vae.encode(torch.rand(2, 3, 8, 64, 32))

    assert latents.shape == (2, 4, 2, 8, 4)
    assert vae.decode(latents).shape == (2, 3, 8, 64, 32)


@torch.no_grad()
def test_rolling_the_picture_by_a_cell_rolls_the_latents(vae: ConvVAE) -> None:
    video = torch.rand(1, 3, 4, 32, 32)
    latents = vae.encode(video)

    rolled = vae.encode(video.roll((8, 16), (3, 4)))

    assert torch.allclose(rolled, latents.roll((1, 2), (3, 4)), atol=1e-5)
    decoded = vae.decode(latents.roll((1, 2), (3, 4)))
    assert torch.allclose(decoded, vae.decode(latents).roll((8, 16), (3, 4)), atol=1e-5)


@torch.no_grad()
def test_groups_of_four_frames_do_not_touch_one_another(vae: ConvVAE) -> None:
    video = torch.rand(1, 3, 12, 32, 32)

    whole = vae.encode(video)

    assert torch.allclose(whole[:, :, 1:2], vae.encode(video[:, :, 4:8]), atol=1e-4)
    assert torch.allclose(vae.decode(whole)[:, :, 4:8], vae.decode(whole[:, :, 1:2]), atol=1e-4)


def test_a_size_that_cannot_be_encoded_is_named(vae: ConvVAE) -> None:
    with pytest.raises(ValueError, match="5 frames of 32x20"):
        vae.encode(torch.rand(1, 3, 5, 20, 32))


def test_pixels_are_clamped_and_cut() -> None:
    pixels = to_uint8(torch.tensor([-2.0, -1.0, 0.0, 0.999, 1.0, 3.0]))

    assert pixels.tolist() == [0, 0, 127, 254, 255, 255]
