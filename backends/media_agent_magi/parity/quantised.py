"""Cases of the layers of eight bits."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from media_agent_magi.engine.fp8 import PerChannelLinear, PerTensorLinear
from media_agent_magi.parity.comparison import CaseError, Check, Comparison
from media_agent_magi.parity.golden import GoldenFolder, check_declared

EXACT = 0.0
KINDS: dict[str, type[PerTensorLinear | PerChannelLinear]] = {
    "per_tensor": PerTensorLinear,
    "per_channel": PerChannelLinear,
}


def quantised_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the layers of a file; a case's name is the kind of its layer."""
    spec, tensors = golden.spec(stem), golden.tensors(stem)
    for name in dict.fromkeys(key.partition(".")[0] for key in spec["tensors"]):

        def check(name: str = name) -> Comparison:
            if name not in KINDS:
                raise CaseError(f"no layer is called {name!r}; known: {', '.join(KINDS)}")
            done, own = Comparison(), tensors.under(f"{name}.")
            check_declared(done, spec, tensors, f"{name}.")
            x = own["in.x"]
            layer = KINDS[name](x.shape[-1], own["out.y"].shape[-1])
            layer.load_state_dict(own.under("param."))
            with torch.no_grad():
                inputs = layer.quantise(x)
                done.close("input", inputs.float(), own["out.x_quantised"].float(), EXACT)
                done.close("output", layer(x).float(), own["out.y"].float(), EXACT)
            return done

        yield f"{stem}/{name}", check
