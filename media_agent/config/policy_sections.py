"""The settings of policies, each under [policies.NAME]."""

from pydantic import Field, JsonValue

from media_agent.config.key_sections import KeySource, PlainPath
from media_agent.policy.decisions import PolicyRule, PolicySettings


class PolicySection(KeySource):
    """One policy, asked before and after work; several are asked in the order of their names."""

    kind: str | None = Field(
        default=None, min_length=1, description="Kind of policy; default: the one called NAME."
    )
    for_all: bool = Field(
        default=True,
        description="Whether it is asked about every request; false: only about those of API keys "
        "that name it.",
    )
    timeout_seconds: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="How long it may take; later than that it has failed, and nothing is sent.",
    )
    options: dict[str, JsonValue] = Field(default={}, description="Options of the policy.")
    folder: PlainPath | None = Field(
        default=None, description="Base folder of relative paths; default: the folder of the file."
    )

    def as_rule(self, name: str) -> PolicyRule:
        """Return what asks the policy.

        Raises:
            ConfigurationError: the file with its key cannot be read.
        """
        return PolicyRule(
            self.kind or name,
            PolicySettings(name, self.options, self.find_key(), self.folder),
            for_all=self.for_all,
            timeout_seconds=self.timeout_seconds,
        )
