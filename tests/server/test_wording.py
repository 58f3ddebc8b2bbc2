"""Errors in the words of whoever calls over HTTP."""

import pytest

from media_agent.server.jobs.verdict import choose_next_step, may_be_accepted
from media_agent.server.wording import to_http
from media_agent_schemas.errors import ErrorInfo


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("media-agent jobs resume 7 fetches it", "POST /v1/jobs/7/resume fetches it"),
        ("media-agent jobs list shows the jobs", "GET /v1/jobs shows the jobs"),
        ("media-agent jobs rm 7-a", "DELETE /v1/jobs/7-a"),
        ("media-agent backends lists them", "GET /v1/backends lists them"),
        ("media-agent branch 7 --at 3 keeps them", "POST /v1/jobs/7/branch keeps them"),
        ("raise --max-cost", "raise max_cost_usd"),
        ("--allow-unknown-words sends them", '"allow_unknown_words": true sends them'),
        ("/home/a/data/x.png is damaged", "x.png is damaged"),
        ("a fox/dog", "a fox/dog"),
    ],
)
def test_commands_are_routes_and_paths_are_names(said: str, told: str) -> None:
    assert to_http(said) == told


@pytest.mark.parametrize(
    ("code", "accepted", "step"),
    [
        ("invalid_request", False, "fix it"),
        ("submit_uncertain", True, "before you create it again"),
        ("internal", None, "before you create it again"),
    ],
)
def test_the_next_step_never_buys_twice(code: str, accepted: bool | None, step: str) -> None:
    error = ErrorInfo(code=code, message="no", hint="fix it")

    assert may_be_accepted(code) is accepted
    assert step in choose_next_step(error, accepted=accepted)
