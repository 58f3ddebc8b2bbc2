"""Weights of the right shape but without training, for tests of everything around them."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def raw_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from media_agent_magi.engine.config import ConvVAEConfig
    from media_agent_magi.engine.conv_vae import ConvVAE
    from media_agent_magi.tiny_model import TinyModel, initialise
    from media_agent_magi.training.checkpoint import Average, save
    from media_agent_magi.training.export import export_weights

    run, folder = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    vae, model = ConvVAE(ConvVAEConfig()), TinyModel()
    initialise(model, 0)
    save(run / "autoencoder.safetensors", vae, Average(vae, 0.9), {"step": 0})
    save(run / "transformer.safetensors", model, Average(model, 0.9), {"step": 0})
    export_weights(run, folder)
    return folder
