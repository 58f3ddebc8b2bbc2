import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from media_agent_magi.engine.config import ModelConfig, SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.generating.engine import Engine
from media_agent_magi.tiny.loader import load_tiny

# What is tested here are modules of the engine by themselves, whose caller says how many threads
# compute. Videos have `Computing` for that; test_computing.py shows that nothing set here matters.
torch.set_num_threads(1)


class SmallVideos:
    """Videos of a random model of two layers; chunks of 2 latent frames of 4x4."""

    shape = (4, 2, 4, 4)
    sizes = ModelConfig(
        num_layers=2,
        hidden_size=48,
        ffn_hidden_size=64,
        num_attention_heads=2,
        num_query_groups=1,
        kv_channels=24,
        in_channels=4,
        out_channels=4,
        caption_channels=8,
        caption_max_length=6,
    )

    def __init__(self) -> None:
        self.model = self.random_model(self.sizes)

    @staticmethod
    def random_model(sizes: ModelConfig) -> VideoDiT:
        torch.manual_seed(0)
        model = VideoDiT(sizes).eval().requires_grad_(False)
        for name, parameter in model.named_parameters():
            if "bands" not in name:
                parameter.normal_(std=0.2)
        return model

    def row(self, number: int) -> TextRow:
        generator = torch.Generator().manual_seed(number)
        return TextRow(torch.randn(6, 8, generator=generator), torch.ones(6))

    def prefix(self, frames: int) -> Tensor:
        return torch.randn(1, 4, frames, 4, 4, generator=torch.Generator().manual_seed(1))

    def sampler(self, config: SamplerConfig, made: int = 6, **options: Any) -> ChunkSampler:
        options.setdefault("noise", seeded_noise(7, self.shape))
        options.setdefault("text", lambda chunk: self.row(chunk) if chunk < made else None)
        return ChunkSampler(self.model, config, **options)

    def video(self, config: SamplerConfig, made: int = 6, **options: Any) -> list[Tensor]:
        return [chunk.latents for chunk in self.sampler(config, made, **options)]


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What refers to itself stays, as it may for long in a process that makes few objects."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session")
def small_videos() -> SmallVideos:
    return SmallVideos()


@pytest.fixture(scope="session")
def engine(raw_weights: Path) -> Engine:
    return load_tiny(raw_weights)
