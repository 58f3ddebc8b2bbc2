"""Cases that run the sampler from noise to the last chunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.noise import given_noise
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.schedule import ChunkSchedule
from media_agent_magi.engine.text.rows import (
    DURATION,
    DURATION_ROWS,
    PREPENDED,
    SpecialTokens,
    TextRow,
    null_row,
    video_rows,
)
from media_agent_magi.engine.transformer import StepInput
from media_agent_magi.parity.comparison import GENERATION, CaseError, Check, Comparison
from media_agent_magi.parity.golden import (
    Fields,
    GoldenFolder,
    Tensors,
    check_declared,
    note_uncompared,
    sampler_config,
)


class WatchedSampler(ChunkSampler):
    """Keeps the input and the velocity of chosen steps."""

    def __init__(self, *args: Any, watched: set[int], **options: Any) -> None:
        super().__init__(*args, **options)
        self._watched, self._step = watched, 0
        self.seen: dict[int, tuple[StepInput, Tensor]] = {}

    def predict(self, given: StepInput) -> Tensor:
        """Predict as always and keep what is watched."""
        velocity = super().predict(given)
        if self._step in self._watched:
            self.seen[self._step] = (given, velocity)
        self._step += 1
        return velocity


def video_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the one generation of a file."""
    yield stem, lambda: _video(golden, stem)


def _video(golden: GoldenFolder, stem: str) -> Comparison:
    spec, tensors = golden.spec(stem), golden.tensors(stem)
    done = Comparison()
    check_declared(done, spec, tensors)
    model, config = golden.transformer(spec), sampler_config(spec)
    prefix = tensors["in.prefix_latents"] if spec["prefix_latent_frames"] else None
    frames = 0 if prefix is None else prefix.shape[2]
    schedule = ChunkSchedule(config, frames // config.chunk_width)
    total, noise = spec["chunk_num"], tensors["in.noise"]
    done.equal("prefix frames", frames, spec["prefix_latent_frames"])
    done.equal("latent size", list(noise.shape), spec["latent_size"])
    done.equal("frames of the noise", noise.shape[2], total * config.chunk_width)
    done.equal("steps", schedule.total_steps(total), spec["total_steps"])
    rows = _text(done, model, config, spec, tensors, schedule.prefix_chunks)
    sampler = WatchedSampler(
        model,
        config,
        watched=set(spec.get("captured_steps", [])),
        noise=given_noise(noise, config.chunk_width),
        text=lambda chunk: rows[chunk],
        prefix=prefix,
        total=total,
        hand_out_prefix=hands_out_prefix(config, frames, spec["emitted"]),
    )
    _compare_chunks(done, sampler, spec, tensors.under("out."), schedule.prefix_chunks)
    _compare_steps(done, sampler, tensors)
    return done


def hands_out_prefix(config: SamplerConfig, frames: int, emitted: list[Fields]) -> bool:
    """Whether the first chunk is handed out whole although a prefix begins it.

    Behind whole prefix chunks it never is. A prefix shorter than a chunk may be an image, which
    is handed out, or the start of a video; the case tells.
    """
    if frames >= config.chunk_width or not emitted:
        return frames == 0
    return bool(emitted[0]["latent_frames"] == config.chunk_width)


def _text(
    done: Comparison,
    model: VideoDiT,
    config: SamplerConfig,
    spec: Fields,
    tensors: Tensors,
    prefix_chunks: int,
) -> list[TextRow]:
    null = null_row(model.null_caption(), config.null_caption_tokens)
    made = spec["chunk_num"] - prefix_chunks
    switches = spec["special_tokens_prepended"]
    captions = _captions(tensors, made, prefix_chunks)
    special = _special_tokens(tensors, switches) if switches else None
    rows = video_rows(
        captions, null, prefix_chunks=prefix_chunks, special=special, switches=switches
    )
    if "mid.text_masks" in tensors:
        masks = [[row.mask.tolist() for row in rows], [null.mask.tolist()] * len(rows)]
        done.equal("text masks", masks, tensors["mid.text_masks"].tolist())
    if "mid.text_rows" in tensors:
        both = torch.stack(
            [torch.stack([r.caption for r in rows]), null.caption.expand(len(rows), -1, -1)]
        )
        done.equal("text rows", bool(torch.equal(both, tensors["mid.text_rows"])), True)
    return rows


def _captions(tensors: Tensors, made: int, prefix_chunks: int) -> list[TextRow]:
    """One caption for all chunks, one per chunk to make, or one per chunk of the video."""
    count = len(tensors.under("in.caption_emb_"))
    if count not in (1, made, made + prefix_chunks):
        raise CaseError(f"{count} captions for {made} chunks")
    skipped = prefix_chunks if count == made + prefix_chunks and count > 1 else 0
    indices = [0] * made if count == 1 else [skipped + i for i in range(made)]
    return [
        TextRow(tensors[f"in.caption_emb_{i}"][0, 0], tensors[f"in.caption_mask_{i}"][0])
        for i in indices
    ]


def _special_tokens(tensors: Tensors, switches: list[str]) -> SpecialTokens:
    """Put the tokens that a case brings along into their rows."""
    found: dict[int, Tensor] = {}
    for switch in switches:
        if switch == DURATION:
            tokens = tensors["in.special_duration_tokens_1_to_8"]
            found |= dict(zip(DURATION_ROWS, tokens, strict=True))
        elif switch in PREPENDED:
            name = f"in.special_{switch.removeprefix('PAD_').lower()}_token"
            found[PREPENDED[switch]] = tensors[name][0]
        else:
            raise CaseError(f"special token {switch!r} is not known here")
    other = torch.zeros(max(found) + 1, len(next(iter(found.values()))))
    for row, token in found.items():
        other[row] = token
    return SpecialTokens(other[:1], other[:1], other)


def _compare_chunks(
    done: Comparison, sampler: WatchedSampler, spec: Fields, out: Tensors, prefix_chunks: int
) -> None:
    emitted, latents = spec["emitted"], []
    for chunk in sampler:
        number = chunk.index - prefix_chunks
        latents.append(chunk.latents)
        done.close(f"chunk {number}", chunk.latents, out[f"chunk_{number}"], GENERATION)
    done.equal(
        "frames handed out",
        [x.shape[2] for x in latents],
        [entry["latent_frames"] for entry in emitted],
    )
    done.equal("chunks in the file", len(out.under("chunk_")), len(latents))
    if "all_latents" in out:
        done.close("all latents", torch.cat(latents, dim=2), out["all_latents"], GENERATION)
    note_uncompared(done, {n for n in out if n != "all_latents" and not n.startswith("chunk_")})


def _compare_steps(done: Comparison, sampler: WatchedSampler, tensors: Tensors) -> None:
    for number, (given, velocity) in sampler.seen.items():
        mid, start = tensors.under(f"mid.step{number}."), given.first_moving * given.chunk_frames
        if "x_model_input" in mid:
            done.close(f"input of step {number}", given.x, mid["x_model_input"], GENERATION)
        if "velocity" in mid:
            expected = mid["velocity"][:, :, start:]
            done.close(f"velocity of step {number}", velocity[:, :, start:], expected, GENERATION)
