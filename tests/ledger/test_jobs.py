"""Jobs as they are kept: whole, listed, one per id and per idempotency key."""

from datetime import timedelta
from pathlib import Path

import pytest

from media_agent.errors import IdempotencyConflictError, JobNotFoundError, StorageError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.state import JobOptions
from media_agent_schemas import InputRole, MediaInput, VideoRequest
from tests.ledger.samples import NOW, Place, job, plan


def test_a_job_comes_back_as_it_was_kept(ledger: Ledger) -> None:
    image = MediaInput(role=InputRole.FIRST_FRAME, data=b"\xff\x00image")
    asked = job().request.model_copy(update={"inputs": (image,)})
    kept = job().model_copy(update={"request": asked, "warnings": ("dark",), "progress": 0.5})

    ledger.jobs.create(kept)

    assert ledger.jobs.get("one") == kept


def test_what_it_was_asked_with_comes_back_too(ledger: Ledger) -> None:
    terms = JobOptions((plan(), plan("a dog")), Path("/videos/a.mp4"), True, "key")

    ledger.jobs.create(job(), terms)

    assert ledger.jobs.terms("one") == terms


def test_an_id_is_taken_once(ledger: Ledger) -> None:
    ledger.jobs.create(job())

    with pytest.raises(IdempotencyConflictError, match="job one exists"):
        ledger.jobs.create(job())


@pytest.mark.parametrize("job_id", ["none", "", "..", "../one", ".hidden", "a/b", "a\0b"])
def test_a_job_that_is_not_there_is_named(ledger: Ledger, job_id: str) -> None:
    ledger.jobs.create(job())

    with pytest.raises(JobNotFoundError, match="unknown job"):
        ledger.jobs.get(job_id)


def test_jobs_are_listed_newest_first_and_a_damaged_one_too(ledger: Ledger, place: Place) -> None:
    ledger.jobs.create(job("old", NOW.replace(year=2025)))
    ledger.jobs.create(job("new", NOW))
    ledger.jobs.create(job("bad", NOW))
    place.change("UPDATE jobs SET request = '{' WHERE id = 'bad'")

    assert [kept.id for kept in ledger.jobs.list()] == ["new", "bad", "old"]
    assert [kept.id for kept in ledger.jobs.unsettled()] == ["old", "new"]
    with pytest.raises(StorageError, match="job bad cannot be read"):
        ledger.jobs.get("bad")


def test_an_empty_data_folder_has_no_jobs(ledger: Ledger) -> None:
    assert ledger.jobs.list() == []


def test_the_same_key_and_request_are_the_same_job(ledger: Ledger) -> None:
    first = ledger.jobs.create(job("one"), JobOptions((plan(),), idempotency_key="k"))

    assert ledger.jobs.create(job("two"), JobOptions((plan(),), idempotency_key="k")) == first
    assert [kept.id for kept in ledger.jobs.list()] == ["one"]
    assert ledger.jobs.of_key("k", first.request) == first
    assert ledger.jobs.of_key("other", first.request) is None


def test_the_same_key_with_another_request_is_a_conflict(ledger: Ledger) -> None:
    ledger.jobs.create(job("one"), JobOptions((plan(),), idempotency_key="k"))
    other = job("two").model_copy(update={"request": VideoRequest(prompt="a dog")})

    with pytest.raises(IdempotencyConflictError, match="belongs to job one"):
        ledger.jobs.create(other, JobOptions((plan(),), idempotency_key="k"))


def test_a_call_that_is_repeated_finds_its_newest_job_within_the_time(ledger: Ledger) -> None:
    for number, minutes in enumerate((0, 5)):
        made = job(f"j{number}", NOW + timedelta(minutes=minutes))
        ledger.jobs.create(made, JobOptions((made.plan,), fingerprint="f"))

    assert ledger.jobs.find_repeated("f", NOW) == "j1"
    assert ledger.jobs.find_repeated("f", NOW + timedelta(minutes=6)) is None
    assert ledger.jobs.find_repeated("other", NOW) is None
