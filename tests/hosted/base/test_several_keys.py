"""Several keys of one provider: who is asked, in which order, and who keeps the work."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings, LimitedKey
from media_agent.backend.sending import follow_submission
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    ConfigurationError,
    IdempotencyConflictError,
    InvalidRequestError,
    SubmitUncertainError,
)
from media_agent.testing import events_of
from media_agent_hosted.base.several_keys import BackendWithKeys, Lane, make_with_keys
from media_agent_hosted.providers.fal import SPEC
from media_agent_hosted.providers.fal.backend import FalBackend
from media_agent_schemas.events import JobCompleted
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.request import VideoRequest
from tests.hosted.provider_kit import Provider, no_sleep

pytestmark = pytest.mark.anyio

FAL = Provider(SPEC, __file__)
REQUEST = FAL.plan("fal-ai/wan/v2.7/text-to-video")
NO_CREDIT = (402, {"detail": "no balance"})
TOO_OFTEN = (429, {"detail": "slow down"})
Answer = Callable[[httpx.Request], tuple[int, object]]


class Service:
    """fal as its keys see it: what each submission is answered, and who asked what."""

    def __init__(self, **by_key: tuple[int, object]) -> None:
        self.by_key = by_key
        self.submitted: list[str] = []
        self.polled: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["authorization"].removeprefix("Key ")
        if request.method == "GET":
            self.polled.append(key)
            done = {"status": "COMPLETED"}
            video = {"video": {"url": "https://videos.example/fox.mp4"}}
            return httpx.Response(200, json=done if "/status" in request.url.path else video)
        self.submitted.append(key)
        status, body = self.by_key.get(key, (200, None))
        return httpx.Response(status, json=body or {"request_id": f"work-{len(self.submitted)}"})


def made(service: Service, *keys: LimitedKey, folder: Path = Path()) -> BackendWithKeys:
    transport = httpx.MockTransport(service.answer)
    lanes = []
    for each in keys:
        settings = BackendSettings(folder, key=each.key, keys=(each,), key_problem=each.problem)
        lanes.append(Lane(each, FalBackend(settings, transport=transport, sleep=no_sleep)))
    return BackendWithKeys(lanes, sleep=no_sleep)


def key(name: str, **limits: float) -> LimitedKey:
    return LimitedKey(name, SecretStr(name), **limits)  # type: ignore[arg-type]


async def submitted(backend: BackendWithKeys, number: int = 1) -> OperationRef:
    return await backend.submit(REQUEST, key=f"job-{number}")


async def test_work_is_polled_with_the_key_that_it_was_submitted_with() -> None:
    service = Service(one=NO_CREDIT)
    backend = made(service, key("one"), key("two"))

    ref = await submitted(backend)
    again = made(service, key("one"), key("two"))  # as another process
    events = await events_of(again, OperationRef.model_validate_json(ref.model_dump_json()))

    assert isinstance(events[-1], JobCompleted)
    assert ref.key_name == "two"
    assert set(service.polled) == {"two"}


async def test_nothing_is_kept_of_work_that_every_key_refused() -> None:
    backend = made(Service(one=NO_CREDIT), key("one"))

    for number in range(3):
        with pytest.raises(BackendAuthenticationError):
            await submitted(backend, number)

    assert len(backend._submitting) == 0


async def test_no_reference_holds_a_key() -> None:
    service = Service(one=NO_CREDIT)
    secret = LimitedKey("two", SecretStr("a-secret-0123456789"))

    ref = await submitted(made(service, key("one"), secret))

    assert "a-secret-0123456789" not in ref.model_dump_json()
    assert ref.key_name == "two"


@pytest.mark.parametrize("no", [NO_CREDIT, TOO_OFTEN, (401, {"detail": "unknown key"})])
async def test_a_key_that_is_refused_passes_the_work_on_and_is_named(
    no: tuple[int, object],
) -> None:
    service = Service(one=no)

    ref = await submitted(made(service, key("one"), key("two")))

    assert service.submitted == ["one", "two"]
    assert [each.key_name for each in ref.refused_keys] == ["one"]
    assert "queue.fal.run" in ref.refused_keys[0].error.message


async def test_a_key_without_credit_is_put_aside_and_one_that_must_wait_is_not() -> None:
    service = Service(one=NO_CREDIT, two=TOO_OFTEN)
    backend = made(service, key("one"), key("two"), key("three"))

    for number in range(3):
        await submitted(backend, number)

    assert Counter(service.submitted) == {"one": 1, "two": 1, "three": 3}


async def test_a_busier_key_goes_after_one_that_is_free() -> None:
    service = Service()
    backend = made(service, key("one", concurrent=4), key("two", concurrent=4))

    await asyncio.gather(*(submitted(backend, number) for number in range(4)))

    assert Counter(service.submitted) == {"one": 2, "two": 2}


async def test_a_no_to_the_work_itself_is_no_reason_for_another_key() -> None:
    service = Service(one=(422, {"detail": [{"msg": "bad", "type": "value_error"}]}))

    with pytest.raises(InvalidRequestError):
        await submitted(made(service, key("one"), key("two")))

    assert service.submitted == ["one"]


async def test_what_may_have_been_accepted_is_never_sent_with_another_key() -> None:
    service = Service(one=(500, {"detail": "it broke"}))

    with pytest.raises(SubmitUncertainError):
        await submitted(made(service, key("one"), key("two")))

    assert service.submitted == ["one"]


async def test_where_every_key_is_refused_each_is_named_with_its_reason() -> None:
    backend = made(Service(one=NO_CREDIT, two=(401, {})), key("one"), key("two"))

    with pytest.raises(BackendAuthenticationError) as caught:
        await submitted(backend)

    said = caught.value.message
    assert said.startswith("every key of fal was refused: one: ")
    assert "wants payment" in said
    assert "; two: " in said


async def test_keys_that_were_all_put_aside_are_tried_again() -> None:
    service = Service(one=NO_CREDIT)
    backend = made(service, key("one"))
    with pytest.raises(BackendAuthenticationError):
        await submitted(backend)
    service.by_key.clear()  # credit was bought

    assert (await submitted(backend, 2)).key_name == "one"


async def test_keys_that_all_ask_to_wait_are_asked_again_after_a_pause() -> None:
    service = Service(one=TOO_OFTEN, two=TOO_OFTEN)

    with pytest.raises(BackendRateLimitError):
        await submitted(made(service, key("one"), key("two")))

    assert service.submitted == ["one", "two"] * 5


async def test_a_key_that_is_not_there_is_passed_over() -> None:
    service = Service()
    missing = LimitedKey("one", problem="the variable ONE is not set")
    backend = made(service, missing, key("two"))

    ref = await submitted(backend)

    assert backend.capabilities().missing is None
    assert "the variable ONE is not set" in str(ref.refused_keys[0].error.hint)
    assert service.submitted == ["two"]


async def test_no_more_jobs_are_at_work_than_a_key_allows() -> None:
    service = Service()
    backend = made(service, key("one", concurrent=2))
    first = await submitted(backend, 1)
    await submitted(backend, 2)

    third = asyncio.create_task(submitted(backend, 3))
    await asyncio.sleep(0.005)
    assert not third.done()
    assert len(service.submitted) == 2
    await events_of(backend, first)

    assert (await third).operation_id == "work-3"


async def test_a_job_that_waits_for_room_can_be_stopped_as_nothing_was_sent() -> None:
    service = Service()
    backend = made(service, key("one", concurrent=1))
    await submitted(backend, 1)

    with follow_submission() as sent:
        waiting = asyncio.create_task(submitted(backend, 2))
    await asyncio.sleep(0.002)

    assert not sent.may_be_accepted
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(service.submitted) == 1


async def test_a_refused_submission_leaves_its_room_to_the_next_one() -> None:
    service = Service(one=(422, {"detail": "no"}))
    backend = made(service, key("one", concurrent=1))
    with pytest.raises(InvalidRequestError):
        await submitted(backend, 1)
    service.by_key.clear()

    assert (await submitted(backend, 2)).key_name == "one"


async def test_submissions_of_one_key_are_spaced_as_its_rate_says() -> None:
    backend = made(Service(), key("one", requests_per_minute=6000))  # one in 10 ms

    began = time.monotonic()
    await asyncio.gather(*(submitted(backend, number) for number in range(4)))

    assert time.monotonic() - began >= 0.029


async def test_a_second_key_is_used_while_the_first_must_wait() -> None:
    service = Service()
    keys = (key("one", requests_per_minute=1), key("two", requests_per_minute=1))
    backend = made(service, *keys)

    await asyncio.gather(*(submitted(backend, number) for number in range(2)))

    assert service.submitted == ["one", "two"]


async def test_the_same_job_is_sent_once_and_answered_alike() -> None:
    service = Service(one=NO_CREDIT)
    backend = made(service, key("one"), key("two"))

    first, second = await asyncio.gather(submitted(backend), submitted(backend))

    assert first == second
    assert service.submitted == ["one", "two"]
    with pytest.raises(IdempotencyConflictError):
        await backend.submit(REQUEST.model_copy(update={"seed": 8}), key="job-1")


async def test_a_key_that_left_the_settings_is_asked_for_by_its_name() -> None:
    ref = await submitted(made(Service(), key("two")))

    with pytest.raises(ConfigurationError) as caught:
        await events_of(made(Service(), key("one")), ref)

    assert "key two of fal" in caught.value.message
    assert "[backends.fal.keys.two]" in str(caught.value.hint)


async def test_without_several_keys_nothing_is_put_between(tmp_path: Path) -> None:
    assert isinstance(make_with_keys(SPEC.factory, BackendSettings(tmp_path)), FalBackend)


async def test_lost_work_is_looked_for_with_every_key() -> None:
    asked = []

    class Lookup(FalBackend):
        async def find(self, request: VideoRequest, **named: object) -> OperationRef | None:
            assert self.settings.key is not None
            asked.append(name := self.settings.key.get_secret_value())
            found = OperationRef(backend="fal", model="m", operation_id="work-1")
            return found if name == "two" else None

    limits = [key("one"), key("two")]
    lanes = [Lane(each, Lookup(BackendSettings(Path(), key=each.key))) for each in limits]

    ref = await BackendWithKeys(lanes).find(REQUEST, key="job-1", since=None)  # type: ignore[arg-type]

    assert asked == ["one", "two"]
    assert ref is not None
    assert ref.key_name == "two"


@pytest.mark.parametrize("knows", ["two", "none"])
async def test_a_key_that_cannot_look_for_lost_work_keeps_no_other_from_looking(knows: str) -> None:
    class Lookup(FalBackend):
        async def find(self, request: VideoRequest, **named: object) -> OperationRef | None:
            assert self.settings.key is not None
            if self.settings.key.get_secret_value() == "one":
                raise BackendAuthenticationError("refused")
            return OperationRef(backend="fal", operation_id="work-1") if knows == "two" else None

    limits = [key("one"), key("two")]
    backend = BackendWithKeys(
        [Lane(each, Lookup(BackendSettings(Path(), key=each.key))) for each in limits]
    )
    looking = backend.find(REQUEST, key="job-1", since=datetime.now(UTC))

    if knows == "two":
        found = await looking
        assert found is not None
        assert found.key_name == "two"
    else:  # nobody can say that the work is not there
        with pytest.raises(BackendAuthenticationError):
            await looking
