"""Softmax attention by several kernels, equal up to rounding; which one is the caller's to say."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

Kernel = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""Takes q (N, Hq, S, dh), k and v (N, G, S', dh), and what is added to the scores, or None."""

HALF = (torch.bfloat16, torch.float16)
MOST_SCORES = 2**25
"""Bytes that the scores of one call may take."""


BFLOAT16_CHECKS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


class KernelError(RuntimeError):
    """No kernel of those allowed can do this; the message says for what."""


def fused(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Use the fused kernel that torch chooses."""
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=bias, enable_gqa=q.shape[1] != k.shape[1]
    )


def rounded_once(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute numbers of 16 bits in float32 and round them once, as the reference does.

    To the bit, as long as all scores of a call fit into a small piece of memory.
    """
    if q.dtype not in HALF:
        return fused(q, k, v, bias)
    bias = None if bias is None else bias.float()
    scores = 4 * q.shape[:-1].numel() * k.shape[2]  # bytes
    kernel = written_out if scores <= MOST_SCORES else fused
    return kernel(q.float(), k.float(), v.float(), bias).to(q.dtype)


def written_out(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Write the products out, for training.

    The backward pass of the fused kernel takes about half of a whole training step on a CPU.
    """
    repeats = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1) @ v


def pinned(*backends: SDPBackend) -> Kernel:
    """Return a kernel that uses one of these, the first that can, and no other.

    Left alone, torch silently takes one that holds all scores at once where no other fits, which
    is slow and needs gigabytes.

    Raises:
        KernelError: When it is called, and none of them can do what is asked.
    """

    def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        try:
            with sdpa_kernel(list(backends), set_priority=True):
                return F.scaled_dot_product_attention(
                    q, k, v, attn_mask=bias, enable_gqa=q.shape[1] != k.shape[1]
                )
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            names = ", ".join(backend.name for backend in backends)
            raise KernelError(
                f"no attention of {names} for {q.dtype} on {q.device}, q {tuple(q.shape)}, "
                f"k {tuple(k.shape)}{'' if bias is None else ', masked'}: {error}"
            ) from error

    return attend


@cache
def multiplies_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 itself."""
    checks = (getattr(torch.cpu, name, None) for name in BFLOAT16_CHECKS)
    return any(check is not None and check() for check in checks)


def kernel_for(device: torch.device) -> Kernel:
    """Return the kernel to be used on a device: on CUDA those alone that hold no scores."""
    if device.type == "cuda":
        return pinned(SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION)
    return rounded_once
