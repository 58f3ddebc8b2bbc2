"""What a video says, signed, of where it comes from (C2PA); and what was read of that."""

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue

from media_agent_schemas.base import Document, Schema, Sha256


class SignerKind(StrEnum):
    """Whose certificate signs."""

    DEVELOPMENT = "development"
    CERTIFICATE = "certificate"
    CALLBACK = "callback"


class Signature(Schema):
    """Whether a file was signed when it was delivered, and by whom; else why not."""

    signed: bool = Field(description="Whether its manifest says who made it, signed.")
    reason: str | None = Field(default=None, description="Why it is not signed; null: it is.")
    kind: SignerKind | None = Field(
        default=None,
        description="development: a certificate made on this machine, which nobody else trusts; "
        "certificate: that of the settings; callback: the same, its key elsewhere.",
    )
    signer: str | None = Field(default=None, description="Name in the certificate.")
    expires_at: AwareDatetime | None = Field(
        default=None, description="When the certificate expires."
    )
    timestamped: bool = Field(
        default=False, description="Whether a timestamp authority says when it was signed."
    )
    ingredients: int = Field(
        default=0, ge=0, description="What it was made from, as its manifest lists it."
    )
    kept_manifests: int = Field(
        default=0, ge=0, description="How many of the ingredients bring a manifest of their own."
    )


class SignedAdjustment(Schema):
    """A change to the request, without the words of a prompt."""

    field: str = Field(description="Field of the request.")
    asked: JsonValue = Field(default=None, description="The value asked, if it is no text.")
    used: JsonValue = Field(default=None, description="The value used, if it is no text.")
    reason: str | None = Field(default=None, description="Why, in words.")


class GenerationAssertion(Schema):
    """How a video was generated: the content of our own assertion in its manifest."""

    version: Literal[1] = Field(default=1, description="Version of this assertion.")
    job_id: str = Field(description="The job that made it.")
    backend: str = Field(description="Name of the backend.")
    kind: str | None = Field(
        default=None, description="The backend behind a name from the settings."
    )
    model: str = Field(description="Name of the model.")
    weights_sha256: Sha256 | None = Field(default=None, description="Digest of the weights.")
    seed: int | None = Field(default=None, description="The seed used.")
    adjustments: tuple[SignedAdjustment, ...] = Field(
        default=(), description="What was changed of what was asked."
    )
    prompts_sha256: tuple[Sha256, ...] = Field(
        default=(), description="SHA-256 of the UTF-8 text of each shot's prompt, as asked."
    )
    prompts: tuple[str, ...] = Field(
        default=(), description="The prompts themselves, if the settings ask for them."
    )
    inputs_sha256: tuple[Sha256 | None, ...] = Field(
        default=(), description="Digests of the inputs, in order; null: fetched from a url."
    )
    parent_job: str | None = Field(default=None, description="The job whose video was continued.")
    software: str | None = Field(default=None, description="Version of media-agent.")
    created_at: AwareDatetime | None = Field(default=None, description="The job was accepted.")


class ProvenanceState(StrEnum):
    """What is to be thought of a file by its manifest."""

    TRUSTED = "trusted"
    VALID = "valid"
    INVALID = "invalid"
    NONE = "none"
    UNKNOWN = "unknown"


class IngredientReport(Schema):
    """One of the things that a video was made from."""

    title: str | None = Field(default=None, description="What it is called in the manifest.")
    relationship: str | None = Field(
        default=None, description="parentOf, componentOf or inputTo, as C2PA defines them."
    )
    state: ProvenanceState = Field(description="What its own manifest is worth; none: it has none.")
    signer: str | None = Field(default=None, description="Who signed its manifest.")
    generator: str | None = Field(default=None, description="The program that made its manifest.")
    ai_generated: bool | None = Field(
        default=None, description="Whether its manifest says so; null: it has none."
    )


class FoundWatermark(Schema):
    """A watermark that was read in a video, and whose it is."""

    payload: str = Field(pattern=r"^0x[0-9a-f]{8}$", description="Its 32 bits.")
    jobs: tuple[str, ...] = Field(
        default=(),
        description="Jobs of the ledger with this payload: one; by chance several; none: the "
        "video was made elsewhere.",
    )
    start: int = Field(ge=0, description="First frame in which it was found.")
    end: int = Field(ge=0, description="The frame after the last.")


class ProvenanceReport(Document):
    """What a file says of where it comes from, and whether that can be relied on."""

    state: ProvenanceState = Field(
        description="trusted: unchanged, signed by one of the trust anchors; valid: unchanged, "
        "signed by somebody else; invalid: changed since, or badly signed; none: no manifest; "
        "unknown: it was not looked at, as c2pa is missing."
    )
    ai_generated: bool | None = Field(
        default=None, description="Whether its manifest says that AI made it; null: none was read."
    )
    signer: str | None = Field(default=None, description="Name in the certificate.")
    issuer: str | None = Field(default=None, description="Organisation in the certificate.")
    is_development: bool = Field(
        default=False, description="Whether the certificate calls itself one for development."
    )
    signed_at: AwareDatetime | None = Field(
        default=None, description="When it was signed, if a timestamp authority says it."
    )
    is_time_trusted: bool = Field(
        default=False, description="Whether that authority is among the trust anchors."
    )
    claimed_at: AwareDatetime | None = Field(
        default=None, description="When it was made, as the signer says."
    )
    generator: str | None = Field(
        default=None, description="The program that made the manifest, with its version."
    )
    generation: GenerationAssertion | None = Field(
        default=None,
        description="How it was generated, as the signer says in the assertion of "
        "media-agent; whoever signs can write one.",
    )
    ingredients: tuple[IngredientReport, ...] = Field(
        default=(), description="What it was made from."
    )
    problems: tuple[str, ...] = Field(
        default=(), description="What is wrong, as C2PA's codes or in words."
    )
    watermarks: tuple[FoundWatermark, ...] | None = Field(
        default=None,
        description="Watermarks in the frames, whether there is a manifest or not; null: not "
        "looked for.",
    )
