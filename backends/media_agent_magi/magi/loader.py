"""Loads a MAGI-1 model as a memory plan says."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from media_agent.errors import BackendUnavailableError
from media_agent_magi.computing import Computing, check_device, memory_named, text_threads
from media_agent_magi.engine.blocks.kernels import Kernel, KernelError, kernel_for
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.fp8 import quantised
from media_agent_magi.engine.text.rows import SpecialTokens
from media_agent_magi.generating.engine import Engine
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.blocks import StreamedBlocks
from media_agent_magi.loading.memory import Holding
from media_agent_magi.loading.prompts import EncodedPrompts
from media_agent_magi.loading.stream import Place, Report, fill, on_meta
from media_agent_magi.loading.text_encoder import (
    EncodedText,
    Precision,
    TextEncoder,
    TransformersFiles,
    encode,
)
from media_agent_magi.loading.text_files import TextFiles
from media_agent_magi.magi.compiled import Compiling
from media_agent_magi.magi.config import MagiConfig
from media_agent_magi.magi.folder import MagiFolder
from media_agent_magi.magi.models import MagiModels
from media_agent_magi.magi.tokens import special_tokens
from media_agent_magi.magi.vae import TILES_AT_ONCE, ScaledVAE, load_vae, vae_config

BLOCK = re.compile(r"videodit_blocks\.layers\.\d+\.")


@memory_named()
def load_magi(
    folder: MagiFolder,
    label: str,
    holding: Holding,
    *,
    device: str,
    precision: Precision = "bfloat16",
    texts: Path | None = None,
    threads: int = 1,
    compiling: Compiling | None = None,
    attention: str = "sdpa",
    report: Report = lambda what, fraction: None,
) -> Engine:
    """Load a model.

    Args:
        folder: Its parts.
        label: The name to be used in messages.
        holding: How it is held.
        device: Where it computes.
        precision: Of the text encoder.
        texts: Where encoded prompts are kept; nowhere if not given.
        threads: Of the CPU.
        compiling: What is compiled for which videos; nothing if not given.
        attention: The name of the kernel of attention, as in the options.
        report: Hears what is loaded.

    Raises:
        WeightsError: A part is missing, damaged, or does not fit.
        BackendUnavailableError: What has to be compiled cannot be compiled here, or the kernel or
            the device is not here.
        GenerationFailedError: The device has too little memory after all.
    """
    place, config = torch.device(device), folder.config
    check_device(place)
    kernel = choose_kernel(place, attention)
    transformer, fingerprint = load_transformer(folder, holding, place, report)
    transformer.kernel = kernel
    sampler = sampler_of(config, holding)
    if compiling is not None:
        with Computing(threads)():
            compiling.apply(transformer, sampler)
    is_cpu = place.type == "cpu"
    vae = load_vae(
        vae_config(folder.read_vae_config()),
        folder.read_vae(),
        device=place,
        dtype=torch.float32 if is_cpu else torch.bfloat16,
        report=report,
    )
    encoder = TextEncoder(
        TransformersFiles(TextFiles(folder.text)),
        config.model.caption_max_length,
        precision,
        device if holding.text_on_device else "cpu",
        pads=is_cpu,
    )

    def encode_here(prompts: Sequence[str]) -> Iterator[EncodedText]:
        with Computing(text_threads(threads, place))():  # it runs in a thread of its own
            yield from encode(encoder, prompts)

    models = MagiModels(
        label,
        config,
        transformer=transformer,
        sampler=sampler,
        vae=ScaledVAE(
            vae,
            scale=config.scale_factor,
            fps=config.fps,
            at_once=TILES_AT_ONCE if holding.tiles_at_once else 1,
        ),
        prompts=EncodedPrompts(encode_here, texts, encoder.fingerprint()),
        special=tokens_of(folder, config.model.caption_channels),
        fingerprint=fingerprint,
        keys_in_main=not holding.ring_on_device,
    )
    return Engine(models, threads=threads, decodes_beside=holding.decodes_beside)


def load_transformer(
    folder: MagiFolder, holding: Holding, device: torch.device, report: Report
) -> tuple[VideoDiT, str]:
    """Load the transformer; return what identifies its weights too.

    Raises:
        WeightsError: It is missing, damaged, or does not fit its settings.
    """
    files = folder.read_weights()
    transformer = build(folder.config)
    fill(transformer, files, _placing(device, holding), report=report)
    if holding.blocks_on_device:
        transformer.prepare()
    else:
        StreamedBlocks(list(transformer.videodit_blocks.layers), device)
    return transformer, files.fingerprint


def choose_kernel(device: torch.device, name: str) -> Kernel:
    """Return a kernel of attention.

    Raises:
        BackendUnavailableError: It is not here.
    """
    try:
        return kernel_for(device, name)
    except KernelError as error:
        hint = "install it, or leave --option attention out"
        raise BackendUnavailableError(str(error), hint=hint) from error


def build(config: MagiConfig) -> VideoDiT:
    """Build the transformer on the meta device."""

    def make() -> VideoDiT:
        model = VideoDiT(config.model)
        return quantised(model) if config.quantised else model

    return cast(VideoDiT, on_meta(make))


def sampler_of(config: MagiConfig, holding: Holding) -> SamplerConfig:
    """Return the sampling of the settings with the window that is held."""
    return replace(config.sampler, window_size=holding.window)


def tokens_of(folder: MagiFolder, width: int) -> SpecialTokens:
    """Return the special tokens: those beside the weights, or else those of MAGI-1.

    Raises:
        WeightsError: They have another width than the captions.
    """
    own = folder.weights.parent / "special_tokens.safetensors"
    special = SpecialTokens.from_tensors(load_file(own)) if own.is_file() else special_tokens()
    if special.other.shape[1] != width:
        raise WeightsError(
            f"captions are {width} wide, and special tokens {special.other.shape[1]}: "
            f"{own} is missing"
        )
    return special


def _placing(device: torch.device, holding: Holding) -> Place:
    def place(name: str, tensor: Tensor) -> Tensor:
        waits = not holding.blocks_on_device and BLOCK.match(name)
        return tensor.to("cpu" if waits else device, copy=True)

    return place
