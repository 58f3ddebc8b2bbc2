"""Video services that ended, so that whoever names one is told so, and nothing is sent."""

from datetime import date

from media_agent.backend.protocol import BackendSettings, BackendSpec, Retirement, VideoBackend

_OPENAI = Retirement(
    "OpenAI's video API (Sora)",
    date(2026, 9, 24),
    "openai-python, pull request 3610",
    "its protocol lives on: kind openai-compatible, for servers of your own",
)
_AZURE = Retirement(
    "Sora 2 at Azure OpenAI",
    date(2026, 11, 2),
    "litellm 1.109.1; unverified with Microsoft",
    "its protocol lives on: kind openai-compatible, for servers of your own",
)
_NOVA_REEL = Retirement("Amazon Nova Reel", date(2026, 9, 30), "the model card at AWS Bedrock")
_RETIRED = {
    "openai": _OPENAI,
    "sora": _OPENAI,
    "sora-2": _OPENAI,
    "sora-2-pro": _OPENAI,
    "azure-openai": _AZURE,
    "nova-reel": _NOVA_REEL,
    "amazon-nova-reel": _NOVA_REEL,
    "amazon.nova-reel-v1": _NOVA_REEL,
}


def retired_specs() -> list[BackendSpec]:
    """Return the names of services that ended, each with what is known of its end."""
    return [
        BackendSpec(name=name, factory=_make, retired=retired) for name, retired in _RETIRED.items()
    ]


def _make(settings: BackendSettings) -> VideoBackend:
    """Refuse: nothing is left to be made."""
    raise _RETIRED[settings.name].to_error()
