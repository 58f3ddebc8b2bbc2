import pytest
import torch
from torch.nn import functional as F

from media_agent_magi.engine.autoencoders.conv_vae import ConvVAE, Readout, to_uint8
from media_agent_magi.engine.config import ConvVAEConfig

CONFIG = ConvVAEConfig(latent_channels=4, width=8, inner_width=16, outer_width=4)


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
def test_rolling_the_image_by_a_cell_rolls_the_latents(vae: ConvVAE) -> None:
    video = torch.rand(1, 3, 4, 32, 32)
    latents = vae.encode(video)

    rolled = vae.encode(video.roll((8, 16), (3, 4)))

    assert torch.allclose(rolled, latents.roll((1, 2), (3, 4)), atol=1e-5)
    decoded = vae.decode(latents.roll((1, 2), (3, 4)))
    assert torch.allclose(decoded, vae.decode(latents).roll((8, 16), (3, 4)), atol=1e-5)


@torch.no_grad()
def test_groups_of_four_frames_are_encoded_on_their_own(vae: ConvVAE) -> None:
    video = torch.rand(1, 3, 12, 32, 32)

    alone = vae.encode(video[:, :, 4:8])

    assert torch.allclose(vae.encode(video)[:, :, 1:2], alone, atol=1e-4)


@torch.no_grad()
def test_a_video_decoded_in_pieces_equals_the_video_decoded_at_once(vae: ConvVAE) -> None:
    latents = torch.randn(1, 4, 3, 4, 4)

    rest = vae.decode(latents[:, :, 1:], before=latents[:, :, :1])

    assert torch.allclose(vae.decode(latents)[:, :, 4:], rest, atol=1e-4)
    assert not torch.allclose(vae.decode(latents[:, :, 1:]), rest, atol=1e-2)


@torch.no_grad()
def test_a_new_readout_is_linear_until_it_is_trained() -> None:
    readout = Readout(4, 8, 6)
    features = torch.randn(2, 4, 5, 5)

    assert torch.equal(readout(features), readout.linear(F.silu(features)))
    torch.nn.init.normal_(readout.output.weight)
    assert not torch.allclose(readout(features), readout.linear(F.silu(features)), atol=0.1)


def test_a_size_that_cannot_be_encoded_is_named(vae: ConvVAE) -> None:
    with pytest.raises(ValueError, match="5 frames of 32x20"):
        vae.encode(torch.rand(1, 3, 5, 20, 32))


def test_pixels_are_clamped_and_cut() -> None:
    pixels = to_uint8(torch.tensor([-2.0, -1.0, 0.0, 0.999, 1.0, 3.0]))

    assert pixels.tolist() == [0, 0, 127, 254, 255, 255]
