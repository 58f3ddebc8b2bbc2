"""The modules of magi/tiny: the transformer and its own small text encoder."""

import torch
from torch import Tensor, nn

from media_agent_magi.engine.config import ModelConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.text.word_encoder import WordEncoder
from media_agent_magi.tiny.config import MODEL, SAMPLER, WORD_NUMBERS


class TinyModel(nn.Module):
    """What is trained together: `dit` and `text`."""

    def __init__(self, config: ModelConfig = MODEL, words: int = len(WORD_NUMBERS)) -> None:
        super().__init__()
        self.dit = VideoDiT(config)
        self.text = WordEncoder(words, config.caption_max_length, config.caption_channels)

    def null_mask(self) -> Tensor:
        """Return the mask (L,) of the positions that the null caption really has."""
        length = self.dit.config.caption_max_length
        return (torch.arange(length) < SAMPLER.null_caption_tokens).float()


@torch.no_grad()
def initialise(model: TinyModel, seed: int) -> None:
    """Set weights for training from nothing: calm branches, bands that fit the torus."""
    torch.manual_seed(seed)
    config = model.dit.config
    for name, parameter in model.dit.named_parameters():
        if parameter.dim() >= 2 and "null_caption" not in name:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    nn.init.normal_(model.dit.y_embedder.null_caption_embedding, std=1.0)
    nn.init.normal_(model.dit.final_linear.linear.weight, std=0.002)
    branch = (2 * config.num_layers) ** -0.5
    for name, parameter in model.dit.named_parameters():
        if "post_norm.weight" in name:
            parameter.fill_(branch - 1)
        if "ada_modulate" in name and name.endswith("bias"):
            parameter.fill_(1.0)
    # A row of four patches spans 20 units after scaling, so these repeat exactly around the torus;
    # the slowest band tells earlier from later chunks.
    turns = torch.tensor([1.0, 2.0, 0.5, 0.1])[: config.kv_channels // 8]
    model.dit.rope.bands.copy_(turns * 2 * torch.pi / 20)
