"""Packs trained parts into the weights file that ships, with its description."""

import dataclasses
import hashlib
import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save

from media_agent.storage.files import write_atomically
from media_agent_magi.engine.config import ConvVAEConfig
from media_agent_magi.tiny.config import MODEL, SAMPLER
from media_agent_magi.tiny.description import WEIGHTS, Guidance, TinyDescription
from media_agent_magi.world.captions import WORDS

GUIDANCE = Guidance(first=3.5, switch=2.5, steady=1.5)


def export_weights(run: Path, folder: Path = WEIGHTS, guidance: Guidance = GUIDANCE) -> Path:
    """Write `tiny.safetensors` (averaged weights, bfloat16) and `tiny.json` from a run's folder."""
    tensors, training = {}, {}
    for part, prefix in (("autoencoder", "autoencoder."), ("transformer", "model.")):
        with safe_open(run / f"{part}.safetensors", framework="pt") as file:
            training[part] = json.loads(file.metadata()["facts"])
            for name in file.keys():  # noqa: SIM118
                if name.startswith("average."):
                    tensors[prefix + name.removeprefix("average.")] = file.get_tensor(name)
    data = save(tensors)
    facts = dataclasses.asdict(fresh_description(guidance))
    facts |= {"sha256": hashlib.sha256(data).hexdigest(), "training": training}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "tiny.safetensors", data)
    write_atomically(folder / "tiny.json", (json.dumps(facts, indent=1) + "\n").encode())
    return folder / "tiny.safetensors"


def fresh_description(guidance: Guidance = GUIDANCE) -> TinyDescription:
    """Describe the sizes that training uses, before there are weights."""
    return TinyDescription(
        sha256="",
        model=MODEL,
        sampler=SAMPLER,
        autoencoder=ConvVAEConfig(),
        guidance=guidance,
        words=WORDS,
        training={},
    )
