"""Video services that are asked for and not supported, each with what is known of its API."""

from media_agent.backend.protocol import BackendSettings, BackendSpec, Unsupported, VideoBackend

_UNSUPPORTED = {
    "genmo": Unsupported(
        "Genmo's own API",
        "no documentation, client or program was found that shows one",
        "Mochi 1 runs on your machine (diffusers), and maybe still at fal and replicate: "
        "fal/fal-ai/mochi-v1, replicate/genmoai/mochi-1",
    ),
    "sand-ai": Unsupported(
        "Sand AI's own API of MAGI-1",
        "only its first call is known, POST /v1/generations at api.sand.ai with a key from "
        "platform.sand.ai, and neither its fields, nor how its work is polled, nor prices",
        "MAGI-1 is at fal: fal/fal-ai/magi-distilled",
    ),
    "pika": Unsupported(
        "Pika's own API",
        "none is known; Pika names fal as the place of its API",
        "use fal/fal-ai/pika/v2.2/text-to-video",
    ),
}


def unsupported_specs() -> list[BackendSpec]:
    """Return the names of services that are not supported, each with the reason."""
    return [
        BackendSpec(name=name, factory=_make, unsupported=unsupported)
        for name, unsupported in _UNSUPPORTED.items()
    ]


def _make(settings: BackendSettings) -> VideoBackend:
    """Refuse: nothing can be made."""
    raise _UNSUPPORTED[settings.name].to_error()
