from copy import deepcopy

import pytest
import torch
from torch import Tensor

from media_agent_magi.engine.causal import lora
from media_agent_magi.engine.causal.config import WanConfig
from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.engine.text.keys import ChunkText

SIZES = WanConfig(dim=24, num_heads=2, ffn_dim=32, num_layers=1, text_dim=8, text_len=4, freq_dim=8)
NAME = "base_model.model.blocks.0.ffn.2"


@pytest.fixture(scope="module")
def model() -> WanDiT:
    torch.manual_seed(0)
    model = WanDiT(SIZES).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.normal_(std=0.2)
    return model


def adapter() -> dict[str, Tensor]:
    return {
        f"{NAME}.lora_A.weight": torch.randn(4, 32),
        f"{NAME}.lora_B.weight": torch.randn(24, 4),
    }


def flow(model: WanDiT) -> Tensor:
    x = torch.randn(1, 16, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    text = model.read(torch.ones(1, 3, 8), torch.ones(1, 3))
    assert isinstance(text, ChunkText)
    t = model.condition(torch.tensor([[500.0, 500.0]]))
    return model.run(x, t, (text,), model.rotary(model.grid(x), 0, 2), ranges=[[(0, 8)]])


def test_an_adapter_is_the_same_beside_the_weights_and_merged_into_them(model: WanDiT) -> None:
    found = lora.read_adapter(adapter(), model, alpha=8.0)
    beside, merged = deepcopy(model), deepcopy(model)
    lora.apply(beside, found)
    lora.merge(merged, found)

    assert found["blocks.0.ffn.2"].scale == 2.0
    torch.testing.assert_close(flow(beside), flow(merged), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(flow(beside), flow(model), atol=1e-2)


def test_all_that_does_not_fit_is_named_at_once(model: WanDiT) -> None:
    wrong = {
        "other.weight": torch.zeros(1),
        "base_model.model.blocks.7.ffn.2.lora_A.weight": torch.zeros(4, 32),
        "base_model.model.blocks.0.ffn.0.lora_A.weight": torch.zeros(4, 24),
        f"{NAME}.lora_A.weight": torch.zeros(4, 32),
        f"{NAME}.lora_B.weight": torch.zeros(23, 4),
    }

    with pytest.raises(lora.AdapterError) as found:
        lora.read_adapter(wrong, model, alpha=8.0)
    for part in ("unknown tensor 'other.weight'", "no product 'blocks.7.ffn.2'", "lacks lora_B"):
        assert part in str(found.value)
    assert "'blocks.0.ffn.2' has shapes (23, 4) and (4, 32)" in str(found.value)
    with pytest.raises(lora.AdapterError, match="empty"):
        lora.read_adapter({}, model, alpha=8.0)
