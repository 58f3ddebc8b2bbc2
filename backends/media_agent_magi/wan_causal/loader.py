"""Loads a causal Wan model as a memory plan says."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from media_agent_magi.computing import Computing, check_device, memory_named, text_threads
from media_agent_magi.engine.autoencoders.wan_vae import WanVAE
from media_agent_magi.engine.blocks.kernels import kernel_for
from media_agent_magi.engine.causal.config import WanConfig
from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.engine.causal.lora import PREFIX, AdapterError, LowRank, read_adapter
from media_agent_magi.generating.engine import Engine
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.blocks import StreamedBlocks
from media_agent_magi.loading.memory import Holding
from media_agent_magi.loading.prompts import EncodedPrompts
from media_agent_magi.loading.stream import Place, Report, fill, on_meta, open_tensors, to_device
from media_agent_magi.loading.text_encoder import EncodedText, Precision, TextEncoder, encode
from media_agent_magi.wan_causal.folder import WanCausalFolder
from media_agent_magi.wan_causal.models import WanCausalModels
from media_agent_magi.wan_causal.options import WanCausalOptions

BLOCK = re.compile(r"blocks\.\d+\.")


@memory_named()
def load_wan_causal(
    folder: WanCausalFolder,
    label: str,
    holding: Holding,
    *,
    device: str,
    options: WanCausalOptions,
    texts: Path | None = None,
    threads: int = 1,
    report: Report = lambda what, fraction: None,
) -> Engine:
    """Load a model.

    Args:
        folder: Its parts.
        label: The name to be used in messages.
        holding: How it is held.
        device: Where it computes.
        options: Those of the request it is loaded for.
        texts: Where encoded prompts are kept; nowhere if not given.
        threads: Of the CPU.
        report: Hears what is loaded.

    Raises:
        WeightsError: A part is missing, damaged, or does not fit.
        BackendUnavailableError: The device is not here.
        GenerationFailedError: It has too little memory after all.
    """
    place = torch.device(device)
    check_device(place)
    transformer = load_transformer(folder, holding, place, report)
    causal = replace(folder.config.causal, rides=holding.rides)
    if options.window is None:  # else each video chooses it, and a sink that it holds
        causal = replace(causal, window=holding.window)
    return Engine(
        WanCausalModels(
            label,
            replace(folder.config, causal=causal),
            transformer=transformer,
            vae=load_vae(folder, place, report),
            prompts=load_prompts(
                folder,
                precision=options.text_precision,
                device=device if holding.text_on_device else "cpu",
                texts=texts,
                threads=text_threads(threads, place),
                pads=place.type == "cpu",
            ),
            fingerprint=folder.fingerprint,
            keys_in_main=not holding.ring_on_device,
            vae_in_tiles=holding.vae_in_tiles,
        ),
        threads=threads,
        decodes_beside=holding.decodes_beside,
    )


def load_transformer(
    folder: WanCausalFolder, holding: Holding, device: torch.device, report: Report
) -> WanDiT:
    """Load the transformer, with its adapter merged; one tensor at a time is in the main memory.

    Raises:
        WeightsError: It is missing, damaged, or does not fit its settings.
    """
    files = folder.read_weights()
    config = on_device(folder.config.model, device)
    transformer = cast(WanDiT, on_meta(lambda: WanDiT(config)))
    adapter = read_adapter_of(folder, transformer)
    place = _placing(device, holding)
    fill(transformer, files, place, report=report, change=merging(adapter))
    if holding.blocks_on_device:
        return transformer.prepare()
    transformer.kernel = kernel_for(device)
    StreamedBlocks(list(transformer.blocks), device)
    return transformer


def on_device(config: WanConfig, device: torch.device) -> WanConfig:
    """Return the sizes in the numbers of a device: a CPU computes in float32."""
    return replace(config, params_dtype="float32") if device.type == "cpu" else config


def read_adapter_of(folder: WanCausalFolder, model: nn.Module) -> Mapping[str, LowRank]:
    """Return the adapter of a folder by the product it changes, none where it needs none.

    Its numbers stay in the mapped file; what else is in the file is not read.

    Raises:
        WeightsError: It is missing, damaged, or does not fit.
    """
    files = folder.read_adapter()
    if files is None:
        return {}
    alpha = folder.config.adapter_alpha
    assert alpha is not None  # of every model that has an adapter
    [file] = files.files
    with open_tensors(file, files.entry) as read:
        tensors = {PREFIX + name: read(files.stored_name(name)) for name in files.tensors}
    try:
        return read_adapter(tensors, model, alpha)
    except AdapterError as error:
        raise WeightsError(f"{file}: {error}") from error


def merging(adapter: Mapping[str, LowRank]) -> Place:
    """Return what adds an adapter to weights as they come from their file, in float32."""

    def merge(name: str, weight: Tensor) -> Tensor:
        added = adapter.get(name.removesuffix(".weight"))
        if added is None or not name.endswith(".weight"):
            return weight
        return added.onto(weight)

    return merge


def load_vae(folder: WanCausalFolder, device: torch.device, report: Report) -> WanVAE:
    """Load the autoencoder, in float32 on a CPU, else in bfloat16.

    Raises:
        WeightsError: It is missing, damaged, or does not fit.
    """
    files, config = folder.read_vae()
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    vae = cast(WanVAE, on_meta(lambda: WanVAE(config).to(dtype)))
    fill(vae, files, to_device(device), report=report)
    return vae


def load_prompts(
    folder: WanCausalFolder,
    *,
    precision: Precision,
    device: str,
    texts: Path | None,
    threads: int,
    pads: bool,
) -> EncodedPrompts:
    """Return what encodes prompts; the encoder itself is loaded when prompts wait, and let go.

    `pads` as in `TextEncoder`.

    Raises:
        WeightsError: Its file is missing or damaged.
    """
    length = folder.config.model.text_len
    encoder = TextEncoder(folder.text(), length, precision, device, pads=pads)

    def encode_here(prompts: Sequence[str]) -> Iterator[EncodedText]:
        with Computing(threads)():  # it runs in a thread of its own
            yield from encode(encoder, prompts)

    return EncodedPrompts(encode_here, texts, encoder.fingerprint())


def _placing(device: torch.device, holding: Holding) -> Place:
    def place(name: str, tensor: Tensor) -> Tensor:
        waits = not holding.blocks_on_device and BLOCK.match(name)
        return tensor.to("cpu" if waits else device, copy=True)

    return place
