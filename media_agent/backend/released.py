"""Models whose released files lie in several repositories, as a backend names them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReleasedPart:
    """A repository of the Hugging Face Hub, and what of it is needed."""

    repository: str
    files: tuple[str, ...]
    shared: str | None = None
    """The folder beside those of the models, for a part that several models have; None: it lies in
    the folder of the model."""


@dataclass(frozen=True, slots=True)
class ReleasedModel:
    """What a model is made of, and on whose terms."""

    parts: tuple[ReleasedPart, ...]
    """The first is what tells it from other models."""
    licence: str
    """Of its weights, as far as anybody knows."""
