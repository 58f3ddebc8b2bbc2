"""Commands for a running job: from any client, kept, and told where they came to nothing."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from media_agent.backend.generating.context import GenerationContext, Operation
from media_agent.backend.generating.event_log import EventLog
from media_agent.backend.generating.steering import Steering
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import (
    InvalidRequestError,
    JobError,
    JobNotFoundError,
    StorageError,
    UnsupportedRequestError,
)
from media_agent.jobs.commands import check_command
from media_agent.provenance.job_sheet import captions
from media_agent_schemas import (
    BackendEvent,
    ChangePrompt,
    Command,
    Control,
    Finish,
    GenerationRecord,
    JobCompleted,
    JobStatus,
    OperationRef,
    PromptChanged,
    ResumeToken,
    Size,
    VideoJob,
    VideoRequest,
)

SLATE = VideoRequest(
    prompt="a cat", fps=10, size=Size(width=32, height=32), seed=0, model="sandbox"
)
ENDLESS = SLATE.model_copy(
    update={"endless": True, "options": {"sandbox": {"latency_seconds": 0.05}}}
)


@pytest.fixture
def none(tmp_path: Path) -> Path:
    path = tmp_path / "none.toml"
    path.touch()
    return path


def new_client(none: Path) -> VideoClient:
    return VideoClient(settings=load_settings(config=none, data_dir=none.parent / "data"))


async def until(client: VideoClient, job_id: str, chunks: int) -> VideoJob:
    async with asyncio.timeout(60):
        while True:
            job = await client.get(job_id)
            if job.status.is_terminal or job.chunks_ready >= chunks:
                return job
            await asyncio.sleep(0.01)


async def ended(client: VideoClient, job_id: str) -> VideoJob:
    return await until(client, job_id, 1_000_000)


def record_of(job: VideoJob) -> GenerationRecord:
    return GenerationRecord.model_validate_json(Path(str(job.record_path)).read_bytes())


async def changes(client: VideoClient, job_id: str) -> list[PromptChanged]:
    events = await client.events(job_id)
    return [each.event for each in events if isinstance(each.event, PromptChanged)]


@pytest.mark.anyio
async def test_a_job_is_steered_and_finished_by_a_client_that_does_not_run_it(none: Path) -> None:
    async with new_client(none) as owner, new_client(none) as other:
        job = await owner.start(ENDLESS)
        await until(owner, job.id, 1)

        await other.steer(job.id, "a dog")
        async with asyncio.timeout(60):
            while not (changed := await changes(other, job.id)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await until(owner, job.id, changed[0].chunk + 1)
        await other.finish(job.id)
        done = await ended(other, job.id)

    assert done.status is JobStatus.COMPLETED, done.error
    assert [change.prompt for change in changed] == ["a dog"]
    record = record_of(done)
    assert [shot.prompt_sent for shot in record.shots] == ["a cat", "a dog"]
    assert record.shots[1].start == changed[0].chunk


@pytest.mark.anyio
async def test_the_contact_sheet_names_the_prompts_that_the_video_was_steered_to(
    none: Path,
) -> None:
    async with new_client(none) as client:
        job = await client.start(ENDLESS)
        await client.steer(job.id, "a dog", at=3)
        await until(client, job.id, 4)
        await client.finish(job.id)
        done = await ended(client, job.id)

    assert captions(done) == [(0, "a cat"), (30, "a dog")]


@pytest.mark.anyio
async def test_a_prompt_can_change_at_a_chunk_that_is_far_from_begun(none: Path) -> None:
    async with new_client(none) as client:
        job = await client.start(ENDLESS)
        await client.steer(job.id, "a dog", at=6)
        await until(client, job.id, 7)
        await client.finish(job.id)
        await ended(client, job.id)

        assert await changes(client, job.id) == [PromptChanged(chunk=6, prompt="a dog")]


@pytest.mark.anyio
async def test_a_command_waits_for_a_job_that_nobody_works_on(none: Path) -> None:
    options = {"sandbox": {"latency_seconds": 1}}
    long = SLATE.model_copy(update={"duration": 5.0, "options": options})
    async with new_client(none) as first:
        job = await first.start(long)
        await until(first, job.id, 1)
    async with new_client(none) as later:
        await later.steer(job.id, "a dog", at=4)
        done = await later.resume(job.id)

        assert done.status is JobStatus.COMPLETED
        assert await changes(later, job.id) == [PromptChanged(chunk=4, prompt="a dog")]


@pytest.mark.anyio
async def test_what_cannot_be_steered_is_said(none: Path) -> None:
    async with new_client(none) as client:
        with pytest.raises(JobNotFoundError, match="unknown job 'nobody'"):
            await client.steer("nobody", "a dog")
        done = await client.generate(SLATE.model_copy(update={"duration": 1.0}))
        with pytest.raises(JobError, match="is completed") as caught:
            await client.steer(done.id, "a dog")
        assert f"media-agent branch {done.id}" in str(caught.value.hint)
        job = await client.start(ENDLESS)
        await until(client, job.id, 2)
        with pytest.raises(InvalidRequestError, match="is finished"):
            await client.steer(job.id, "a dog", at=0)
        with pytest.raises(InvalidRequestError, match="prompt is empty"):
            await client.steer(job.id, "  ")


@pytest.mark.anyio
async def test_a_chunk_behind_the_end_of_the_video_cannot_be_steered(none: Path) -> None:
    options = {"sandbox": {"latency_seconds": 2}}
    asked = SLATE.model_copy(update={"num_frames": 25, "options": options})
    async with new_client(none) as client:
        job = await client.start(asked)
        capabilities = (await client.capabilities("sandbox")).model_copy(
            update={"chunk_seconds": 1.0}
        )
        check_command(ChangePrompt(prompt="a dog", at=2), job, capabilities)

        with pytest.raises(InvalidRequestError, match="has no chunk 3: it has 3"):
            check_command(ChangePrompt(prompt="a dog", at=3), job, capabilities)
        with pytest.raises(InvalidRequestError, match="at"):
            await client.steer(job.id, "a dog", at=-1)
        await client.cancel(job.id)


@pytest.mark.anyio
async def test_a_command_or_words_that_the_model_does_not_take_are_refused(none: Path) -> None:
    async with new_client(none) as client:
        plan = await client.plan(SLATE)
        capabilities = await client.capabilities("sandbox")
    now = datetime(2026, 1, 2, tzinfo=UTC)
    job = VideoJob(id="mine", created_at=now, updated_at=now, request=SLATE, plan=plan)
    narrow = capabilities.model_copy(
        update={"controls": (Control.CHANGE_PROMPT,), "closed_vocabulary": ("a", "red", "circle")}
    )

    check_command(ChangePrompt(prompt="a red circle"), job, narrow)
    check_command(ChangePrompt(prompt="an elephant"), job, narrow, allow_unknown_words=True)
    with pytest.raises(UnsupportedRequestError, match="elephant"):
        check_command(ChangePrompt(prompt="a red elephant"), job, narrow)
    with pytest.raises(UnsupportedRequestError, match="takes no finish"):
        check_command(Finish(), job, narrow)


def hand_over(operation: Operation, *commands: Command) -> None:
    """Give commands to work, each with the next number."""
    for command in commands:
        operation.commands[len(operation.commands) + 1] = command


async def all_of(log: EventLog) -> list[BackendEvent]:
    return [event async for event in log.follow()]


class TestSteering:
    @pytest.fixture
    def operation(self, tmp_path: Path) -> Iterator[Operation]:
        loop = asyncio.new_event_loop()
        yield Operation(
            request=SLATE,
            ref=OperationRef(backend="sandbox", operation_id="mine"),
            resume=None,
            work_dir=tmp_path,
            loop=loop,
        )
        loop.close()

    @staticmethod
    def taken(operation: Operation, commands: Sequence[Command], begun: int) -> Steering:
        steering = Steering(GenerationContext(operation), chunks=10)
        hand_over(operation, *commands)
        steering.take(begun)
        return steering

    def test_without_a_command_the_prompts_are_those_of_the_request(
        self, operation: Operation
    ) -> None:
        steering = self.taken(operation, [], begun=3)

        assert [steering.prompt(chunk) for chunk in range(5)] == [None] * 5
        assert [steering.ends_before(chunk) for chunk in (3, 9, 10)] == [False, False, True]

    def test_a_prompt_holds_until_the_next_one_and_continues_in_another_process(
        self, operation: Operation
    ) -> None:
        later, sooner = ChangePrompt(prompt="b", at=6), ChangePrompt(prompt="a")
        self.taken(operation, [later, sooner], begun=3)

        again = Steering(GenerationContext(operation), chunks=10)

        assert [again.prompt(chunk) for chunk in range(2, 8)] == [None, "a", "a", "a", "b", "b"]

    @pytest.mark.parametrize(("begun", "last", "end"), [(3, None, 3), (0, None, 1), (6, 3, 4)])
    def test_a_video_told_to_finish_has_the_same_end_in_every_life(
        self, operation: Operation, begun: int, last: int | None, end: int
    ) -> None:
        steering = Steering(GenerationContext(operation))
        assert not steering.ends_before(1_000_000)
        hand_over(operation, Finish())
        steering.take(begun, last=last)
        operation.resume = ResumeToken(backend="s", model="m", next_chunk=1)

        again = Steering(GenerationContext(operation))
        hand_over(operation, Finish())  # once more, in another life
        again.take(1, last=0)

        for each in (steering, again, Steering(GenerationContext(operation))):
            assert not each.ends_before(end - 1)
            assert each.ends_before(end)

    def test_a_prompt_behind_the_end_of_a_finished_video_is_a_warning(
        self, operation: Operation
    ) -> None:
        steering = Steering(GenerationContext(operation))
        hand_over(operation, Finish(), ChangePrompt(prompt="a"), ChangePrompt(prompt="b", at="now"))

        steering.take(6, last=3, change_now=lambda prompt: 3)

        assert ["chunk 6 is not in the video" in each for each in operation.warnings] == [True]
        assert [steering.prompt(chunk) for chunk in (2, 3)] == [None, "b"]

    @pytest.mark.parametrize(("kept", "end"), [("null", 10), ("0", 1), ("4", 5)])
    def test_where_a_video_ends_is_kept(self, operation: Operation, kept: str, end: int) -> None:
        (operation.work_dir / "steered.json").write_text(f'{{"prompts": {{}}, "last": {kept}}}')

        steering = Steering(GenerationContext(operation), chunks=10)

        assert not steering.ends_before(end - 1)
        assert steering.ends_before(end)

    def test_the_last_word_holds_over_what_was_said_before_for_chunks_in_work(
        self, operation: Operation
    ) -> None:
        steering = self.taken(operation, [ChangePrompt(prompt="b", at=5)], begun=3)
        hand_over(operation, ChangePrompt(prompt="c", at=9), ChangePrompt(prompt="a", at="now"))

        steering.take(7, change_now=lambda prompt: 4)

        assert [steering.prompt(chunk) for chunk in range(3, 10)] == [None, *"aaaaa", "c"]
        operation.log.publish(JobCompleted())
        told = [each for each in asyncio.run(all_of(operation.log)) if each != JobCompleted()]
        assert told == [
            PromptChanged(chunk=5, prompt="b"),
            PromptChanged(chunk=9, prompt="c"),
            PromptChanged(chunk=4, prompt="a"),
            PromptChanged(chunk=5, prompt="a"),
        ]

    def test_now_asks_the_engine_which_chunk_is_the_first(self, operation: Operation) -> None:
        steering = Steering(GenerationContext(operation), chunks=10)
        hand_over(operation, ChangePrompt(prompt="a", at="now"))

        steering.take(6, change_now=lambda prompt: {"a": 4}[prompt])

        assert [steering.prompt(chunk) for chunk in (3, 4, 6)] == [None, "a", "a"]

    @pytest.mark.parametrize(("chunk", "reason"), [(2, "was begun"), (10, "not in the video")])
    def test_a_chunk_that_is_begun_or_will_never_be_is_a_warning(
        self, operation: Operation, chunk: int, reason: str
    ) -> None:
        steering = self.taken(operation, [ChangePrompt(prompt="a", at=chunk)], begun=3)

        assert reason in operation.warnings[0]
        assert steering.prompt(chunk) is None

    def test_a_command_that_comes_again_is_applied_once_and_a_later_one_after_it(
        self, operation: Operation
    ) -> None:
        first = [ChangePrompt(prompt="b"), ChangePrompt(prompt="late", at=2)]
        self.taken(operation, first, begun=3)
        hand_over(operation, ChangePrompt(prompt="c", at=5), Finish())  # killed before these

        again = Steering(GenerationContext(operation), chunks=10)
        again.take(begun=2)

        assert [again.prompt(chunk) for chunk in (1, 2, 3, 5)] == [None, None, "b", "c"]
        assert again.ends_before(2)

    def test_a_number_stands_for_one_command(self, operation: Operation) -> None:
        steering = self.taken(operation, [ChangePrompt(prompt="b")], begun=3)
        operation.commands[1] = ChangePrompt(prompt="b")  # the same job, run by somebody else here

        steering.take(begun=5)

        assert [steering.prompt(chunk) for chunk in (3, 5)] == ["b", "b"]
        operation.log.publish(JobCompleted())
        told = asyncio.run(all_of(operation.log))
        assert told == [PromptChanged(chunk=3, prompt="b"), JobCompleted()]

    def test_what_was_kept_is_announced_again_by_who_resumes(self, operation: Operation) -> None:
        kept = '{"prompts": {"7": "c", "2": "b", "5": "c"}, "last": null}'
        (operation.work_dir / "steered.json").write_text(kept)
        heard: list[str] = []

        Steering(GenerationContext(operation), on_prompt=heard.append)

        operation.log.publish(JobCompleted())
        told = [each for each in asyncio.run(all_of(operation.log)) if each != JobCompleted()]
        assert told == [
            PromptChanged(chunk=2, prompt="b"),
            PromptChanged(chunk=5, prompt="c"),
            PromptChanged(chunk=7, prompt="c"),
        ]
        assert heard == ["b", "c"]

    @pytest.mark.parametrize(
        "kept",
        [
            "{",
            "[]",
            '{"prompts": {}, "last": []}',
            '{"prompts": {"2": null}, "last": null}',
            '{"prompts": [], "last": null}',
        ],
    )
    def test_what_was_kept_and_is_damaged_is_said(self, operation: Operation, kept: str) -> None:
        (operation.work_dir / "steered.json").write_text(kept)

        with pytest.raises(StorageError, match="cannot be read"):
            Steering(GenerationContext(operation))

    def test_a_token_of_another_submission_branches_its_video(self, operation: Operation) -> None:
        assert not GenerationContext(operation).branches
        for key, branches in ((None, False), ("mine", False), ("another", True)):
            operation.resume = ResumeToken(backend="s", model="m", next_chunk=1, key=key)
            assert GenerationContext(operation).branches is branches
