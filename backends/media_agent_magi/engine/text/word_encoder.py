"""A text encoder for closed vocabularies: word embedding, positions, one transformer layer."""

import torch
from torch import Tensor, nn

PADDING = 0


class WordEncoder(nn.Module):
    """Turns word numbers into text rows for `VideoDiT`; 0 is padding."""

    def __init__(self, words: int, length: int, width: int, heads: int = 4) -> None:
        super().__init__()
        self.length = length
        self.embedding = nn.Embedding(words + 1, width, padding_idx=PADDING)
        self.position = nn.Parameter(torch.randn(length, width) * 0.02)
        self.layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True,
            norm_first=True,
        )  # fmt: skip
        self.norm = nn.LayerNorm(width)

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Encode (B, L) word numbers as rows (B, L, width) and their mask (B, L), 1 = a word.

        A row without any word reads as one padding token, so that no attention is empty.
        """
        mask = words != PADDING
        seen = mask.clone()
        seen[:, 0] = True
        hidden = self.layer(self.embedding(words) + self.position, src_key_padding_mask=~seen)
        return self.norm(hidden), seen.to(hidden.dtype)
