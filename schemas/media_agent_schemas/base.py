"""What every wire type has in common: frozen, unknown fields refused, a version on documents."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A finite length of time above zero, in seconds."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in lower-case hexadecimal."""

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


class Document(Schema):
    """A schema that is stored or sent on its own, and therefore says its version."""

    schema_version: Literal["1"] = Field("1", description="Version of this schema.")
