"""What an answer means with any provider: asked too often, or out of credit."""

import json
from dataclasses import replace

import pytest

from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    SubmitUncertainError,
    from_info,
    to_info,
)
from media_agent_hosted.http.replies import Reply, error_of, general_error

SECRET = "sk-0123456789abcdef"


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


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": "rate_limit_exceeded", "message": "Too many"}}, "rate_limit_exceeded"),
        ({"error": {"type": "tokens", "code": None, "message": "Too many"}}, "tokens"),
        ({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, "RESOURCE_EXHAUSTED"),
        ({"code": 1303, "message": "too many parallel tasks"}, "1303"),
        ({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, "1002"),
        ({"output": {"code": "Throttling.RateQuota", "message": "slow"}}, "Throttling.RateQuota"),
        ({"error": "payment required"}, None),
        ({"error": {"code": "please wait for a minute", "message": "Too many"}}, None),
        ({"error": {"code": "x" * 65, "message": "Too many"}}, None),
        ({"error": {"code": f"key-{SECRET}", "message": "Too many"}}, None),
        ({}, None),
    ],
)
def test_an_error_has_the_code_that_the_provider_gives_it(body: object, code: str | None) -> None:
    reply = replace(answered(body), secrets=frozenset({SECRET}))

    error = error_of(reply, None)

    assert error.provider_code == code
    assert from_info(to_info(error)).provider_code == code


def test_the_code_stays_where_nobody_knows_what_became_of_a_paid_request() -> None:
    reply = replace(answered({"error": {"code": "overloaded", "message": "busy"}}), status=503)

    error = error_of(reply, None)

    assert isinstance(error, SubmitUncertainError)
    assert error.provider_code == "overloaded"
