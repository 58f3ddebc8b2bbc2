"""Describe a video and get it: the client, what it takes and returns, its events and errors.

Everything a program needs is imported from here; each name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from media_agent.client import VideoClient
    from media_agent.config.settings import Settings, load_settings
    from media_agent.errors import (
        AuthenticationError,
        BackendAuthenticationError,
        BackendError,
        BackendRateLimitError,
        BackendRefusedError,
        BackendResponseError,
        BackendUnavailableError,
        BelowQualityError,
        BudgetExceededError,
        ConfigurationError,
        ContentRejectedError,
        ForbiddenError,
        GenerationFailedError,
        IdempotencyConflictError,
        InvalidRequestError,
        JobCancelledError,
        JobError,
        JobNotFoundError,
        LedgerBusyError,
        MediaAgentError,
        ModelRetiredError,
        NotResumableError,
        OperationNotFoundError,
        PluginError,
        PolicyFailedError,
        PolicyRefusedError,
        RateLimitError,
        RequestError,
        StorageError,
        SubmitUncertainError,
        TooLargeError,
        TooSlowError,
        UnsupportedRequestError,
        VideoNotFetchedError,
        VideoNotReadyError,
    )
    from media_agent.provenance.record import read_record
    from media_agent.sync import BlockingVideoClient
    from media_agent_schemas.capabilities import Capabilities
    from media_agent_schemas.errors import ErrorInfo
    from media_agent_schemas.estimate import Estimate
    from media_agent_schemas.events import (
        ChunkReady,
        JobCancelled,
        JobCompleted,
        JobEvent,
        JobFailed,
        JobOutcomeUnknown,
        JobProgressed,
        JobStarted,
        PromptChanged,
    )
    from media_agent_schemas.jobs import JobStatus, VideoJob
    from media_agent_schemas.media import (
        Artifact,
        ArtifactKind,
        CameraMove,
        InputRole,
        MediaInput,
        ResolutionTier,
        Size,
        SourceJoin,
        VideoMetadata,
    )
    from media_agent_schemas.plan import Adjustment, Plan, PlanReport, Policy
    from media_agent_schemas.records import GenerationRecord
    from media_agent_schemas.request import (
        Budget,
        Routing,
        RoutingPreference,
        Shot,
        VideoMode,
        VideoRequest,
    )

_NAMES = {
    "media_agent.client": "VideoClient",
    "media_agent.sync": "BlockingVideoClient",
    "media_agent_schemas.request": "VideoRequest Shot VideoMode Budget Routing RoutingPreference",
    "media_agent_schemas.media": "MediaInput InputRole Size CameraMove ResolutionTier Artifact "
    "ArtifactKind VideoMetadata SourceJoin",
    "media_agent_schemas.jobs": "VideoJob JobStatus",
    "media_agent_schemas.events": "JobEvent JobStarted JobProgressed ChunkReady PromptChanged "
    "JobCompleted JobFailed JobCancelled JobOutcomeUnknown",
    "media_agent_schemas.plan": "Plan Policy Adjustment PlanReport",
    "media_agent_schemas.estimate": "Estimate",
    "media_agent_schemas.capabilities": "Capabilities",
    "media_agent_schemas.records": "GenerationRecord",
    "media_agent.provenance.record": "read_record",
    "media_agent.config.settings": "Settings load_settings",
    "media_agent_schemas.errors": "ErrorInfo",
    "media_agent.errors": "MediaAgentError RequestError InvalidRequestError "
    "UnsupportedRequestError ContentRejectedError BudgetExceededError BackendError "
    "BackendAuthenticationError BackendRateLimitError BackendUnavailableError ModelRetiredError "
    "BackendResponseError VideoNotFetchedError BackendRefusedError SubmitUncertainError "
    "GenerationFailedError BelowQualityError PolicyRefusedError PolicyFailedError LedgerBusyError "
    "JobError JobNotFoundError OperationNotFoundError "
    "IdempotencyConflictError JobCancelledError NotResumableError ConfigurationError PluginError "
    "StorageError AuthenticationError ForbiddenError RateLimitError TooLargeError TooSlowError "
    "VideoNotReadyError LedgerBusyError",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}

__all__ = [
    "Adjustment",
    "Artifact",
    "ArtifactKind",
    "AuthenticationError",
    "BackendAuthenticationError",
    "BackendError",
    "BackendRateLimitError",
    "BackendRefusedError",
    "BackendResponseError",
    "BackendUnavailableError",
    "BelowQualityError",
    "BlockingVideoClient",
    "Budget",
    "BudgetExceededError",
    "CameraMove",
    "Capabilities",
    "ChunkReady",
    "ConfigurationError",
    "ContentRejectedError",
    "ErrorInfo",
    "Estimate",
    "ForbiddenError",
    "GenerationFailedError",
    "GenerationRecord",
    "IdempotencyConflictError",
    "InputRole",
    "InvalidRequestError",
    "JobCancelled",
    "JobCancelledError",
    "JobCompleted",
    "JobError",
    "JobEvent",
    "JobFailed",
    "JobNotFoundError",
    "JobOutcomeUnknown",
    "JobProgressed",
    "JobStarted",
    "JobStatus",
    "LedgerBusyError",
    "MediaAgentError",
    "MediaInput",
    "ModelRetiredError",
    "NotResumableError",
    "OperationNotFoundError",
    "Plan",
    "PlanReport",
    "PluginError",
    "Policy",
    "PolicyFailedError",
    "PolicyRefusedError",
    "PromptChanged",
    "RateLimitError",
    "RequestError",
    "ResolutionTier",
    "Routing",
    "RoutingPreference",
    "Settings",
    "Shot",
    "Size",
    "SourceJoin",
    "StorageError",
    "SubmitUncertainError",
    "TooLargeError",
    "TooSlowError",
    "UnsupportedRequestError",
    "VideoClient",
    "VideoJob",
    "VideoMetadata",
    "VideoMode",
    "VideoNotFetchedError",
    "VideoNotReadyError",
    "VideoRequest",
    "load_settings",
    "read_record",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: `import media_agent` alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return __all__
