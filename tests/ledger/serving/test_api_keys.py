"""The keys of a server's callers, and the budgets and numbers of jobs that they allow."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from media_agent.concealing import looks_like_a_key, without_keys
from media_agent.errors import BudgetExceededError, InvalidRequestError, RateLimitError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.serving.api_keys import KeyTerms, id_of
from media_agent.ledger.state import JobOptions
from media_agent_schemas import Cost, JobCancelled, JobCompleted, Segment, VideoJob
from tests.ledger.samples import NOW, Place, job, plan

ALICE = KeyTerms(owner="alice", scopes=frozenset({"videos:read"}))


def add_job(ledger: Ledger, name: str, cost: float | None = 0.4, caller: str = "alice") -> VideoJob:
    made = job(name, cost=cost)
    return ledger.jobs.create(made, JobOptions((made.plan,), caller=caller))


def test_a_key_is_kept_as_a_digest_and_known_again(ledger: Ledger) -> None:
    key, secret = ledger.api_keys.add(replace(ALICE, usd_per_day=1.5, expires_at=NOW), NOW)
    _, other = ledger.api_keys.add(ALICE, NOW + timedelta(seconds=1))

    kept, _ = ledger.api_keys.list()

    assert kept == key
    assert id_of(secret) == key.id
    assert key.is_of(secret)
    assert not key.is_of(other)
    with ledger.database.reading() as transaction:
        (row,) = transaction.rows("SELECT * FROM api_keys WHERE id = :id", id=key.id)
        assert not any(secret in str(row[name]) for name in row.keys())  # noqa: SIM118
    assert len(secret.rpartition(f"{key.id}-")[2]) * 6 >= 256 - 6


def test_a_key_is_taken_out_of_messages_by_its_look(ledger: Ledger) -> None:
    for _ in range(50):
        _, secret = ledger.api_keys.add(ALICE, NOW)
        assert looks_like_a_key(secret)
        assert secret[-20:] not in without_keys(f"Bearer {secret}")


def test_a_key_is_valid_until_it_expires_or_is_revoked(ledger: Ledger) -> None:
    key, _ = ledger.api_keys.add(replace(ALICE, expires_at=NOW + timedelta(days=1)), NOW)
    ledger.api_keys.revoke(key.id, NOW)
    ledger.api_keys.revoke(key.id, NOW + timedelta(days=9))

    (revoked,) = ledger.api_keys.list()

    assert key.is_valid(NOW)
    assert not key.is_valid(NOW + timedelta(days=1))
    assert not revoked.is_valid(NOW)
    assert revoked.revoked_at == NOW


@pytest.mark.parametrize(
    "terms",
    [
        replace(ALICE, owner=owner)
        for owner in ("", "local", " a", "-a", ".a", "a b", "a\nb", "ä", "a" * 65)
    ]
    + [
        replace(ALICE, usd_per_day=-1.0),
        replace(ALICE, usd_total=float("nan")),
        replace(ALICE, usd_total=float("inf")),
        replace(ALICE, requests_per_minute=0),
        replace(ALICE, concurrent_jobs=0),
        replace(ALICE, scopes=frozenset()),
    ],
    ids=str,
)
def test_terms_that_mean_nothing_are_refused(ledger: Ledger, terms: KeyTerms) -> None:
    with pytest.raises(InvalidRequestError):
        ledger.api_keys.add(terms, NOW)


def test_a_key_that_is_not_there_is_neither_revoked_nor_removed(ledger: Ledger) -> None:
    for change in (lambda: ledger.api_keys.revoke("x", NOW), lambda: ledger.api_keys.remove("x")):
        with pytest.raises(InvalidRequestError):
            change()


@pytest.mark.parametrize("budget", ["usd_per_day", "usd_total"])
def test_a_budget_is_that_of_the_caller_alone_and_the_error_says_all(
    ledger: Ledger, budget: str
) -> None:
    ledger.api_keys.add(replace(ALICE, **{budget: 1.0}), NOW)  # type: ignore[arg-type]  # one of two
    for name in ("one", "two", "three"):
        add_job(ledger, name)
        add_job(ledger, f"of-bob-{name}", caller="bob")
    add_job(ledger, "unknown", cost=None)
    add_job(ledger, "free", cost=0.0)
    ledger.submissions.record_intent("of-bob-one", 0, NOW)
    ledger.submissions.record_intent("one", 0, NOW)
    ledger.submissions.record_intent("two", 0, NOW)

    with pytest.raises(BudgetExceededError) as error:
        ledger.submissions.record_intent("three", 0, NOW)
    with pytest.raises(BudgetExceededError, match="unknown price"):
        ledger.submissions.record_intent("unknown", 0, NOW)
    ledger.submissions.record_intent("free", 0, NOW)
    ledger.submissions.record_intent("of-bob-two", 0, NOW)

    for said in ("0.40 USD", "1.00 USD", "0.80 USD", "0.20 USD", "alice"):
        assert said in str(error.value)
    assert ledger.submissions.of("three") == []


def test_the_budget_of_a_day_is_free_again_on_the_next_and_that_in_total_is_not(
    ledger: Ledger,
) -> None:
    later = NOW + timedelta(hours=25)
    ledger.api_keys.add(replace(ALICE, usd_per_day=0.5, usd_total=1.0), NOW)
    for name in ("one", "two", "three"):
        add_job(ledger, name)

    ledger.submissions.record_intent("one", 0, NOW)
    ledger.submissions.record_intent("two", 0, later)
    ledger.jobs.remove("one")

    with pytest.raises(BudgetExceededError, match="in total"):
        ledger.submissions.record_intent("three", 0, later + timedelta(hours=25))


def test_what_was_billed_counts_instead_of_what_was_quoted(ledger: Ledger) -> None:
    ledger.api_keys.add(replace(ALICE, usd_total=1.0), NOW)
    for name in ("one", "two"):
        add_job(ledger, name, cost=0.6)
    sent = ledger.submissions.record_intent("one", 0, NOW)
    ledger.submissions.bill(sent, Cost(usd=0.3))

    ledger.submissions.record_intent("two", 0, NOW)


def test_a_video_in_segments_counts_once(ledger: Ledger) -> None:
    ledger.api_keys.add(replace(ALICE, usd_per_day=1.0), NOW)
    pieces = [Segment(request=plan().request, estimate=plan(cost=0.4).estimate)] * 2
    whole = plan(cost=0.8).model_copy(update={"segments": tuple(pieces)})
    ledger.jobs.create(
        job("video").model_copy(update={"plan": whole}), JobOptions((whole,), caller="alice")
    )
    part = plan(cost=0.4)
    ledger.jobs.create(
        job("part").model_copy(update={"plan": part}),
        JobOptions((part,), part_of="video", caller="alice"),
    )
    add_job(ledger, "other")

    ledger.submissions.record_intent("video", 0, NOW)
    ledger.submissions.record_intent("part", 0, NOW)

    with pytest.raises(BudgetExceededError):
        ledger.submissions.record_intent("other", 0, NOW)


def test_the_lowest_budget_of_the_valid_keys_of_an_owner_holds(ledger: Ledger) -> None:
    low, _ = ledger.api_keys.add(replace(ALICE, usd_per_day=0.1), NOW)
    high, _ = ledger.api_keys.add(replace(ALICE, usd_per_day=5.0), NOW)
    priced = plan(cost=0.4)
    with pytest.raises(BudgetExceededError):
        ledger.submissions.check_allowed("alice", priced, NOW)

    ledger.api_keys.revoke(low.id, NOW)
    ledger.submissions.check_allowed("alice", priced, NOW)

    ledger.api_keys.revoke(high.id, NOW)
    with pytest.raises(BudgetExceededError):
        ledger.submissions.check_allowed("alice", priced, NOW)


def test_intents_at_the_same_time_stay_within_a_budget(place: Place) -> None:
    ledgers = [place.open() for _ in range(4)]
    ledgers[0].api_keys.add(replace(ALICE, usd_per_day=1.0), NOW)
    for number, ledger in enumerate(ledgers):
        for each in range(3):
            add_job(ledger, f"job-{number}-{each}", cost=0.3)

    def intend(number: int) -> int:
        taken = 0
        for each in range(3):
            try:
                ledgers[number].submissions.record_intent(f"job-{number}-{each}", 0, NOW)
                taken += 1
            except BudgetExceededError:
                pass
        return taken

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(intend, range(4))) == 3
    for ledger in ledgers:
        ledger.close()


def test_so_many_jobs_of_a_caller_are_under_way_at_once(ledger: Ledger) -> None:
    ledger.api_keys.add(replace(ALICE, concurrent_jobs=2), datetime.now(UTC))
    for name in ("one", "two"):
        add_job(ledger, name)
    segment = job("segment")
    ledger.jobs.create(segment, JobOptions((segment.plan,), part_of="one", caller="alice"))

    with pytest.raises(RateLimitError, match="2 jobs of alice"):
        add_job(ledger, "three")
    add_job(ledger, "of-bob", caller="bob")

    ledger.events.append("one", JobCompleted(artifacts=()), NOW)
    add_job(ledger, "three")


def test_a_job_that_is_taken_up_again_counts_among_those_under_way(ledger: Ledger) -> None:
    ledger.api_keys.add(replace(ALICE, concurrent_jobs=1), datetime.now(UTC))
    add_job(ledger, "one")
    ledger.events.append("one", JobCancelled(), NOW)
    add_job(ledger, "two")

    with pytest.raises(RateLimitError, match="1 jobs of alice"):
        ledger.jobs.check_may_run("one", NOW)
    with pytest.raises(RateLimitError, match="1 jobs of alice"):
        ledger.events.reopen("one", "found", NOW)
    ledger.jobs.check_may_run("two", NOW)

    ledger.events.append("two", JobCompleted(artifacts=()), NOW)
    ledger.jobs.check_may_run("one", NOW)
    assert ledger.events.reopen("one", "found", NOW) is not None


def test_the_policies_of_an_owner_are_those_of_any_valid_key_else_of_those_that_are_over(
    ledger: Ledger,
) -> None:
    def add(*policies: str, **terms: object) -> str:
        named = replace(ALICE, policies=frozenset(policies), **terms)  # type: ignore[arg-type]  # any of the fields
        return ledger.api_keys.add(named, NOW)[0].id

    add("old", expires_at=NOW - timedelta(days=1))
    kids, consent = add("kids"), add("consent", "kids")

    assert ledger.api_keys.policies_of("alice", NOW) == {"kids", "consent"}
    ledger.api_keys.revoke(consent, NOW)
    assert ledger.api_keys.policies_of("alice", NOW) == {"kids"}
    ledger.api_keys.revoke(kids, NOW)
    assert ledger.api_keys.policies_of("alice", NOW) == {"old", "kids", "consent"}
    assert ledger.api_keys.policies_of("bob", NOW) == frozenset()
