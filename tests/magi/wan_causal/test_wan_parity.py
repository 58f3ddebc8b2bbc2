"""The parts of the causal models against golden data, and against golden data that is wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from media_agent_magi.parity.__main__ import main

GOLDEN = Path(__file__).parent / "golden"


def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    main([str(folder)])
    return capsys.readouterr().out.splitlines()


def take(folder: Path, *stems: str) -> Path:
    for stem in stems:
        for file in GOLDEN.glob(f"{stem}.*"):
            shutil.copy(file, folder)
    return folder


def change_tensors(file: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def change_spec(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    spec = json.loads(file.read_text())
    change(spec)
    file.write_text(json.dumps(spec))


@pytest.mark.parametrize(
    ("stems", "cases"),
    [
        (("vae_t",), 4),
        (("umt5_t",), 1),
        (("parameter_tables",), 3),
        (("prompt_cleaning",), 8),
    ],
)
def test_the_parts_agree_with_the_golden_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stems: tuple[str, ...], cases: int
) -> None:
    lines = run(take(tmp_path, *stems), capsys)

    assert lines[-1] == f"parity: {cases} passed, 0 failed, 0 later", lines


def test_wrong_numbers_of_the_autoencoder_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = (
        "decode.out.pixels_unclamped",
        "streaming.mid.cache_conv1_after_0",
        "encode.out.latent",
        "encode_image.out.latent",
    )
    take(tmp_path, "vae_t")
    file = tmp_path / "vae_t.cases.safetensors"
    change_tensors(file, lambda t: [t[name].mul_(1.0001) for name in wrong])

    failed = {line.split()[1] for line in run(tmp_path, capsys) if line.startswith("failed")}

    assert failed == {f"vae_t.cases/{name.partition('.')[0]}" for name in wrong}


def test_other_parts_of_a_stream_are_checked_by_their_frames(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take(tmp_path, "vae_t")
    spec = tmp_path / "vae_t.cases.json"
    change_spec(spec, lambda spec: spec.update(streaming_parts=[1, 3, 1]))

    said = "\n".join(run(tmp_path, capsys))

    assert "frames of part 0 1, not 9" in said


def test_a_wrong_text_encoder_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    take(tmp_path, "umt5_t")
    weights = tmp_path / "umt5_t.weights.safetensors"
    change_tensors(weights, lambda t: t["blocks.1.pos_embedding.embedding.weight"].mul_(1.1))

    assert run(tmp_path, capsys)[0].startswith("failed  umt5_t.cases  rows")


def test_a_wrong_table_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    take(tmp_path, "parameter_tables")
    file = tmp_path / "parameter_tables.json"
    change_spec(file, lambda spec: spec["vae"]["table"].update({"conv1.bias": [31]}))

    failed = [line for line in run(tmp_path, capsys) if line.startswith("failed")]

    assert len(failed) == 1
    assert "conv1.bias" in failed[0]
