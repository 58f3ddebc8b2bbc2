"""Declares the policy; httpx is imported when it is used."""

from collections.abc import Iterable

from media_agent.backend.hookspecs import hookimpl
from media_agent.policy.decisions import PolicySettings, PolicySpec, VideoPolicy


def make(settings: PolicySettings) -> VideoPolicy:
    """Build the policy."""
    from media_agent_moderation.policy import ModerationPolicy, read_options

    return ModerationPolicy(read_options(settings), settings.key)


@hookimpl
def media_agent_policies() -> Iterable[PolicySpec]:
    """Offer the kind of policy "moderation"."""
    return [PolicySpec("moderation", make)]
