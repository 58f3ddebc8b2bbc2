"""A submission that may be at work is never offered again, whatever else its answer says."""

from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings, LimitedKey
from media_agent.errors import BackendAuthenticationError, MediaAgentError, SubmitUncertainError
from media_agent_hosted.base.several_keys import BackendWithKeys, Lane
from media_agent_hosted.providers.dashscope import SPEC
from media_agent_hosted.providers.dashscope.backend import DashscopeBackend
from tests.hosted.provider_kit import Provider, no_sleep

pytestmark = pytest.mark.anyio

WAN = Provider(SPEC, __file__)
NO = {"code": "InvalidApiKey", "message": "Invalid API-key provided."}
BUSY = {"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded."}


async def submit(folder: Path, status: int, body: object) -> tuple[int, MediaAgentError]:
    """Submit with two keys; return how many submissions were sent, and the error."""
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(status, json=body)

    lanes = []
    for name in ("one", "two"):
        key = LimitedKey(name, SecretStr(name))
        settings = BackendSettings(folder, key=key.key, keys=(key,))
        transport = httpx.MockTransport(answer)
        lanes.append(Lane(key, DashscopeBackend(settings, transport=transport, sleep=no_sleep)))
    backend = BackendWithKeys(lanes, sleep=no_sleep)
    with pytest.raises(MediaAgentError) as caught:
        await backend.submit(WAN.plan(), key="job-1")
    return len(sent), caught.value


@pytest.mark.parametrize("body", [NO, BUSY], ids=["key", "busy"])
@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
async def test_a_server_in_trouble_is_believed_no_word_about_the_key(
    status: int, body: object, tmp_path: Path
) -> None:
    count, error = await submit(tmp_path, status, body)

    assert count == 1
    assert isinstance(error, SubmitUncertainError)


@pytest.mark.parametrize("body", [NO, BUSY], ids=["key", "busy"])
@pytest.mark.parametrize(
    "beside",
    [{"output": {"task_status": "PENDING"}}, {"status": "queued"}, {"task": {"id": "t1"}}],
    ids=str,
)
async def test_an_error_beside_work_that_may_be_at_work_leads_to_no_other_key(
    beside: dict[str, object], body: dict[str, object], tmp_path: Path
) -> None:
    count, error = await submit(tmp_path, 200, body | beside)

    assert count == 1
    assert isinstance(error, SubmitUncertainError)


async def test_a_plain_no_about_the_key_leads_to_the_next_one(tmp_path: Path) -> None:
    count, error = await submit(tmp_path, 200, NO)

    assert count == 2
    assert isinstance(error, BackendAuthenticationError)
