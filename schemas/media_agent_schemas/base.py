"""What every wire type has in common: frozen, unknown fields refused, a version on documents."""

import math
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

SCHEMA_VERSION: Final = "2"
"""The version of every document; one of another version is refused, not guessed at."""

MOST_USD: Final = 1e6
"""The most that one job can cost, in USD: beyond it an amount is no amount, but a fault."""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A finite length of time above zero, in seconds."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in lower-case hexadecimal."""

_DIGITS = 4  # of an amount below 10 USD
_MOST_DECIMALS = 15  # beyond them a number has no digits that it was given


def round_usd(usd: float) -> float:
    """Return an amount without the noise of arithmetic: to the cent, or to four digits."""
    if usd == 0 or not math.isfinite(usd):
        return usd
    return round(usd, max(2, _DIGITS - 1 - math.floor(math.log10(abs(usd)))))


def known_usd(usd: float | None) -> float | None:
    """Return what one job costs, rounded; None: unknown, or more than any can cost.

    Sums of what is kept stay finite by that, in every database.
    """
    return round_usd(usd) if usd is not None and usd <= MOST_USD else None


def format_memory(count: int) -> str:
    """Return an amount of memory for people: in GiB, as drivers and programs count it."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 / 10 else f"{count / 2**20:.0f} MiB"


def format_usd(usd: float) -> str:
    """Return an amount as people write it: cents, and more digits only where a cent is much."""
    rounded = round_usd(usd)
    if abs(rounded) >= 1 or round(rounded, 2) == rounded:
        return f"{rounded:.2f}"
    return f"{rounded:.{_MOST_DECIMALS}f}".rstrip("0")


def format_usd_together(*amounts: float) -> tuple[str, ...]:
    """Return the amounts of one message: all to the place of the finest, so that they add up."""
    decimals = max(len(format_usd(usd).partition(".")[2]) for usd in amounts)
    return tuple(_strip_zeros(f"{usd:.{decimals}f}") for usd in amounts)


def _strip_zeros(text: str) -> str:
    """Return a number without zeros at its end, but for the cents."""
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"


Usd = Annotated[float, Field(ge=0), AfterValidator(round_usd)]
"""An amount in USD, rounded where it is made, so that no sum shows the noise of its terms."""


def _refuse_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("it should be a number, not true or false")
    return value


def _drop_beyond_most(usd: object) -> object:
    is_number = isinstance(usd, int | float) and not isinstance(usd, bool)
    return None if is_number and not usd <= MOST_USD else usd  # type: ignore[operator]


PriceUsd = Annotated[Usd | None, BeforeValidator(_drop_beyond_most)]
"""What one job costs, in USD; None: unknown, as is more than any can cost."""

OnlyNumbers = BeforeValidator(_refuse_boolean)
"""Takes a number, or its text such as "3", and nothing else; true is no 1."""

TriState = bool | Literal["unknown"]
"""A fact that may not be known; test it with `is True` or `is False`, never by truth."""


class Schema(BaseModel):
    """A frozen value that crosses a process; an unknown field is an error, not a guess."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,  # JSON has no such number: it would not be read again
        use_attribute_docstrings=False,
        val_json_bytes="base64",
        ser_json_bytes="base64",
    )


class Asked(Schema):
    """What a caller fills in: null and "" mean "not given" in every field that may be left out."""

    @model_validator(mode="before")
    @classmethod
    def _drop_what_is_not_given(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        fields = cls.model_fields
        return {
            name: value
            for name, value in data.items()
            if not (value is None or value == "")
            or name not in fields
            or fields[name].is_required()
        }


class Document(Schema):
    """A schema that is stored or sent on its own, and therefore says its version."""

    schema_version: Literal["2"] = Field(
        default=SCHEMA_VERSION, description="Version of this schema."
    )

    @model_validator(mode="before")
    @classmethod
    def _check_version(cls, data: object) -> object:
        """Say that it is another version, before its fields are found wrong one by one."""
        if not isinstance(data, Mapping):
            return data
        version = data.get("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise ValueError(
                f"it has schema version {version!r} and this media-agent reads {SCHEMA_VERSION!r}: "
                "read it with the media-agent that wrote it, or have it written again"
            )
        return data
