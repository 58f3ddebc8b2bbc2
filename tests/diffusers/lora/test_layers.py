"""What is added to a layer is the product of the two matrices, as strong as trained."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import save_file  # noqa: E402  # after the check that it is there

from media_agent.errors import InvalidRequestError  # noqa: E402
from media_agent_diffusers.lora.choice import ChosenLora  # noqa: E402
from media_agent_diffusers.lora.layers import loras_applied, read_pairs  # noqa: E402

DOWN, UP = torch.ones(2, 3), torch.ones(3, 2) * 0.5


def pipe_with_layer() -> Any:
    from diffusers import WanPipeline

    class Pipe(WanPipeline):  # type: ignore[misc]  # it has no types
        def __init__(self) -> None:
            linear = torch.nn.Linear(3, 3, bias=False)
            torch.nn.init.eye_(linear.weight)
            blocks = torch.nn.ModuleDict({"blocks": torch.nn.ModuleDict({"0": linear})})
            object.__setattr__(self, "transformer", blocks)

    return Pipe()


def lora(path: Path, tensors: dict[str, Any], weight: float = 1.0, **header: object) -> ChosenLora:
    metadata = {"lora_adapter_metadata": json.dumps(header)} if header else {"format": "pt"}
    save_file(tensors, path / "it.safetensors", metadata=metadata)
    return ChosenLora("it", path / "it.safetensors", "transformer", weight)


def pair() -> dict[str, Any]:
    key = "transformer.blocks.0.lora_"
    return {f"{key}A.weight": DOWN.clone(), f"{key}B.weight": UP.clone()}


@pytest.mark.parametrize(
    ("header", "weight", "added"),
    [
        ({}, 1.0, 3.0),
        ({}, -2.0, -6.0),
        ({"transformer.r": 2, "transformer.lora_alpha": 8}, 1.0, 12.0),
        ({"transformer.r": 2, "transformer.alpha_pattern": {"blocks.0": 1}}, 1.0, 1.5),
    ],
)
def test_the_strength_is_that_of_the_file_times_the_weight_asked_for(
    tmp_path: Path, header: dict[str, object], weight: float, added: float
) -> None:
    pipe = pipe_with_layer()
    layer = pipe.transformer["blocks"]["0"]

    with loras_applied(pipe, [lora(tmp_path, pair(), weight, **header)]):
        changed = layer(torch.ones(1, 3))

    assert torch.allclose(changed, torch.ones(1, 3) + added)
    assert torch.equal(layer(torch.ones(1, 3)), torch.ones(1, 3))


def test_weights_in_the_names_of_other_programs_are_understood(tmp_path: Path) -> None:
    from diffusers import WanPipeline, WanTransformer3DModel

    transformer = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        text_dim=8,
        ffn_dim=16,
        num_layers=1,
    )
    key = "diffusion_model.blocks.0.self_attn.q"
    tensors = {
        f"{key}.lora_down.weight": torch.ones(2, 24),
        f"{key}.lora_up.weight": torch.ones(24, 2),
        f"{key}.alpha": torch.tensor(1.0),
    }
    pipe = SimpleNamespace(transformer=transformer)
    pipe = type("Pipe", (WanPipeline,), {"__init__": lambda self: None})()
    object.__setattr__(pipe, "transformer", transformer)

    ((layer, _),) = read_pairs(pipe, lora(tmp_path, tensors))

    assert layer is transformer.blocks[0].attn1.to_q


def test_weights_follow_the_layer_to_its_numbers(tmp_path: Path) -> None:
    pipe = pipe_with_layer()
    layer = pipe.transformer["blocks"]["0"].to(torch.bfloat16)

    with loras_applied(pipe, [lora(tmp_path, pair())]):
        assert layer(torch.ones(1, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_something_that_is_no_lora_is_refused(tmp_path: Path) -> None:
    odd = {**pair(), "transformer.blocks.0.magnitude": torch.ones(1)}

    with pytest.raises(InvalidRequestError, match="magnitude is no LoRA weight"):
        list(read_pairs(pipe_with_layer(), lora(tmp_path, odd)))


KEY = "transformer.blocks.0."


@pytest.mark.parametrize(
    ("tensors", "header", "said"),
    [
        ({}, {}, "it has no LoRA weights"),
        (
            {f"{KEY}lora_A.weight": torch.ones(0, 3), f"{KEY}lora_B.weight": torch.ones(3, 0)},
            {},
            "no layer 'transformer.blocks.0' of this shape",
        ),
        ({**pair(), f"{KEY}lora_B.bias": torch.ones(5)}, {}, "of this shape"),
        ({**pair(), f"{KEY}alpha": torch.ones(3)}, {}, "does not fit"),
        ({**pair(), f"{KEY}alpha": torch.tensor(float("nan"))}, {}, "is no number"),
        (pair(), {"transformer.lora_alpha": "x"}, "does not fit"),
        (pair(), {"transformer.lora_alpha": [1]}, "does not fit"),
        (pair(), {"transformer.alpha_pattern": "x"}, "does not fit"),
    ],
)
def test_an_odd_file_is_refused_and_named(
    tmp_path: Path, tensors: dict[str, Any], header: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said) as caught:
        read_pairs(pipe_with_layer(), lora(tmp_path, tensors, **header))

    assert str(tmp_path / "it.safetensors") in caught.value.message


@pytest.mark.parametrize("metadata", ["[1]", "{not json", "[" * 50_000])
def test_odd_metadata_is_refused(tmp_path: Path, metadata: str) -> None:
    chosen = lora(tmp_path, {})
    save_file(pair(), chosen.file, metadata={"lora_adapter_metadata": metadata})

    with pytest.raises(InvalidRequestError, match="does not fit"):
        read_pairs(pipe_with_layer(), chosen)


def test_a_pipeline_that_takes_no_lora_weights_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="SimpleNamespace takes no LoRA weights"):
        list(read_pairs(SimpleNamespace(), lora(tmp_path, pair())))
