"""Leases: how long an owner may be silent, by whose clock, and what it may do when it was."""

import os
import time
from dataclasses import replace

import pytest

from media_agent.errors import JobError, LedgerBusyError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.owner import SAFE_SECONDS, STALE_SECONDS, Owner, has_lease
from media_agent.ledger.state import JobOptions, OwnershipLostError
from tests.ledger.samples import ELSEWHERE, NOW, Place, job, plan, progress

ANOTHER = Owner(host="another", pid=2, started="then", token="u")


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def first(place: Place, clock: Clock) -> Ledger:
    return place.open(owner=ELSEWHERE, is_owner_alive=has_lease, steady_clock=clock)


@pytest.fixture
def second(place: Place) -> Ledger:
    return place.open(owner=ANOTHER, is_owner_alive=has_lease)


def be_silent(place: Place, seconds: float) -> None:
    place.change("UPDATE owners SET seen = seen - :seconds", seconds=seconds)


def test_a_job_is_taken_from_an_owner_that_was_silent_too_long_and_not_before(
    place: Place, first: Ledger, second: Ledger
) -> None:
    first.jobs.create(job(), JobOptions((plan(),), caller="alice"))

    be_silent(place, STALE_SECONDS - 5)
    with pytest.raises(JobError, match="on elsewhere"), second.owners.claim("one"):
        pass
    kept = second.owners.is_claimed("one"), second.owners.list_left()
    be_silent(place, 6)

    assert kept == (True, ())
    assert not second.owners.is_claimed("one")
    assert second.owners.list_left() == second.owners.list_unworked() == ("one",)
    assert second.owners.find_gone([first.owners.name, second.owners.name]) == {first.owners.name}
    with second.owners.claim("one") as is_taken_from_living:
        assert not is_taken_from_living


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_clock_of_a_host_changes_nothing_where_hosts_share_a_database(
    place: Place, first: Ledger, second: Ledger, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    if place.url is None:
        pytest.skip("a file has no clock: the one of its machine counts")
    first.jobs.create(job(), JobOptions((plan(),), caller="alice"))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)

    assert second.owners.is_claimed("one")
    assert second.owners.list_left() == ()
    be_silent(place, STALE_SECONDS + 1)
    assert second.owners.list_left() == ("one",)


def test_whoever_was_cut_off_and_comes_back_can_write_nothing(
    place: Place, first: Ledger, second: Ledger, clock: Clock
) -> None:
    first.jobs.create(job())
    with first.owners.claim("one"):
        be_silent(place, STALE_SECONDS + 1)
        clock.time += STALE_SECONDS + 1
        with second.owners.claim("one"):
            for write in (
                lambda: first.owners.hold("one"),
                lambda: first.submissions.record_intent("one", 0, NOW),
                lambda: first.events.append("one", progress(1), NOW),
            ):
                with pytest.raises(OwnershipLostError, match="on another"):
                    write()
        with pytest.raises(OwnershipLostError):
            first.submissions.record_intent("one", 0, NOW)

    assert second.submissions.of("one") == []


def test_an_owner_that_was_not_heard_of_is_not_safe_until_it_was_heard_again(
    first: Ledger, clock: Clock
) -> None:
    first.jobs.create(job())
    with first.owners.claim("one"):
        claimed = first.owners.is_safe()
        clock.time += SAFE_SECONDS
        silent = first.owners.is_safe()
        first.owners.hold("one")

        assert (claimed, silent, first.owners.is_safe()) == (True, False, True)


def test_jobs_that_others_work_on_are_not_remembered_for_long(first: Ledger, clock: Clock) -> None:
    for number in range(10):
        first.jobs.create(job(f"job-{number}"))
        clock.time += 20

    assert set(first.owners._made) == {"job-9"}


def test_an_owner_that_cannot_be_heard_may_do_nothing_more(place: Place, clock: Clock) -> None:
    ledger = place.open(steady_clock=clock, busy_seconds=0.05)
    ledger.jobs.create(job())
    with ledger.owners.claim("one"), place.open().database.writing():
        clock.time += SAFE_SECONDS
        with pytest.raises(LedgerBusyError):
            ledger.owners.hold("one")

        assert not ledger.owners.is_safe()


def test_owners_that_are_long_gone_are_forgotten_once_they_own_nothing(
    place: Place, first: Ledger
) -> None:
    first.jobs.create(job("held"))
    place.open(owner=ANOTHER, is_owner_alive=has_lease).owners.showing_life().__enter__()
    be_silent(place, STALE_SECONDS + 1)
    ledger = place.open(is_owner_alive=has_lease)
    ledger.jobs.create(job())

    with ledger.owners.claim("one"):
        assert place.value("SELECT count(*) AS owners FROM owners") == 2


def test_a_process_of_this_host_is_known_to_be_gone_before_its_lease_is_over() -> None:
    here = Owner.current()
    boot = here.started.partition(":")[0]
    gone = replace(here, started=f"{boot}:1")
    rebooted = replace(here, started="another-boot:1")

    assert has_lease(here, 0.0)
    assert not has_lease(here, STALE_SECONDS)
    assert not has_lease(gone, 0.0)
    assert has_lease(rebooted, 0.0)  # a host of the same name: nobody can see its processes
    assert here.pid == os.getpid()
