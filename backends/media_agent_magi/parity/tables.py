"""Cases without weights: rotary tables, time schedules, the order of the sampler's steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.rope import default_bands, rotary_table
from media_agent_magi.engine.schedule import ChunkSchedule, Step
from media_agent_magi.engine.stepper import timesteps
from media_agent_magi.parity.comparison import SCHEDULE, SINGLE, CaseError, Check, Comparison
from media_agent_magi.parity.golden import (
    OPTIONAL_SETTINGS,
    Fields,
    GoldenFolder,
    check_declared,
)
from media_agent_magi.parity.video import hands_out_prefix

RENAMED = {
    **OPTIONAL_SETTINGS,
    "distill_nearly_clean_chunk_threshold": "nearly_clean_threshold",
    "threshold": "nearly_clean_threshold",
}
"""Key of a plan -> field of SamplerConfig."""


def rope_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the rotary tables of a file."""
    spec, tensors = golden.spec(stem), golden.tensors(stem)
    for name, case in spec["cases"].items():

        def check(name: str = name, case: Fields = case) -> Comparison:
            done = Comparison()
            check_declared(done, spec, tensors, f"{name}.")
            table = rotary_table(
                tensors.get(f"{name}.bands", tensors.get("bands", tensors["default_bands"])),
                case["first_latent_frame"],
                case["latent_frames"],
                case["patch_rows"],
                case["patch_columns"],
            )
            if f"{name}.rows" in tensors:
                table = table[tensors[f"{name}.rows"]]
            done.close("table", table, tensors[f"{name}.table"], SINGLE)
            if "default_bands" in tensors:
                bands = tensors["default_bands"]
                done.close("default bands", default_bands(len(bands)), bands, SINGLE)
            return done

        yield f"{stem}/{name}", check


def schedule_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the time schedules of a file; a case's name holds its settings."""
    for name, case in golden.spec(stem)["schedules"].items():

        def check(name: str = name, case: Fields = case) -> Comparison:
            config = _read_config(name)
            done = Comparison()
            done.near("timesteps", timesteps(config), torch.tensor(case["t"]), SCHEDULE)
            if "interval" in case:
                schedule = ChunkSchedule(config)
                got = [schedule.step_interval(k) for k in range(config.num_steps)]
                done.equal("intervals", got, case["interval"])
            return done

        yield f"{stem}/{name}", check


def _read_config(name: str) -> SamplerConfig:
    """Read "num_steps=16;shortcut_mode=8,16,16;func=sd3;shift=5.0"."""
    settings = dict(part.split("=", 1) for part in name.split(";"))
    if unknown := sorted(set(settings) - {"num_steps", "shortcut_mode", "func", "shift"}):
        raise CaseError(f"unknown settings: {', '.join(unknown)}")
    values: dict[str, Any] = {OPTIONAL_SETTINGS.get(k, k): v for k, v in settings.items()}
    values["num_steps"] = int(values["num_steps"])
    if "shift" in values:
        values["shift"] = float(values["shift"])
    whole = {"window_size": 1, "chunk_width": 1, "noise2clean_kvrange": ()}
    return SamplerConfig.from_dict(whole | values)


def plan_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the step plans of a file."""
    spec = golden.spec(stem)
    for name, plan in spec["plans"].items():

        def check(plan: Fields = plan) -> Comparison:
            return _plan(Fields({**spec, **plan}))

        yield f"{stem}/{name}", check


def _plan(plan: Fields) -> Comparison:
    config = _plan_config(plan)
    frames, total = plan["prefix_latent_frames"], plan["chunk_num"]
    schedule = ChunkSchedule(config, frames // config.chunk_width)
    steps = [s for j in range(schedule.stages(total)) for s in schedule.stage(j, total)]
    done = Comparison()
    done.equal("total_steps", len(steps), plan["total_steps"])
    done.equal("total_steps", schedule.total_steps(total), plan["total_steps"])
    done.equal("stage steps", schedule.stage_steps, plan["denoise_steps_per_stage"])
    if "emitted" in plan:
        done.equal("emitted", _emit(schedule, steps, frames, plan["emitted"]), plan["emitted"])
    prefix = schedule.prefix()
    records = [] if prefix is None else [_record(schedule, prefix, 0, prefix=True)]
    records += [_record(schedule, step, number) for number, step in enumerate(steps)]
    done.equal("number of forwards", len(records), len(plan["forwards"]))
    for number, (got, expected) in enumerate(zip(records, plan["forwards"], strict=False)):
        _compare_records(done, number, got, expected)
    return done


def _plan_config(plan: Fields) -> SamplerConfig:
    """Read the settings of a plan: its own entries, else those of its file."""
    known = {*SamplerConfig.__slots__, *RENAMED}
    given = {RENAMED.get(k, k): v for k, v in plan.items() if k in known}
    return SamplerConfig.from_dict({"cfg_number": 1, **given})


def _emit(
    schedule: ChunkSchedule, steps: list[Step], frames: int, expected: list[Fields]
) -> list[dict[str, int]]:
    width, first = schedule.config.chunk_width, schedule.prefix_chunks
    cut = 0 if hands_out_prefix(schedule.config, frames, expected) else frames - first * width
    return [
        {
            "after_step": number,
            "chunk_index_reported": step.finished - first,
            "latent_frames": width - (cut if step.finished == first else 0),
        }
        for number, step in enumerate(steps)
        if step.finished is not None
    ]


def _record(
    schedule: ChunkSchedule, step: Step, number: int, *, prefix: bool = False
) -> dict[str, Any]:
    """Describe a step in the words of the plan files."""
    config, count = schedule.config, len(step.levels)
    times = timesteps(config)
    clean = float(torch.tensor(config.clean_t))
    values = [clean if level is None else float(times[level]) for level in step.levels]
    window = (step.window[0], step.window[0] + 1) if prefix else step.window
    ages = [0, 1] if prefix else _ages(schedule, step)
    rows = range(step.first_chunk, step.first_chunk + count)
    # every unconditional row is the same; a chunk just finished takes the first of them
    rows_used = [-1 if level is None else c for c, level in zip(rows, step.levels, strict=True)]
    return {
        "step": number,
        "stage": step.stage,
        "index_in_stage": step.index,
        "window_chunks": list(window),
        "window_t_stages": ages,
        "x_latent_frames": count * config.chunk_width,
        "timesteps": values,
        "kv_ranges_in_chunks": [list(pair) for pair in step.kv_ranges],
        "slice_point": step.first_chunk,
        "denoising_range_num": count,
        "range_num": step.first_chunk + count,
        "fwd_extra_1st_chunk": not prefix and step.clean_chunks > 0,
        "prefix_extraction": prefix,
        "near_clean": not prefix and values[step.clean_chunks] > config.nearly_clean_threshold,
        "distill_interval": schedule.step_interval(step.index),
        "text_rows_used": [-1 - c for c in rows] if prefix else rows_used,
    }


def _ages(schedule: ChunkSchedule, step: Step) -> list[int]:
    levels = [level for level in step.levels if level is not None]
    return [levels[-1] // schedule.stage_steps, levels[0] // schedule.stage_steps + 1]


def _compare_records(
    done: Comparison, number: int, got: dict[str, Any], expected: Mapping[str, Any]
) -> None:
    for key, value in expected.items():
        what = f"forward {number}, {key}"
        if key not in got:
            raise CaseError(f"{what}: unknown entry")
        if key == "timesteps":
            done.near(what, torch.tensor(got[key]), torch.tensor(value), SCHEDULE)
        else:
            done.equal(what, got[key], value)
