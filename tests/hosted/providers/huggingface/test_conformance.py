"""Hugging Face keeps the contract of a backend with each kind of partner, on its simulator."""

from media_agent_hosted.providers.huggingface import SPEC
from media_agent_schemas.jobs import OperationRef
from tests.hosted.provider_kit import ProviderConformance


class TestWanAtFal(ProviderConformance):
    """A queue that tells state and result apart."""

    spec = SPEC
    model = "fal-ai/Wan-AI/Wan2.2-T2V-A14B"


class TestWanAtWaveSpeed(ProviderConformance):
    """Tasks whose replies are wrapped."""

    spec = SPEC
    model = "wavespeed/Wan-AI/Wan2.2-TI2V-5B"


class TestWanAtNovita(ProviderConformance):
    """A call that blocks until the video is made."""

    spec = SPEC
    model = "novita/Wan-AI/Wan2.1-T2V-14B"

    def unknown_ref(self, known: OperationRef) -> OperationRef:
        """Return one without a video: what was made is in the reference itself."""
        data = {"path": known.data["path"]}
        return known.model_copy(update={"operation_id": "no-such-work", "data": data})
