"""Names and shapes of all weights of Wan 2.1's parts, without building them. No torch here.

They let folders be checked, and memory be planned, before torch is imported; tests compare them
with the parts themselves.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from media_agent_magi.engine.causal.config import WanConfig
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.headers import WeightFiles

Shapes = dict[str, tuple[int, ...]]

PATCH = (1, 2, 2)
MODULATIONS, HEAD_MODULATIONS = 6, 2


def transformer_table(config: WanConfig) -> Shapes:
    """Return all weights of the transformer by name."""
    table = outer_table(config)
    for layer in range(config.num_layers):
        table |= {f"blocks.{layer}.{name}": s for name, s in block_table(config).items()}
    return table


def outer_table(config: WanConfig) -> Shapes:
    """Return the weights outside of the blocks."""
    d, patch = config.dim, PATCH
    return {
        "patch_embedding.weight": (d, config.in_dim, *patch),
        "patch_embedding.bias": (d,),
        **dict(_linear("text_embedding.0", d, config.text_dim)),
        **dict(_linear("text_embedding.2", d, d)),
        **dict(_linear("time_embedding.0", d, config.freq_dim)),
        **dict(_linear("time_embedding.2", d, d)),
        **dict(_linear("time_projection.1", MODULATIONS * d, d)),
        "head.modulation": (1, HEAD_MODULATIONS, d),
        **dict(_linear("head.head", math.prod(patch) * config.out_dim, d)),
    }


def block_table(config: WanConfig) -> Shapes:
    """Return the weights of one block, by their names in it."""
    d = config.dim
    table: Shapes = {"modulation": (1, MODULATIONS, d), "norm3.weight": (d,), "norm3.bias": (d,)}
    for name, shape in linear_table(config).items():
        table |= dict(_linear(name, *shape))
    for attention in ("self_attn", "cross_attn"):
        table |= {f"{attention}.norm_q.weight": (d,), f"{attention}.norm_k.weight": (d,)}
    return table


def linear_table(config: WanConfig) -> dict[str, tuple[int, int]]:
    """Return the outputs and inputs of the linear layers of a block, which an adapter changes."""
    d, ffn = config.dim, config.ffn_dim
    attentions = (f"{each}.{part}" for each in ("self_attn", "cross_attn") for part in "qkvo")
    return {**dict.fromkeys(attentions, (d, d)), "ffn.0": (ffn, d), "ffn.2": (d, ffn)}


def adapter_table(config: WanConfig, rank: int) -> Shapes:
    """Return all weights of an adapter, by the name of the layer they change and of their half."""
    return {
        f"blocks.{layer}.{name}.{half}.weight": shape
        for layer in range(config.num_layers)
        for name, (outputs, inputs) in linear_table(config).items()
        for half, shape in (("lora_A", (rank, inputs)), ("lora_B", (outputs, rank)))
    }


def rank_of(name: str, shape: tuple[int, ...]) -> int:
    """Return the rank of an adapter by one of its halves; 0: it is none."""
    if len(shape) != 2:
        return 0
    return shape[0] if name.endswith("lora_A.weight") else shape[1]


@dataclass(frozen=True, slots=True)
class Umt5Sizes:
    """Sizes of a UMT5 encoder; every layer has a table of `buckets` distances by heads."""

    layers: int
    heads: int
    vocabulary: int
    width: int
    inner: int
    feed_forward: int
    buckets: int

    @classmethod
    def read(cls, files: WeightFiles) -> Self:
        """Take the sizes from the shapes in a file with the names of Wan 2.1.

        Raises:
            WeightsError: It is another model.
        """
        found = {name: fact.shape for name, fact in files.tensors.items()}
        try:
            vocabulary, width = found["token_embedding.weight"]
            buckets, heads = found["blocks.0.pos_embedding.embedding.weight"]
            sizes = cls(
                layers=len({name.split(".")[1] for name in found if name.startswith("blocks.")}),
                heads=heads,
                vocabulary=vocabulary,
                width=width,
                inner=found["blocks.0.attn.q.weight"][0],
                feed_forward=found["blocks.0.ffn.fc1.weight"][0],
                buckets=buckets,
            )
        except (KeyError, ValueError) as error:
            raise WeightsError(f"{files.folder} holds no UMT5 encoder of Wan 2.1") from error
        if sizes.inner % heads:
            raise WeightsError(f"{files.folder}: {sizes.inner} is no multiple of {heads} heads")
        return sizes

    def table(self) -> Shapes:
        """Return all weights by name."""
        d, inner, ffn = self.width, self.inner, self.feed_forward
        block: Shapes = {
            "norm1": (d,),
            "norm2": (d,),
            "attn.q": (inner, d),
            "attn.k": (inner, d),
            "attn.v": (inner, d),
            "attn.o": (d, inner),
            "pos_embedding.embedding": (self.buckets, self.heads),
            "ffn.gate.0": (ffn, d),
            "ffn.fc1": (ffn, d),
            "ffn.fc2": (d, ffn),
        }
        return {
            "token_embedding.weight": (self.vocabulary, d),
            "norm.weight": (d,),
            **{
                f"blocks.{layer}.{name}.weight": shape
                for layer in range(self.layers)
                for name, shape in block.items()
            },
        }


UMT5_XXL = Umt5Sizes(
    layers=24, heads=64, vocabulary=256384, width=4096, inner=4096, feed_forward=10240, buckets=32
)


def count_numbers(table: Shapes) -> int:
    """Count the numbers of all weights of a table."""
    return sum(math.prod(shape) for shape in table.values())


def _linear(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)
