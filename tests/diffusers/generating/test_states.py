"""The state after a window: what is read back, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from media_agent.errors import NotResumableError
from media_agent_diffusers.generating.states import digest_work, read_state, write_state
from media_agent_diffusers.generating.windows import Made
from media_agent_schemas import VideoRequest
from media_agent_schemas.events import Computation

ON = Computation(device="cpu", dtype="float32", threads=1, library="torch")


@pytest.mark.parametrize("end", [None, np.arange(2 * 4 * 6 * 3, dtype=np.uint8)])
def test_a_state_is_read_back_as_it_was(tmp_path: Path, end: np.ndarray | None) -> None:
    frames = None if end is None else end.reshape(2, 4, 6, 3)
    write_state(tmp_path / "state", Made(3, 257, frames), digest="x", computation=ON)

    made, computation = read_state(tmp_path / "state", digest="x")

    assert (made.windows, made.frames, computation) == (3, 257, ON)
    if frames is None:
        assert made.end is None
    else:
        assert made.end is not None
        assert made.end.dtype == np.uint8
        assert np.array_equal(made.end, frames)


def test_a_state_of_other_work_is_refused(tmp_path: Path) -> None:
    write_state(tmp_path / "state", Made(1, 97), digest="x", computation=ON)

    with pytest.raises(NotResumableError, match="of other weights or options"):
        read_state(tmp_path / "state", digest="y")


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_state_that_cannot_be_read_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "state"
    if damage != "gone":
        write_state(path, Made(1, 97, np.zeros((1, 4, 4, 3), np.uint8)), digest="x", computation=ON)
        whole = path.read_bytes()
        path.write_bytes(whole[:-9] if damage == "cut" else b"{}" + whole)

    with pytest.raises(NotResumableError, match="cannot be used"):
        read_state(path, digest="x")


def test_the_digest_is_of_what_decides_the_frames_and_of_nothing_else() -> None:
    request = VideoRequest(prompt="a cat", seed=1, labels={"a": "b"})

    def digest(weights: str = "w", *loras: str, **changes: object) -> str:
        return digest_work(request.model_copy(update=changes), weights, loras)

    assert digest() == digest(labels={})
    others = [digest("v"), digest("w", "l"), digest(seed=2), digest(prompt="a dog")]
    assert len({digest(), *others}) == 5
