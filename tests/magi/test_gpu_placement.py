"""Every tensor of a video lies on the device that it was given: of each family, on a GPU that is
not there, so that no kernel of a real one is tried.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from media_agent.errors import BackendUnavailableError, GenerationFailedError
from media_agent_magi.computing import Computing, check_device
from media_agent_magi.engine.fp8 import PerTensorLinear
from media_agent_magi.engine.noise import Starts
from media_agent_magi.generating.engine import Engine
from media_agent_magi.generating.video import VideoOptions
from media_agent_magi.loading.blocks import StreamedBlocks
from media_agent_magi.loading.memory import Holding
from media_agent_magi.magi.folder import MagiFolder
from media_agent_magi.magi.loader import load_magi
from media_agent_magi.tiny.loader import load_tiny
from media_agent_magi.wan_causal.folder import WanCausalFolder
from media_agent_magi.wan_causal.loader import load_wan_causal
from media_agent_magi.wan_causal.options import WanCausalOptions
from tests.magi import released, released_wan
from tests.magi.pretended_gpu import GPU, DeviceMixError, PretendedGpu, pretended_gpu

RED, BLUE = "a red circle moving right", "a blue square in the rain"
LEAST = Holding(
    text_on_device=False, decodes_beside=False, tiles_at_once=False, ring_on_device=False,
    blocks_on_device=False, vae_in_tiles=True, window=9,
)  # fmt: skip
MOST = Holding(text_on_device=False, window=9)
Load = Callable[[str, Holding], Engine]


@pytest.fixture(scope="module")
def magi(tmp_path_factory: pytest.TempPathFactory) -> Load:
    root = tmp_path_factory.mktemp("magi")
    folder = MagiFolder.find(released.write_release(root, quantised=True))
    return lambda device, held: load_magi(
        folder, "magi/small", replace(held, window=4), device=device
    )


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> Load:
    root = tmp_path_factory.mktemp("wan")
    folder = WanCausalFolder.find(released_wan.write_release(root, "longlive"))
    options = WanCausalOptions()
    return lambda device, held: load_wan_causal(
        folder, "wan-causal/small", held, device=device, options=options
    )


def tiny(device: str, held: Holding) -> Engine:
    return load_tiny(device=device, dtype="float32")


def prompts(chunk: int) -> str | None:
    """Two chunks with a prompt each; a third repeats the second."""
    return (RED, BLUE, BLUE)[chunk] if chunk < 3 else None


def video(engine: Engine, options: VideoOptions, folder: Path, device: str) -> tuple[Tensor, ...]:
    """Make, save, decode and resume a video; return latents as made, and as made again."""
    made, again, state = [], [], folder / "state"
    begun = engine.video(prompts, (1,), options)
    keeps_keys = engine.models.label != "magi/small"
    assert begun.resumes_exactly is (device == "cpu" and keeps_keys)
    for chunk in begun:
        assert chunk.latents.device.type == device
        engine.decode(chunk)
        made.append(chunk.latents.cpu())
        if chunk.index == 0:
            begun.saver(folder)(state)
    for chunk in engine.video(prompts, (1,), options, state=state):
        engine.decode(chunk)
        again.append(chunk.latents.cpu())
    return torch.cat(made, dim=2), torch.cat(again, dim=2)


FAMILIES = [
    ("magi", MOST, VideoOptions(size=(32, 32), num_inference_steps=8)),
    ("magi", LEAST, VideoOptions(size=(32, 32), num_inference_steps=8)),
    ("wan", MOST, VideoOptions()),
    ("wan", LEAST, VideoOptions()),
    ("tiny", MOST, VideoOptions(num_inference_steps=4)),
]


@pytest.mark.parametrize(
    ("family", "held", "options"), FAMILIES, ids=lambda x: x if isinstance(x, str) else ""
)
def test_every_tensor_lies_on_the_device_that_it_was_given(
    family: str,
    held: Holding,
    options: VideoOptions,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    load: Load = tiny if family == "tiny" else request.getfixturevalue(family)
    expected, _ = video(load("cpu", held), options, tmp_path, "cpu")

    with pretended_gpu():
        made, again = video(load("cuda", held), options, tmp_path, "cuda")

    assert torch.equal(made[:, :, -again.shape[2] :], again)
    error = (made - expected).abs().mean() / expected.std()
    assert error < (1e-4 if family == "tiny" else 1e-2)  # the others compute in 16 bits there


def test_what_is_left_on_the_cpu_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Starts, "draw", lambda self, chunk, step=0: self._noise[0](chunk))

    with pretended_gpu(), pytest.raises(DeviceMixError, match=r"on cpu"):
        video(tiny("cuda", MOST), FAMILIES[-1][2], tmp_path, "cuda")


def count_waits(gpu: PretendedGpu, engine: Engine, options: VideoOptions) -> list[int]:
    """Return how often the CPU waits for the GPU in each chunk of a video with one text."""
    waits = []
    for _ in engine.video(lambda chunk: RED if chunk < 8 else None, (1,), options):
        waits.append(gpu.waits.total())
        gpu.waits.clear()
    return waits


@pytest.mark.parametrize("family", ["magi", "wan"])
def test_no_step_waits_for_results(family: str, request: pytest.FixtureRequest) -> None:
    with pretended_gpu() as gpu:
        engine = request.getfixturevalue(family)("cuda", MOST)
        waits = count_waits(gpu, engine, FAMILIES[0][2] if family == "magi" else VideoOptions())

    assert min(waits) <= 5  # for its text and its noise; else for what is new, such as a timestep


class Recorded:
    """A stream that writes down what happens to it."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def wait_stream(self, other: "Recorded") -> None:
        self.log.append(f"{self.name} waits for {other.name}")


def test_a_block_is_copied_into_a_place_only_when_that_has_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []
    copying, computing = Recorded("copying", log), Recorded("computing", log)
    blocks = [nn.Linear(8, 8) for _ in range(4)]
    with pretended_gpu(), torch.inference_mode():
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: copying)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: computing)
        streamed = StreamedBlocks(blocks, GPU)
        copy = streamed._copy

        def write_down(number: int) -> None:
            if number not in streamed._ready:
                log.append(f"copy {number}")
            copy(number)

        monkeypatch.setattr(streamed, "_copy", write_down)
        x = torch.zeros(1, 8, device="cuda")
        for block in blocks:
            x = block(x)
            assert len(streamed._ready) == 1
        assert x.device == GPU

    wait, free = "computing waits for copying", "copying waits for computing"
    assert log == [
        "copy 0", wait, "copy 1", free, wait, "copy 2", free, wait, "copy 3", free, wait, "copy 0",
        free,
    ]  # fmt: skip


def test_chunks_are_decoded_in_a_stream_of_the_device_that_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    class Stream:
        def __init__(self, device: torch.device) -> None:
            asked.append(device)

        def record_event(self) -> str:
            return "there"

        def wait_event(self, event: str) -> None:
            asked.append(event)

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    with pretended_gpu():
        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "current_stream", Stream)
        computing = Computing(device="cuda:1")
        with computing.beside(computing.mark()):
            pass
        in_turn = Computing(device="cuda:1", decodes_beside=False)
        with in_turn.beside(in_turn.mark()):
            pass
        facts = computing.facts()

    assert asked == [torch.device("cuda:1"), torch.device("cuda:1"), "there"]
    assert (facts.device, facts.instructions) == ("cuda", "a GPU that is not there")


def test_a_gpu_that_torch_does_not_see_is_refused(magi: Load) -> None:
    with pytest.raises(BackendUnavailableError, match=r"sees 0 GPUs here, and cuda is none"):
        magi("cuda", MOST)
    with pretended_gpu(), pytest.raises(BackendUnavailableError, match="cuda:1 is none of them"):
        check_device(torch.device("cuda:1"))


def test_memory_that_runs_out_says_what_can_be_done(
    magi: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. More of it.")

    named = pytest.raises(GenerationFailedError, match="no memory left: CUDA out of memory\n")
    with named as said, Computing()():
        fail()
    monkeypatch.setattr(Tensor, "to", fail)
    with pytest.raises(GenerationFailedError, match="no memory left"):
        magi("cpu", MOST)

    assert "smaller size" in str(said.value.hint)


def test_eight_bits_are_multiplied_in_16_where_there_is_no_product_of_them() -> None:
    layer = PerTensorLinear(32, 48)
    layer.weight.data.copy_(torch.randn(1, 48, 32).to(layer.weight.dtype))
    x = torch.randn(5, 32).bfloat16()
    expected = layer.quantise(x).float() @ layer.weight[0].float().t()

    with pretended_gpu():
        on_gpu = layer.to("cuda")(x.to("cuda")).cpu()

    assert torch.equal(on_gpu, expected.bfloat16())
