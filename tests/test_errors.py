import re

import pytest

from media_agent import errors
from media_agent.error_codes import OUTCOMES, exit_code, http_status
from media_agent.errors import (
    BackendRateLimitError,
    GenerationFailedError,
    JobNotFoundError,
    MediaAgentError,
    Mismatch,
    UnsupportedRequestError,
    error_classes,
    from_info,
    to_info,
)
from media_agent_schemas import ErrorInfo

TREE = [*error_classes()]


def test_every_error_has_a_code_of_its_own():
    codes = [error_class.code for error_class in TREE]

    assert len(set(codes)) == len(codes)


def test_every_code_has_an_outcome_and_every_outcome_a_code():
    assert {error_class.code for error_class in TREE} == set(OUTCOMES)


def test_the_drawing_of_the_tree_is_the_tree():
    drawn = re.findall(r"^ +(\w+Error)\b", errors.__doc__ or "", flags=re.MULTILINE)

    assert drawn == [error_class.__name__ for error_class in TREE]


def test_exit_codes_never_say_success_and_differ_where_the_remedy_differs():
    codes = [outcome.exit_code for outcome in OUTCOMES.values()]

    assert min(codes) > 0
    assert OUTCOMES["job_cancelled"].exit_code == 130
    assert OUTCOMES["invalid_request"].exit_code != OUTCOMES["backend_unavailable"].exit_code


@pytest.mark.parametrize("error_class", TREE)
def test_an_error_survives_the_way_through_data(error_class):
    error = error_class("frame 3 is odd", hint="make it even")

    info = to_info(error)
    again = from_info(ErrorInfo.model_validate_json(info.model_dump_json()))

    assert type(again) is error_class
    assert (again.message, again.hint) == ("frame 3 is odd", "make it even")
    assert info.retryable is error_class.retryable
    assert exit_code(info) == exit_code(error) == OUTCOMES[error_class.code].exit_code
    assert http_status(info) == http_status(error)


def test_an_error_outside_the_tree_is_internal_and_named():
    info = to_info(ZeroDivisionError("by zero"))

    assert (info.code, info.message) == ("internal", "ZeroDivisionError: by zero")
    assert (exit_code(ZeroDivisionError()), http_status(ZeroDivisionError())) == (1, 500)


def test_a_code_nobody_knows_is_a_failed_generation():
    info = ErrorInfo(code="acme_4711", message="melted")

    assert type(from_info(info)) is GenerationFailedError
    assert exit_code(info) == exit_code(GenerationFailedError(""))


def test_all_mismatches_are_said_at_once():
    error = UnsupportedRequestError(
        "tiny does not support this request",
        mismatches=[Mismatch("size", "65x65", "odd"), Mismatch("fps", "7", "only 24")],
    )

    assert str(error) == "tiny does not support this request: size = 65x65: odd; fps = 7: only 24"
    assert len(error.mismatches) == 2


def test_a_rate_limit_says_when_to_come_back():
    assert BackendRateLimitError("slow down", retry_after=2.5).retry_after == 2.5


def test_errors_are_caught_by_their_branch():
    with pytest.raises(MediaAgentError):
        raise JobNotFoundError("no job x")
