"""How finished videos are signed: what the settings say of it, and whether it can be done."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import SecretStr


def _no_key() -> SecretStr | None:
    return None


@dataclass(frozen=True, slots=True)
class Signing:
    """What the settings say; without a certificate one is made for development."""

    policy: Literal["require", "try", "off"] = "off"
    folder: Path = Path()
    """Where the development certificate is kept."""
    certificate: Path | None = None
    find_key: Callable[[], SecretStr | None] = _no_key
    """Returns the private key of the certificate, in PEM; it is read when it is needed."""
    callback: str | None = None
    """A Python function that signs instead, as "package.module:function"."""
    timestamp_url: str | None = None
    records_prompts: bool = False

    @property
    def is_on(self) -> bool:
        """Whether videos are to be signed."""
        return self.policy != "off"
