"""LoRA files are checked before anything is loaded."""

import os
from pathlib import Path

import pytest

from media_agent.errors import InvalidRequestError
from media_agent_diffusers.lora.choice import choose_loras


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "it.safetensors"
    os.mkfifo(pipe)

    with pytest.raises(InvalidRequestError, match="it is not a regular file"):
        choose_loras({"lora": "it"}, {"it": pipe})


@pytest.mark.parametrize(
    "header",
    [
        b'{"a": {"data_offsets": [0, 0]}}',
        b'{"a": {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 0]}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_header_is_refused(tmp_path: Path, header: bytes) -> None:
    file = tmp_path / "it.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header)

    with pytest.raises(InvalidRequestError, match="has a damaged header"):
        choose_loras({"lora": "it"}, {"it": file})
