"""What an answer means with any provider: asked too often, or out of credit."""

import json

import pytest

from media_agent.errors import BackendAuthenticationError, BackendRateLimitError
from media_agent_hosted.http.replies import Reply, general_error


def answered(body: object, **headers: str) -> Reply:
    content = json.dumps(body).encode()
    return Reply(status=429, headers=headers, content=content, host="api.example", paid=True)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": "insufficient_quota", "message": "You exceeded your quota"}},
        {"message": "Account balance not enough"},
        {"detail": "Your credits are used up"},
        {"error": "payment required"},
        {"code": 1102, "message": "insufficient balance"},
    ],
)
def test_too_many_requests_may_mean_too_little_credit(body: object) -> None:
    error = general_error(answered(body))

    assert isinstance(error, BackendAuthenticationError)
    assert error.hint == "add credit there"


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": "rate_limit_exceeded", "message": "Too many requests"}},
        {"message": "Quota exceeded for requests per minute"},
        {"detail": "5 concurrent jobs are the limit"},
        {},
    ],
)
def test_any_other_means_to_wait(body: object) -> None:
    assert isinstance(general_error(answered(body)), BackendRateLimitError)


def test_who_says_when_to_come_back_means_to_wait() -> None:
    said = {"message": "You exceeded your current quota, check your plan and billing details"}

    error = general_error(answered(said, **{"retry-after": "20"}))

    assert isinstance(error, BackendRateLimitError)
    assert error.retry_after == 20
