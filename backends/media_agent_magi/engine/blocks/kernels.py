"""Softmax attention by several kernels, equal up to rounding; which one is the caller's to say."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import cast
from warnings import catch_warnings, simplefilter

import torch
from torch import Tensor
from torch.backends import cuda
from torch.nn import functional as F

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


def _cudnn(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.aten._scaled_dot_product_cudnn_attention(q, k, v, bias, False)[0]


def _flash(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    assert bias is None, "it is asked before whether it can do that"
    return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v)[0]


WITHOUT_SCORES: dict[str, tuple[Callable[..., bool], Kernel]] = {
    "cuDNN": (cuda.can_use_cudnn_attention, _cudnn),
    "FlashAttention": (cuda.can_use_flash_attention, _flash),
}
"""Kernels of CUDA that hold no scores, the faster first: whether one can do it, and what does."""

FEW_KEYS = 1024
"""Keys below which speed does not count. cuDNN makes a plan for every new shape, for a part of a
second; captions have many lengths."""


def pinned(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Use the first kernel of `WITHOUT_SCORES` that can do this, of few keys the last; no other.

    Left alone, torch silently takes one that holds all scores at once where no other fits, which is
    slow and needs gigabytes. `sdpa_kernel`, which forbids that one, forbids it to all threads: the
    autoencoder, which decodes in another, has wider heads than these kernels take.

    Raises:
        KernelError: None of them can.
    """
    asked = cuda.SDPAParams(q, k, v, bias, 0.0, False, q.shape[1] != k.shape[1])
    kernels = list(WITHOUT_SCORES.values())
    for can, attend in reversed(kernels) if k.shape[2] < FEW_KEYS else kernels:
        if can(asked):
            return attend(q, k, v, bias)
    with catch_warnings(record=True) as said:
        simplefilter("always")
        for can, _ in WITHOUT_SCORES.values():
            can(asked, debug=True)  # says why not, as warnings
    raise KernelError(
        f"no attention of {' or '.join(WITHOUT_SCORES)} for {q.dtype} on {q.device}, q "
        f"{tuple(q.shape)}, k {tuple(k.shape)}{'' if bias is None else ', masked'}: "
        + " ".join(str(each.message).partition(" (Triggered")[0] for each in said)
    )


@cache
def multiplies_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 itself."""
    checks = (getattr(torch.cpu, name, None) for name in BFLOAT16_CHECKS)
    return any(check is not None and check() for check in checks)


def flexible(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Use torch's FlexAttention: compiled on a GPU, written out elsewhere.

    Raises:
        KernelError: It cannot be compiled, or not for this.
    """
    from torch._dynamo.exc import TorchDynamoException

    added = None if bias is None else bias.expand(*q.shape[:-1], k.shape[2])

    def add(score: Tensor, n: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        assert added is not None
        return score + added[n, head, query, key]

    try:
        return _flex(compiled=q.is_cuda)(
            q, k, v, score_mod=None if added is None else add, enable_gqa=q.shape[1] != k.shape[1]
        )
    except (TorchDynamoException, RuntimeError, ValueError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise KernelError(f"no FlexAttention for {q.dtype} on {q.device}: {error}") from error


@cache
def _flex(*, compiled: bool) -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import flex_attention

    made = torch.compile(flex_attention, dynamic=True) if compiled else flex_attention
    return cast("Callable[..., Tensor]", made)


def magi_attention(masked: Kernel) -> Kernel:
    """Return the kernel of MagiAttention 1.0.5 and later, for GPUs that it is built for.

    It adds nothing to scores: captions of several lengths at once are left to `masked`.

    Raises:
        KernelError: It is not installed; or, when it is called, it cannot do what is asked.
    """
    try:
        compute = importlib.import_module("magi_attention.api").flex_flash_attn_func
    except (ImportError, AttributeError) as error:
        raise KernelError(
            f"no MagiAttention: {error}; it is built from github.com/SandAI-org/MagiAttention"
        ) from error

    def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        if bias is not None:
            return masked(q, k, v, bias)
        rows = [x.transpose(1, 2).flatten(0, 1).contiguous() for x in (q, k, v)]  # N*S heads dh
        spans = [_spans(len(x), x.shape[2], x.device) for x in (q, k)]
        try:
            out: Tensor = compute(*rows, q_ranges=spans[0], k_ranges=spans[1])[0]
        except (RuntimeError, AssertionError, TypeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise KernelError(f"no MagiAttention for {q.dtype} on {q.device}: {error}") from error
        return out.to(q.dtype).unflatten(0, (len(q), -1)).transpose(1, 2)

    return attend


def _spans(samples: int, tokens: int, device: torch.device) -> Tensor:
    """Return where the tokens of each sample begin and end, (N, 2)."""
    edges = torch.arange(samples + 1, dtype=torch.int32, device=device) * tokens
    return torch.stack([edges[:-1], edges[1:]], dim=1)


def kernel_for(device: torch.device, name: str = "sdpa") -> Kernel:
    """Return the kernel of a name to be used on a device: sdpa, flex or magi.

    On CUDA sdpa is those kernels alone that hold no scores.

    Raises:
        KernelError: It is not here.
    """
    sdpa: Kernel = pinned if device.type == "cuda" else rounded_once
    match name:
        case "flex":
            return flexible
        case "magi":
            return magi_attention(masked=sdpa)
        case _:
            return sdpa
