"""The names of turns and queues."""

import pytest

from media_agent.cluster.turns import Stage, Turn, name_queue, parse_turn
from media_agent.config.backend_section import BackendSection
from media_agent.config.jobs_section import QueueSection
from tests.ledger.samples import plan


@pytest.mark.parametrize("job_id", ["one", "a.b", "x.turn-3", "20261130-101819-3f"])
def test_the_name_of_a_turn_says_its_job_and_its_number(job_id: str) -> None:
    turn = Turn(job_id, 12, Stage.QUEUED, "fal", 1, None)

    assert parse_turn(turn.name) == (job_id, 12)


@pytest.mark.parametrize("name", ["one", "one.turn-", "one.turn-x", ""])
def test_another_workflow_is_no_turn(name: str) -> None:
    assert parse_turn(name) is None


def test_a_job_waits_in_the_queue_of_its_backend_or_of_its_model() -> None:
    own = BackendSection(queue=QueueSection(models=("m",)))
    other = BackendSection(queue=QueueSection(models=("n",)))

    assert name_queue(plan(), {}) == "b"
    assert name_queue(plan(), {"b": other}) == "b"
    assert name_queue(plan(), {"b": own}) == "b/m"
