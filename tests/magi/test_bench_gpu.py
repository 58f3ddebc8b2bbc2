"""The benchmark of GPUs, rehearsed: what it counts, and that its parts run."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
SIZE = (64, 64)
TOKENS = 6 * 4 * 4  # of a chunk


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> "ModuleType":
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.gpu import count

    return count


@pytest.fixture
def rehearsal(counting: "ModuleType") -> Any:
    from benchmarks.gpu.scale import REHEARSAL

    base = REHEARSAL.base
    return replace(base, sampler=replace(base.sampler, num_steps=4, window_size=1))


def test_operations_are_those_of_the_shapes(counting: "ModuleType", rehearsal: Any) -> None:
    counts = counting.count_chunk(rehearsal, SIZE, rehearsal.sampler)

    model = rehearsal.model
    width, inner, layers = model.hidden_size, model.ffn_hidden_size, model.num_layers
    heads, keys = model.num_attention_heads * 16, model.num_query_groups * 16
    products = 2 * heads + 2 * keys + 2 * heads + 2 * inner  # outputs of a token, over the width
    chunks = sum(counted_chunks(rehearsal))
    assert counts.products >= 2 * chunks * TOKENS * layers * products * width
    assert counts.products < 1.2 * 2 * chunks * TOKENS * layers * products * width
    assert counts.forwards == len(counted_chunks(rehearsal)) == 4


def counted_chunks(config: Any) -> list[int]:
    from media_agent_magi.engine.schedule import ChunkSchedule
    from media_agent_magi.engine.stepper import EulerStepper

    time = EulerStepper(config.sampler).time
    steps = ChunkSchedule(config.sampler).stage(4, None)
    return [len(step.levels) + (time(step.levels[-1] or 0) > 0.3) for step in steps]


@pytest.mark.parametrize("fp8", [False, True])
def test_few_blocks_tell_the_operations_of_all(
    counting: "ModuleType", rehearsal: Any, fp8: bool
) -> None:
    model = replace(rehearsal.model, num_layers=5)
    config = replace(rehearsal, model=model, quantised=fp8)

    counted = counting.count_chunk(config, SIZE, config.sampler).operations

    assert counting.count_operations(config, SIZE, config.sampler) == counted


def test_compiling_leaves_fewer_kernels_and_bytes(counting: "ModuleType", rehearsal: Any) -> None:
    plain, compiled = (
        counting.count_chunk(rehearsal, SIZE, rehearsal.sampler, compiled=compiled)
        for compiled in (False, True)
    )

    assert compiled.operations == plain.operations
    assert compiled.kernels < plain.kernels
    assert compiled.bytes < plain.bytes


def test_the_published_algorithm_moves_more(counting: "ModuleType", rehearsal: Any) -> None:
    three = replace(rehearsal.sampler, cfg_number=3, distill=False)
    ours, theirs = (
        counting.count_video(rehearsal, SIZE, three, 4, published=published)
        for published in (False, True)
    )

    assert theirs.operations > ours.operations
    assert theirs.bytes > ours.bytes


def test_operations_of_a_causal_block_are_those_of_its_shapes(counting: "ModuleType") -> None:
    from benchmarks.gpu.causal import count_blocks
    from benchmarks.gpu.scale import REHEARSAL

    config = REHEARSAL.causal
    model, causal = config.model, config.causal
    deep = replace(config, model=replace(model, num_layers=4))
    counts = count_blocks(config)

    frame = (config.size[0] // 16) * (config.size[1] // 16)  # tokens
    block, seen = causal.block_frames * frame, causal.window * frame
    forwards = len(causal.steps)
    looked_at = (forwards + 1) * block * (seen + model.text_len)  # the clean block rides in one
    assert counts["block"].forwards == forwards
    assert counts["block"].attention == 4 * model.num_layers * model.dim * looked_at
    products = 2 * model.num_layers * (6 * model.dim + 2 * model.ffn_dim) * model.dim
    assert products * (forwards + 1) * block < counts["block"].products
    assert counts["new text"].operations > counts["block"].operations
    more = count_blocks(deep)["block"]
    assert more.attention == 2 * counts["block"].attention


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks.gpu.run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.slow
def test_the_rehearsal_runs_every_part_and_writes_nothing() -> None:
    result = ROOT / "benchmarks" / "results" / "gpu.json"
    before = result.read_bytes() if result.exists() else None

    done = run("--rehearse")

    parts = json.loads(done.stdout)["parts"]
    assert len(parts) == 15
    assert not [name for name, found in parts.items() if "error" in found]
    assert (result.read_bytes() if result.exists() else None) == before
