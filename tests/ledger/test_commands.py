"""Commands: in their order, from any process, for the owner of the job."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from media_agent.errors import JobError, JobNotFoundError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.state import OwnershipLostError
from media_agent_schemas import ChangePrompt, Command, Finish, JobCompleted
from tests.ledger.samples import Place, append_all, job


def test_commands_of_any_process_are_taken_once_and_in_their_order(
    ledger: Ledger, place: Place
) -> None:
    ledger.jobs.create(job())
    ledger.jobs.create(job("other"))
    left: list[Command] = [ChangePrompt(prompt="a dog"), ChangePrompt(prompt="a fox"), Finish()]

    for command in left:
        place.rival(alive=True).commands.add("one", command)
    place.open().commands.add("other", Finish())

    numbered = ledger.commands.read("one")
    assert [command for _, command in numbered] == left
    assert ledger.commands.read("one", after=numbered[0][0]) == numbered[1:]
    assert ledger.commands.read("one", after=numbered[-1][0]) == []
    ledger.commands.add("one", Finish())
    ((_, last),) = ledger.commands.read("one", after=numbered[-1][0])
    assert last == Finish()


def test_no_command_is_lost_or_doubled_while_many_are_left_and_taken(
    ledger: Ledger, place: Place
) -> None:
    ledger.jobs.create(job())

    def leave(writer: int) -> None:
        mine = place.open()
        for number in range(20):
            mine.commands.add("one", ChangePrompt(prompt=f"{writer} {number}"))
        mine.close()

    taken: list[tuple[int, Command]] = []
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(leave, writer) for writer in range(4)]
        while not all(writer.done() for writer in writers):
            taken += ledger.commands.read("one", taken[-1][0] if taken else 0)
    taken += ledger.commands.read("one", taken[-1][0])

    prompts = [command.prompt for _, command in taken if isinstance(command, ChangePrompt)]
    for writer in range(4):
        assert [prompt for prompt in prompts if prompt.startswith(f"{writer} ")] == [
            f"{writer} {number}" for number in range(20)
        ]
    assert len(taken) == 80


def test_whoever_resumes_a_job_gets_its_commands_again(ledger: Ledger, place: Place) -> None:
    ledger.jobs.create(job())
    ledger.commands.add("one", ChangePrompt(prompt="a dog"))
    ledger.commands.add("one", Finish())

    read = ledger.commands.read("one")
    other = place.rival(alive=False)  # the first died while it handed them over

    with other.owners.claim("one"):
        assert other.commands.read("one") == read
    assert len(read) == 2


def test_a_command_waits_for_whoever_works_on_the_job_next(ledger: Ledger, place: Place) -> None:
    ledger.jobs.create(job())
    other = place.rival(alive=False)
    ledger.commands.add("one", Finish())

    with other.owners.claim("one"):
        with pytest.raises(OwnershipLostError, match="process 1 on elsewhere"):
            ledger.commands.read("one")
        assert [command for _, command in other.commands.read("one")] == [Finish()]


def test_a_job_that_has_ended_or_never_was_takes_no_command(ledger: Ledger) -> None:
    ledger.jobs.create(job())
    append_all(ledger, JobCompleted())

    with pytest.raises(JobError, match="job one takes no finish: it is completed"):
        ledger.commands.add("one", Finish())
    with pytest.raises(JobNotFoundError, match="unknown job 'two'"):
        ledger.commands.add("two", Finish())
    assert ledger.commands.read("one") == []
