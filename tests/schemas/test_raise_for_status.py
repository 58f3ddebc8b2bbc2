"""A job that did not complete raises what went wrong with it."""

from datetime import UTC, datetime

import pytest

from media_agent import (
    ContentRejectedError,
    ErrorInfo,
    GenerationFailedError,
    JobCancelledError,
    JobStatus,
    MediaAgentError,
    VideoJob,
    VideoRequest,
)
from media_agent.errors import from_info
from media_agent_schemas import Plan, Policy
from media_agent_schemas.errors import JobEndedError, _as_plain_error, raise_as, to_exception

REJECTED = ErrorInfo(code="content_rejected", message="not that", hint="another prompt")


def job(status: JobStatus, error: ErrorInfo | None = None) -> VideoJob:
    now, request = datetime(2026, 1, 1, tzinfo=UTC), VideoRequest(prompt="a")
    plan = Plan(backend="b", model="m", policy=Policy.ADJUST, request=request)
    return VideoJob(
        id="job-1",
        status=status,
        created_at=now,
        updated_at=now,
        request=request,
        plan=plan,
        error=error,
    )


@pytest.mark.parametrize("status", ["completed", "queued", "in_progress"])
def test_a_job_that_did_not_fail_is_returned(status: str) -> None:
    one = job(JobStatus(status))

    assert one.raise_for_status() is one


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        ("failed", REJECTED, ContentRejectedError),
        ("outcome_unknown", REJECTED, ContentRejectedError),
        ("failed", ErrorInfo(code="of a plugin", message="no"), GenerationFailedError),
        ("cancelled", None, JobCancelledError),
    ],
)
def test_a_job_without_its_video_raises_the_error_in_its_class(
    status: str, error: ErrorInfo | None, kind: type[MediaAgentError]
) -> None:
    with pytest.raises(kind) as caught:
        job(JobStatus(status), error).raise_for_status()

    assert caught.value.hint == (None if error is None else error.hint)
    assert caught.value.message == ("job job-1 was stopped" if error is None else error.message)


def test_without_the_client_it_is_an_error_too() -> None:
    raise_as(_as_plain_error)
    try:
        with pytest.raises(JobEndedError, match="not that"):
            raise to_exception(REJECTED)
    finally:
        raise_as(from_info)
