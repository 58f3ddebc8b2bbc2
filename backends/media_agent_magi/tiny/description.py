"""What `weights/tiny.json` says of the weights beside it. No torch here."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_agent_magi.engine.config import ConvVAEConfig, ModelConfig, SamplerConfig

WEIGHTS = Path(__file__).parent / "weights"


class WeightsError(ValueError):
    """Weights that are missing, damaged, or do not fit their description."""


@dataclass(frozen=True, slots=True)
class Guidance:
    """Text guidance of the first chunk, of a chunk whose prompt is new, and of all others."""

    first: float
    switch: float
    steady: float


@dataclass(frozen=True, slots=True)
class TinyDescription:
    """Sizes, sampling, words and history of the shipped weights."""

    sha256: str
    model: ModelConfig
    sampler: SamplerConfig
    autoencoder: ConvVAEConfig
    guidance: Guidance
    words: tuple[str, ...]
    training: dict[str, Any]

    @classmethod
    def read(cls, folder: Path = WEIGHTS) -> "TinyDescription":
        """Read `tiny.json` in a folder.

        Raises:
            WeightsError: The file is missing, not JSON, or says something unknown.
        """
        path = folder / "tiny.json"
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                sha256=facts["sha256"],
                model=ModelConfig.from_dict(facts["model"]),
                sampler=SamplerConfig.from_dict(facts["sampler"]),
                autoencoder=ConvVAEConfig.from_dict(facts["autoencoder"]),
                guidance=Guidance(**facts["guidance"]),
                words=tuple(facts["words"]),
                training=facts["training"],
            )
        except OSError as error:
            raise WeightsError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"cannot use {path}: {type(error).__name__}: {error}") from error
