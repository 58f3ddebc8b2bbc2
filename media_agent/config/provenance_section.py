"""How finished videos are signed and marked, under [provenance]."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from media_agent.builtin.program_environment import VariableName
from media_agent.config.key_sections import KeySource, PlainPath
from media_agent.environment import expand_home
from media_agent.provenance.c2pa.signing import Signing
from media_agent_schemas.request import VisibleLabel


class ProvenanceSection(KeySource):
    """How finished videos say that AI made them: signed, with whose certificate, and in frames."""

    sign: Literal["require", "try", "off"] = Field(
        default="try",
        description="require: a video that cannot be signed is not made; try: it is made, and said "
        "to be unsigned; off: none is signed.",
    )
    certificate: PlainPath | None = Field(
        default=None,
        description="The certificate and those that issued it, as PEM, without the root; default: "
        "one for development, made on this machine.",
    )
    key: SecretStr | None = Field(
        default=None, min_length=1, description="The private key of the certificate, as PEM."
    )
    key_env: VariableName | None = Field(
        default=None, description="Variable that holds the private key."
    )
    key_file: PlainPath | None = Field(default=None, description="File that holds the private key.")
    callback: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="Function that signs where the key is elsewhere: package.module:function.",
    )
    timestamp_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s@]+$",
        description="Timestamp authority (RFC 3161) to ask; default: none.",
    )
    trust_anchors: tuple[PlainPath, ...] = Field(
        default=(),
        description="Files with root certificates, as PEM, whose signatures are trusted.",
    )
    record_prompt: bool = Field(
        default=False, description="Whether the prompt itself is signed too, not only its digest."
    )

    watermark: Literal["off", "encoded", "all"] = Field(
        default="off",
        description="encoded: frames that are encoded here anyway are marked, imperceptibly, with "
        "what finds their job; all: downloads too, which are encoded again for it.",
    )
    visible_label: VisibleLabel | None = Field(
        default=None,
        description="Words drawn in a corner of every frame, such as AI-generated; downloads are "
        "encoded again for it.",
    )

    def values_in(self, key: SecretStr) -> tuple[str, ...]:
        """Return what must not be shown of a key: all of it, and each of its lines."""
        text = key.get_secret_value()
        lines = (line.strip() for line in text.splitlines())
        return (text, *(line for line in lines if line and not line.startswith("-----")))

    def signing(self, data_dir: Path) -> Signing:
        """Return how videos are signed; the key is read when it is needed."""
        return Signing(
            policy=self.sign,
            folder=data_dir / "provenance",
            certificate=None if self.certificate is None else expand_home(self.certificate),
            find_key=self.find_key,
            callback=self.callback,
            timestamp_url=self.timestamp_url,
            records_prompts=self.record_prompt,
        )
