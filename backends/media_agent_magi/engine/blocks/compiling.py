"""Elementwise work as compiled functions, for GPUs: norms, gates, rotation, activation.

What lies between two products is bound by memory there, and one pass does it instead of several.
On a CPU compiling takes longer than it saves. Inductor keeps what it compiled on disk, in
TORCHINDUCTOR_CACHE_DIR.
"""

import torch

from media_agent_magi.engine.blocks.attention import Attention, rotated
from media_agent_magi.engine.blocks.layers import MLP, gated_sum
from media_agent_magi.engine.dit import Block, VideoDiT


def compile_elementwise(model: VideoDiT, *, backend: str = "inductor") -> None:
    """Let all blocks use the same compiled functions; each shape is compiled at its first use."""
    join, rotate = (torch.compile(f, backend=backend, dynamic=False) for f in (gated_sum, rotated))
    activations = {}
    for module in model.modules():
        match module:
            case Block():
                module.gated_sum = join
            case Attention():
                module.rotated = rotate
            case MLP():
                plain = module.activate
                if plain not in activations:
                    activations[plain] = torch.compile(plain, backend=backend, dynamic=False)
                module.activate = activations[plain]
            case _:
                pass


@torch.inference_mode()
def warm_up(model: VideoDiT, shape: tuple[int, int, int, int], window: int) -> None:
    """Run the forwards of a steady window once, without and with a clean chunk in front.

    Args:
        model: The transformer, where it is to run.
        shape: Channels, frames, rows and columns of the latents of a chunk.
        window: How many chunks are in work.
    """
    device, config = model.null_caption().device, model.config
    channels, frames, rows, columns = shape
    for chunks in (window, window + 1):
        x = torch.zeros(1, channels, chunks * frames, rows, columns, device=device)
        tokens = x[0, 0].numel() // (config.t_patch_size * config.patch_size**2) // chunks
        mask = torch.ones(chunks, config.caption_max_length, device=device)
        model(
            x,
            torch.full((1, chunks), 0.5, device=device),
            model.null_caption().expand(chunks, -1, -1),
            mask,
            kv_ranges=[(chunk * tokens, (chunk + 1) * tokens) for chunk in range(chunks)],
        )
