"""What `weights/tiny.json` says of the weights beside it. No torch here."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from media_agent_magi.engine.config import ConvVAEConfig, ModelConfig, SamplerConfig
from media_agent_magi.engine.guidance_table import GuidanceTable
from media_agent_magi.generating.family import WeightsError

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class Guidance:
    """Text guidance of the first chunk, of a chunk whose prompt is new, and of all others."""

    first: float
    switch: float
    steady: float

    def facts(self) -> dict[str, Any]:
        """Return its numbers."""
        return asdict(self)

    def table(self, *, is_first: bool, is_new: bool) -> GuidanceTable:
        """Return the table of a chunk: text guidance alone, stronger where the prompt is new."""
        scale = self.first if is_first else self.switch if is_new else self.steady
        return GuidanceTable((0.0,), (1.0,), (scale,))


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
