"""What the settings may say about this backend, under [backends.opensora] options."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from media_agent.backend.protocol import BackendSettings
from media_agent_opensora.models import MODELS
from media_agent_schemas.base import Schema


def _check_model(name: str) -> str:
    if name not in MODELS:
        raise ValueError(f"there is no model {name!r}; there are {', '.join(MODELS)}")
    return name


class OpenSoraOptions(Schema):
    """Where Open-Sora is, and on what it runs."""

    checkout: Path | None = Field(
        default=None, description="The folder with its repository, of version 2.0."
    )
    torchrun: Path = Field(
        default=Path("torchrun"), description="torchrun of the environment that it is installed in."
    )
    ckpts: Path | None = Field(
        default=None, description="The folder with its weights; default: ckpts in the checkout."
    )
    gpus: tuple[Annotated[int, Field(ge=0, le=127)], ...] = Field(
        default=(),
        max_length=8,
        description="Numbers of the GPUs, as nvidia-smi lists them; none: the first one.",
    )
    models: tuple[Annotated[str, AfterValidator(_check_model)], ...] = Field(
        default=tuple(MODELS), min_length=1, description="Models to offer, the default first."
    )


def resolve_path(path: Path, settings: BackendSettings) -> Path:
    """Return a path of the settings, which counts from the folder of their file."""
    return ((settings.folder or Path()) / path.expanduser()).absolute()
