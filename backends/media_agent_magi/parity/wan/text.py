"""Cases of the UMT5 encoder and of the cleaning of its prompts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from media_agent_magi.loading.cleaning import CleaningError, clean_prompt
from media_agent_magi.loading.headers import WeightFiles, read_file
from media_agent_magi.parity.comparison import SINGLE, Check, Comparison, NotHereError
from media_agent_magi.parity.golden import GoldenFolder, check_declared, note_uncompared
from media_agent_magi.wan_causal.table import Umt5Sizes
from media_agent_magi.wan_causal.umt5 import load_umt5


def umt5_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the case of a file."""

    def check() -> Comparison:
        spec, tensors = golden.spec(stem), golden.tensors(stem)
        done = Comparison()
        check_declared(done, spec, tensors)
        path = golden.weights(spec)
        files = WeightFiles(path, (path,), dict(read_file(path)), stem)
        try:
            model = load_umt5(files, Umt5Sizes.read(files), torch.float32).eval()
        except ImportError as error:
            raise NotHereError(f"the encoder needs {error.name}") from error
        mask = tensors["in.mask"]
        with torch.inference_mode():
            rows = model(input_ids=tensors["in.ids"], attention_mask=mask)[0] * mask[..., None]
        done.close("rows", rows, tensors["out.prompt_embeds"], SINGLE)
        if (wanted := tensors.get("mid.position_bucket")) is not None:
            attention: Any = model.get_submodule("encoder.block.0.layer.0.SelfAttention")
            places = torch.arange(wanted.shape[0])
            buckets = attention._relative_position_bucket(places[None] - places[:, None])
            done.equal("buckets", buckets.tolist(), wanted.tolist())
        note_uncompared(done, set(tensors.under("out.")) - {"prompt_embeds"})
        return done

    yield stem, check


def prompt_cleaning_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the prompts of a file; each is named by its number."""
    for number, (given, cleaned) in enumerate(golden.spec(stem)["pairs"]):

        def check(given: str = given, cleaned: str = cleaned) -> Comparison:
            done = Comparison()
            try:
                done.equal("prompt", clean_prompt(given), cleaned)
            except CleaningError as error:
                raise NotHereError(str(error)) from error
            return done

        yield f"{stem}/{number}", check
