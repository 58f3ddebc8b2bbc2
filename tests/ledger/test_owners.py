"""Owners: one at a time, by compare-and-set, and what whoever lost a job may still do."""

import contextlib
import os
import threading
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest

from media_agent.errors import JobError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.owner import Owner
from media_agent.ledger.state import JobOptions, OwnershipLostError
from media_agent.ledger.store.database import Transaction
from media_agent_schemas import JobCancelled, JobStarted, JobStatus
from tests.ledger.samples import ELSEWHERE, NOW, REF, Place, job, plan


def test_a_job_is_held_by_one_at_a_time(ledger: Ledger, place: Place) -> None:
    ledger.jobs.create(job())

    with ledger.owners.claim("one"):
        assert ledger.owners.is_claimed("one")
        with pytest.raises(JobError, match=f"process {os.getpid()}"), ledger.owners.claim("one"):
            pass
        with pytest.raises(JobError, match="works on job one"), place.open().owners.claim("one"):
            pass
    assert not ledger.owners.is_claimed("one")


def test_a_job_of_a_process_that_is_gone_can_be_held_and_its_old_owner_writes_nothing_more(
    ledger: Ledger, place: Place
) -> None:
    ledger.jobs.create(job())
    sent = ledger.submissions.record_intent("one", 0, NOW)

    with place.rival(alive=False).owners.claim("one"):
        with pytest.raises(OwnershipLostError, match="process 1 on elsewhere"):
            ledger.events.append("one", JobStarted(), NOW)
        with pytest.raises(OwnershipLostError):
            ledger.submissions.record_intent("one", 0, NOW)
        ledger.submissions.mark_accepted(sent, REF)

    assert ledger.jobs.get("one").ref == REF
    assert list(ledger.events.read("one")) == []


def test_a_job_of_a_living_process_moves_only_by_force(ledger: Ledger, place: Place) -> None:
    ledger.jobs.create(job())
    other = place.rival(alive=True)

    with pytest.raises(JobError), other.owners.claim("one"):
        pass
    with other.owners.claim("one", force=True), pytest.raises(OwnershipLostError):
        ledger.events.append("one", JobStarted(), NOW)


def test_opening_the_ledger_takes_nothing_from_others(place: Place) -> None:
    place.rival(alive=True).jobs.create(job())

    ledger = place.open(is_owner_alive=lambda owner, silent: False)

    assert [kept.status for kept in ledger.jobs.list()] == [JobStatus.QUEUED]
    assert Owner.parse(place.value("SELECT owner FROM jobs")) == ELSEWHERE


def test_being_asked_to_stop_is_known_to_whoever_works_on_the_job(
    ledger: Ledger, place: Place
) -> None:
    ledger.jobs.create(job())
    before = ledger.owners.is_cancel_requested("one")

    is_somebody_asked = place.open().owners.request_cancel("one")

    assert is_somebody_asked
    assert (before, ledger.owners.is_cancel_requested("one")) == (False, True)
    with ledger.owners.claim("one"):
        assert ledger.owners.is_cancel_requested("one")


def test_whoever_works_on_a_job_next_is_asked_to_stop_it(place: Place) -> None:
    place.rival(alive=False).jobs.create(job())
    ledger = place.open(is_owner_alive=lambda owner, silent: False)

    assert not ledger.owners.request_cancel("one")
    for next_one in (ledger, place.rival(alive=False)):
        with next_one.owners.claim("one"):
            assert next_one.owners.is_cancel_requested("one")


def test_a_job_that_has_ended_is_not_stopped_again_when_it_is_resumed(ledger: Ledger) -> None:
    ledger.jobs.create(job())
    ledger.owners.request_cancel("one")
    with ledger.owners.claim("one"):
        ledger.events.append("one", JobCancelled(), NOW)

    with ledger.owners.claim("one"):
        assert not ledger.owners.is_cancel_requested("one")


def test_whoever_lost_a_job_is_told_so_when_it_looks(ledger: Ledger, place: Place) -> None:
    ledger.jobs.create(job())

    with place.rival(alive=True).owners.claim("one", force=True) as is_taken_from_living:
        assert is_taken_from_living
        with pytest.raises(OwnershipLostError):
            ledger.owners.check("one")
        with pytest.raises(OwnershipLostError):
            ledger.owners.is_cancel_requested("one")


def test_whoever_lost_a_job_has_lost_it_also_when_the_other_one_is_done(
    ledger: Ledger, place: Place
) -> None:
    ledger.jobs.create(job())

    with ledger.owners.claim("one"):
        with place.rival(alive=True).owners.claim("one", force=True):
            pass
        with pytest.raises(OwnershipLostError, match="another process took job one over"):
            ledger.events.append("one", JobStarted(), NOW)


def test_a_job_without_a_living_owner_is_taken_from_nobody(ledger: Ledger) -> None:
    ledger.jobs.create(job())

    with ledger.owners.claim("one", force=True) as is_taken_from_living:
        assert not is_taken_from_living


def test_the_jobs_that_are_left_are_those_of_callers_that_nobody_works_on(
    ledger: Ledger, place: Place
) -> None:
    gone, living = place.rival(alive=True), place.open()
    names = {"old": -2, "young": -1, "nobodys": 0, "ended": 0, "segment": 0}
    for name, age in names.items():
        caller = None if name == "nobodys" else "alice"
        part = "x" if name == "segment" else None
        created = job(name, NOW + timedelta(seconds=age))
        gone.jobs.create(created, JobOptions((created.plan,), caller=caller, part_of=part))
    with gone.owners.claim("ended"):
        gone.events.append("ended", JobCancelled(model="m"), NOW)
    living.jobs.create(job("held"), JobOptions((plan(),), caller="alice"))

    ledger = place.open(is_owner_alive=lambda owner, silent: owner.host != "elsewhere")

    assert ledger.owners.list_left() == ("old", "young")


def test_a_job_is_let_go_of_though_that_cannot_be_written(place: Place) -> None:
    ledger = place.open(busy_seconds=0.05)
    ledger.jobs.create(job(), JobOptions((plan(),), caller="alice"))

    with contextlib.ExitStack() as stack:
        with ledger.owners.claim("one"):
            stack.enter_context(place.open().database.writing())
        assert not ledger.owners.is_claimed("one")

    assert ledger.owners.list_left() == ("one",)
    with ledger.owners.claim("one"):
        assert ledger.owners.is_claimed("one")


def test_a_heartbeat_that_breaks_is_not_the_last(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.jobs.create(job())
    heartbeat, begin = ledger.owners._heartbeat, ledger.database.writing
    has_broken, has_beaten = threading.Event(), threading.Event()

    def break_once(**how: bool) -> AbstractContextManager[Transaction]:
        if threading.current_thread() is threading.main_thread():
            return begin(**how)
        if not has_broken.is_set():
            has_broken.set()
            raise RuntimeError("can't start new thread")
        has_beaten.set()
        return begin(**how)

    monkeypatch.setattr(heartbeat, "_seconds", 0.01)
    monkeypatch.setattr(ledger.database, "writing", break_once)

    with ledger.owners.claim("one"):
        assert has_broken.wait(30)
        assert has_beaten.wait(5)
