"""Names and shapes of the released parts: by our tables, and as the parts are built."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import nn

from media_agent_magi.engine.autoencoders.wan_vae import WanVAE
from media_agent_magi.engine.autoencoders.wan_vae_config import WanVAEConfig
from media_agent_magi.engine.causal.config import WanConfig
from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.loading.stream import on_meta
from media_agent_magi.parity.comparison import CaseError, Check, Comparison
from media_agent_magi.parity.golden import Fields, GoldenFolder
from media_agent_magi.wan_causal.config import SELF_FORCING
from media_agent_magi.wan_causal.table import UMT5_XXL, Shapes, transformer_table
from media_agent_magi.wan_causal.umt5 import build_umt5, rename


def parameter_table_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the tables of a file, by the name of the part."""
    compare: dict[str, Callable[[Comparison, Fields], None]] = {
        "transformer": _transformer,
        "vae": _vae,
        "umt5": _umt5,
    }
    for name, entry in golden.spec(stem).items():
        if not isinstance(entry, Fields):
            continue

        def check(name: str = name, entry: Fields = entry) -> Comparison:
            part = next((part for part in compare if name.startswith(part)), None)
            if part is None:
                raise CaseError(f"nobody knows the part {name!r}")
            done = Comparison()
            done.equal("tensors", len(entry["table"]), entry["tensors"])
            numbers = sum(math.prod(shape) for shape in entry["table"].values())
            done.equal("numbers", numbers, entry["parameters"])
            compare[part](done, entry)
            return done

        yield f"{stem}/{name}", check


def _transformer(done: Comparison, entry: Fields) -> None:
    config: WanConfig = SELF_FORCING.model
    wanted = _shapes(entry)
    done.equal("table", _differences(transformer_table(config), wanted), [])
    built = on_meta(lambda: WanDiT(config))
    done.equal("as built", _differences(_parameters(built), wanted), [])


def _vae(done: Comparison, entry: Fields) -> None:
    vae = on_meta(lambda: WanVAE(WanVAEConfig()))
    done.equal("as built", _differences(_parameters(vae), _shapes(entry)), [])
    if "decoder_parameters" in entry:
        decoder = (p for n, p in vae.named_parameters() if n.startswith(("decoder.", "conv2.")))
        done.equal("decoder", sum(p.numel() for p in decoder), entry["decoder_parameters"])


def _umt5(done: Comparison, entry: Fields) -> None:
    wanted = _shapes(entry)
    done.equal("table", _differences(UMT5_XXL.table(), wanted), [])
    renamed = {rename(name): shape for name, shape in wanted.items()}
    built = _parameters(build_umt5(UMT5_XXL, torch.bfloat16))
    done.equal("as built", _differences(built, renamed), [])


def _shapes(entry: Fields) -> Shapes:
    return {name: tuple(shape) for name, shape in entry["table"].items()}


def _parameters(model: nn.Module) -> Shapes:
    return {name: tuple(each.shape) for name, each in model.named_parameters()}


def _differences(got: Shapes, wanted: Shapes) -> list[str]:
    """Return the names that one of both lacks, or has in another shape."""
    return sorted(name for name in got | wanted if got.get(name) != wanted.get(name))
