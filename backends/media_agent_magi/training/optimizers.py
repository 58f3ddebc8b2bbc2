"""Muon for matrices, AdamW for everything else, both driven by one factor."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """Compute in bfloat16, but on a CPU in float32: few CPUs have instructions for the former."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu")


class Optimizers:
    """Steps every parameter of a model that takes gradients.

    Args:
        model: What is trained.
        is_matrix: Says by name and value which parameters Muon trains. Kernels of convolutions
            count as matrices, outputs by all inputs.
        muon_rate: Peak learning rate, scaled to match AdamW's.
        adam_rate: Peak learning rate of all other parameters.
    """

    def __init__(
        self,
        model: nn.Module,
        is_matrix: Callable[[str, Tensor], bool],
        *,
        muon_rate: float,
        adam_rate: float,
        betas: tuple[float, float] = (0.9, 0.98),
    ) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        chosen = [p for name, p in named if is_matrix(name, p)]
        others = [p for name, p in named if not is_matrix(name, p)]
        # Muon takes matrices only: these share their storage with the kernels.
        self._views = [(p, nn.Parameter(p.detach().view(len(p), -1))) for p in chosen]
        muon = torch.optim.Muon(
            [view for _, view in self._views], weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
        )
        adam = torch.optim.AdamW(others, betas=betas, weight_decay=0.0)
        self._members: list[tuple[torch.optim.Optimizer, float]] = [
            (muon, muon_rate),
            (adam, adam_rate),
        ]

    def step(self, factor: float) -> None:
        """Step with the peak rates times `factor`, and clear the gradients."""
        for parameter, view in self._views:
            view.grad = None if parameter.grad is None else parameter.grad.reshape(view.shape)
            parameter.grad = None
        for optimizer, rate in self._members:
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
            with _Float32OnCPU():
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)


class _Float32OnCPU(TorchFunctionMode):
    """Lets Muon orthogonalise in float32 on CPUs, where bfloat16 can be twenty times slower.

    torch's Muon has no setting for it; should it stop calling `bfloat16()`, nothing but the speed
    is lost.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is Tensor.bfloat16 and args[0].device.type == "cpu":
            return args[0].to(torch.float32, copy=True)
        return func(*args, **kwargs or {})
