import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.state_io import (
    SamplerState,
    StateError,
    load_state,
    save_state,
    seal_state,
    write_state,
)
from media_agent_magi.engine.text.rows import TextRow
from tests.magi.allocations import Allocations

BASE = SamplerConfig(num_steps=8, window_size=4, chunk_width=2, null_caption_tokens=3)
DISTILLED = replace(BASE, cfg_number=1, distill=True)
RAMP = replace(DISTILLED, ramp=True)
FACTS = {"model": "small", "weights": "abc", "seeds": [1, 2], "scale": 3.5, "shift": None}


def save_and_load(state: SamplerState, folder: Path) -> SamplerState:
    save_state(folder / "state.safetensors", state, FACTS)
    kept, facts = load_state(folder / "state.safetensors", FACTS)
    assert facts == FACTS
    return kept


@pytest.mark.parametrize(
    ("config", "prefix"),
    [(BASE, 0), (BASE, 5), (RAMP, 0), (RAMP, 4), (replace(DISTILLED, window_size=1), 5)],
)
def test_a_video_continues_from_its_file_as_if_undisturbed(
    small_videos: Any, config: SamplerConfig, prefix: int, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"rebase_every": 3}
    given = {"prefix": small_videos.prefix(prefix), "frames": 10} if prefix else {}
    whole = small_videos.video(config, 7, **options, **given)
    first, made = small_videos.sampler(config, 7, **options, **given), []

    for chunk in first:
        made.append(chunk.latents)
        state = save_and_load(first.state(), tmp_path)
        again = made + small_videos.video(config, 7, state=state, **options)
        assert len(again) == len(whole)
        assert all(map(torch.equal, again, whole))


@pytest.mark.parametrize("stopped_after", range(1, 7))
def test_a_steered_and_restyled_batch_continues_as_if_undisturbed(
    small_videos: Any, stopped_after: int, tmp_path: Path
) -> None:
    source = torch.randn(1, *small_videos.shape, generator=torch.Generator().manual_seed(2))
    options = {
        "noise": [seeded_noise(seed, small_videos.shape) for seed in (1, 2)],
        "source": lambda chunk: (source, 0.3 + 0.1 * chunk),
    }
    made, state = [], None
    running = small_videos.sampler(RAMP, 7, **options)
    for number, chunk in enumerate(running, start=1):
        made.append(chunk.latents)
        if number == 1:
            running.replace_text(lambda c: small_videos.row(c + 50), below=1.0)
        if number == stopped_after:
            state = save_and_load(running.state(), tmp_path)

    rest = small_videos.video(RAMP, 7, state=state, **options)
    assert all(map(torch.equal, rest, made[stopped_after:]))
    assert len(rest) == 7 - stopped_after


def test_a_resumed_video_asks_no_text_again(small_videos: Any) -> None:
    whole, first = small_videos.video(BASE), small_videos.sampler(BASE)
    made = [chunk.latents for chunk in islice(first, 2)]
    asked: list[int] = []

    def text(chunk: int) -> Any:
        asked.append(chunk)
        return small_videos.row(chunk) if chunk < 6 else None

    made += small_videos.video(BASE, text=text, state=first.state())
    assert all(map(torch.equal, made, whole))
    assert asked == [5, 6]


def test_of_a_state_only_the_keys_change_when_its_video_continues(small_videos: Any) -> None:
    running = small_videos.sampler(BASE)
    next(iter(running))
    state = replace(running.state(), keys={})
    before = {name: tensor.clone() for name, tensor in state.to_tensors().items()}
    list(running)

    after = state.to_tensors()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.fixture
def file(small_videos: Any, tmp_path: Path) -> Path:
    running = small_videos.sampler(DISTILLED)
    next(iter(running))
    path = tmp_path / "00000001.safetensors"
    save_state(path, running.state(), FACTS)
    return path


def refusal(path: Path, **changed: object) -> str:
    with pytest.raises(StateError) as caught:
        load_state(path, FACTS | changed)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_missing_state_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.safetensors").endswith("none.safetensors is not there")
    assert "cannot read the state" in refusal(tmp_path)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.999])
def test_a_state_that_is_cut_off_is_refused(file: Path, kept: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(kept * len(data))])

    assert "no state, or it is cut off or damaged" in refusal(file)


def test_every_damaged_byte_is_noticed(file: Path) -> None:
    data = file.read_bytes()
    for place in range(0, len(data), 97):
        damaged = bytearray(data)
        damaged[place] ^= 4
        file.write_bytes(damaged)
        refusal(file)


def rewrite(path: Path, change: Callable[[dict[str, str]], object]) -> None:
    with safe_open(path, framework="pt") as content:
        metadata = dict(content.metadata())
    change(metadata)
    save_file(load_file(path), path, metadata)


def test_other_files_are_no_states(file: Path, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "weights.safetensors")
    (tmp_path / "video.mp4").write_bytes(b"no safetensors at all" * 9)

    assert "but another safetensors file" in refusal(tmp_path / "weights.safetensors")
    assert "no state" in refusal(tmp_path / "video.mp4")


def test_a_state_of_another_version_is_refused(file: Path) -> None:
    rewrite(file, lambda metadata: metadata.update(version="2"))

    assert "has version 2; this engine reads 1" in refusal(file)


def test_facts_that_were_changed_by_hand_are_damage(file: Path) -> None:
    rewrite(file, lambda data: data.update(facts=json.dumps(FACTS | {"weights": "other"})))

    assert "its checksum does not agree" in refusal(file)


def test_a_state_of_other_work_names_all_differences(file: Path) -> None:
    said = refusal(file, weights="other", seeds=[1], more=True)

    assert 'its weights is "abc", not "other"' in said
    assert "its seeds is [1, 2], not [1]" in said
    assert "its more is null, not true" in said
    assert "model" not in said


@pytest.mark.parametrize(
    ("config", "prefix"),
    [(BASE, 0), (BASE, 5), (RAMP, 0), (RAMP, 8), (replace(DISTILLED, window_size=1), 5)],
)
def test_keys_that_a_state_does_not_hold_are_made_again(
    small_videos: Any, config: SamplerConfig, prefix: int, tmp_path: Path
) -> None:
    config = replace(config, keep_keys=False)
    options: dict[str, Any] = {"rebase_every": 3}
    given = {"prefix": small_videos.prefix(prefix), "frames": 10} if prefix else {}
    whole = small_videos.video(config, 7, **options, **given)
    first, made = small_videos.sampler(config, 7, **options, **given), []

    for chunk in first:
        made.append(chunk.latents)
        state = save_and_load(first.state(), tmp_path)
        assert not state.keys
        again = made + small_videos.video(config, 7, state=state, **options)
        assert len(again) == len(whole)
        for a, b in zip(again, whole, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_a_state_without_keys_is_a_twentieth_of_one_with_them() -> None:
    """Of a model of 4.5 billion numbers at 480x480, whose prompt has 200 of 800 tokens."""

    def size(state: SamplerState) -> int:
        return sum(x.numel() * x.element_size() for x in state.to_tensors().values())

    zero, mask = torch.zeros(1), (torch.arange(800) < 200).float()
    chunk = zero.expand(1, 16, 6, 60, 60)
    row = TextRow(zero.expand(800, 4096), mask)
    keys = zero.bfloat16().expand(1, 6 * 30 * 30, 8, 2 * 128)
    state = SamplerState(
        stage=9, total=None, frames=None, skipped=0, prefix_chunks=0, origin=0, first_token=0,
        latents=dict.fromkeys(range(5), chunk), rows=dict.fromkeys(range(4), (row,)), levels={},
        keys=dict.fromkeys(range(34), keys), prefix=None, tail=zero.expand(1, 16, 24, 60, 60),
    )  # fmt: skip

    assert size(replace(state, keys={})) <= 0.05 * size(state)


def test_a_file_is_what_safetensors_reads_whatever_the_numbers(tmp_path: Path) -> None:
    text = TextRow(torch.randn(3, 5).bfloat16(), torch.ones(3))
    state = replace(
        EMPTY,
        keys={layer: x[:, :7] for layer, x in make_keys(3, 8, torch.bfloat16).items()},
        rows={4: (text, text)},
        latents={4: torch.randn(2, 3, 1, 5, 5)},
        sink=(2, 3),
    )
    save_state(tmp_path / "state", state, FACTS)

    tensors, kept = state.to_tensors(), load_file(tmp_path / "state")

    assert kept.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert kept[name].dtype == tensor.dtype
        assert torch.equal(kept[name], tensor)


def test_a_state_that_was_not_sealed_is_damaged(tmp_path: Path) -> None:
    write_state(tmp_path / "state", EMPTY, FACTS)

    assert "its checksum does not agree" in refusal(tmp_path / "state")

    seal_state(tmp_path / "state")
    load_state(tmp_path / "state", FACTS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_state_is_written_and_read_a_layer_at_a_time(tmp_path: Path, dtype: torch.dtype) -> None:
    """Of a ring of two videos, whose keys of a layer are not in one piece."""
    layers, cache, path = 10, KVCache(room := 2**11), tmp_path / "state"
    for layer in range(layers):
        cache.write(layer, 0, *torch.randn(2, 2, room - 2**9, 4, 16, dtype=dtype))
    state = replace(EMPTY, keys=cache.entries())
    each = state.keys[0].nbytes

    with Allocations(*state.keys.values()) as written:
        write_state(path, state, FACTS)
    seal_state(path)
    with Allocations() as read:
        kept, _ = load_state(path, FACTS)
        mapped = read.peak
        restored = KVCache()
        restored.expect(room, sink=0)
        restored.restore(kept.keys, 0, 0, place=(torch.device("cpu"), torch.float32))

    ring = layers * 2 * room * 4 * 32 * 4
    assert written.peak < 1.1 * each < 0.2 * path.stat().st_size
    assert read.peak - mapped <= ring
    for layer, saved in state.keys.items():
        assert torch.equal(restored.entries()[layer], saved.float())


def test_reading_a_state_takes_no_memory_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "state"
    save_state(path, replace(EMPTY, keys=make_keys(20, 2**13, torch.float32)), FACTS)
    before = anonymous_bytes()

    kept, _ = load_state(path, FACTS)

    assert anonymous_bytes() - before < path.stat().st_size // 10
    assert len(kept.keys) == 20


def make_keys(layers: int, tokens: int, dtype: torch.dtype) -> dict[int, Tensor]:
    return {layer: torch.randn(1, tokens, 4, 16).to(dtype) for layer in range(layers)}


def anonymous_bytes() -> int:
    """What this process holds that is in no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [kib] = [line.split()[1] for line in lines if line.startswith("RssAnon")]
    return int(kib) * 1024


EMPTY = SamplerState(
    stage=1,
    total=None,
    frames=None,
    skipped=0,
    prefix_chunks=0,
    origin=0,
    first_token=0,
    latents={},
    rows={},
    levels={},
    keys={},
    prefix=None,
    tail=None,
)
