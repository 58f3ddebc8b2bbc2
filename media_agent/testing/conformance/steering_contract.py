"""Stopping, steering, resuming, closing: as declared, and nothing else."""

import asyncio
import threading
from contextlib import aclosing

import pytest

from media_agent.backend.protocol import VideoBackend
from media_agent.errors import MediaAgentError, UnsupportedRequestError
from media_agent.testing.conformance.base_contract import Contract, MakeBackend, RequestFactory
from media_agent.testing.conformance.observe import count_kept_frames, frames_of
from media_agent.testing.simulator.videos import Video, make_video
from media_agent_schemas.capabilities import Capabilities, Control
from media_agent_schemas.events import ChunkReady, JobCancelled, JobCompleted, PromptChanged
from media_agent_schemas.jobs import ChangePrompt, Finish, OperationRef
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import Shot, VideoMode

_FAR = 100_000  # a chunk that no video here gets to
_COMMANDS = (ChangePrompt(prompt="a blue square"), Finish())


class SteeringContract(Contract):
    """What holds for work that is interfered with."""

    async def test_cancelled_work_ends(
        self, backend: VideoBackend, capabilities: Capabilities, request_factory: RequestFactory
    ) -> None:
        """It ends as cancelled, or as completed if that came first; twice is as once."""
        if capabilities.cancels is False:
            pytest.skip("it cannot be stopped")
        ref = await backend.submit(request_factory(**self.long_video(backend)), key="cancelled")

        await backend.cancel(ref)
        await backend.cancel(ref)

        assert isinstance(await self.end(backend, ref), JobCancelled | JobCompleted)

    async def test_cancelling_finished_work_changes_nothing(
        self, backend: VideoBackend, capabilities: Capabilities, request_factory: RequestFactory
    ) -> None:
        """The video stays finished."""
        if capabilities.cancels is False:
            pytest.skip("it cannot be stopped")
        ref = await backend.submit(request_factory(), key="too-late")
        await self.end(backend, ref)

        await backend.cancel(ref)

        assert isinstance(await self.end(backend, ref), JobCompleted)

    async def test_a_command_that_is_not_declared_is_refused(
        self, backend: VideoBackend, capabilities: Capabilities, request_factory: RequestFactory
    ) -> None:
        """Steering that would have no effect is an error, not silence."""
        refused = [each for each in _COMMANDS if Control(each.type) not in capabilities.controls]
        if not refused:
            pytest.skip("it supports every command")
        ref = await backend.submit(request_factory(), key="steered")

        for number, command in enumerate(refused, 1):
            with pytest.raises(UnsupportedRequestError):
                await backend.control(ref, command, number=number)

    async def test_an_endless_video_ends_when_told_to_finish(
        self, backend: VideoBackend, capabilities: Capabilities, request_factory: RequestFactory
    ) -> None:
        """It ends with its next chunk, and completes."""
        if capabilities.endless is not True or Control.FINISH not in capabilities.controls:
            pytest.skip("it makes no endless video that can be finished")
        ref = await backend.submit(request_factory(endless=True), key="endless")

        events = await self.observe_all(backend, ref, at_first_chunk=(Finish(),))

        assert isinstance(events[-1], JobCompleted), events[-1]

    async def test_a_video_told_to_finish_has_the_same_end_after_a_kill(
        self,
        backend: VideoBackend,
        capabilities: Capabilities,
        make_backend: MakeBackend,
        request_factory: RequestFactory,
    ) -> None:
        """Killed early, or behind its last chunk: it gets neither shorter nor longer.

        Its frames are the same where the token promises it, and else those that were kept.
        """
        is_finished = capabilities.endless is True and Control.FINISH in capabilities.controls
        if not is_finished or capabilities.resumable is not True:
            pytest.skip("it makes no endless video that can be finished and continued")
        request = request_factory(endless=True)
        ref = await backend.submit(request, key="finished")
        events = await self.observe_all(backend, ref, at_first_chunk=(Finish(),))
        whole = frames_of(await self.end(backend, ref))
        tokens = [e.resume for e in events if isinstance(e, ChunkReady) and e.resume is not None]
        assert tokens, "no chunk came with a token"

        for token in (tokens[0], tokens[-1]):
            another = make_backend()
            again = await another.submit(request, key="finished", resume=token)
            frames = frames_of(await self.end(another, again))
            await another.aclose()

            assert len(frames) == len(whole)
            same = len(whole) if token.exact else count_kept_frames(events, token)
            assert (frames[:same] == whole[:same]).all()

    async def test_a_changed_prompt_is_announced_with_its_chunk(
        self, backend: VideoBackend, capabilities: Capabilities, request_factory: RequestFactory
    ) -> None:
        """The event says from which chunk on the new prompt holds."""
        if capabilities.endless is not True or not set(Control) <= set(capabilities.controls):
            pytest.skip("it makes no endless video whose prompt can be changed")
        for at in ("next", "now", _FAR):
            command = ChangePrompt(prompt="a blue square", at=at)
            ref = await backend.submit(request_factory(endless=True), key=f"changed-{at}")
            changes = []
            async with asyncio.timeout(self.deadline), aclosing(backend.observe(ref)) as events:
                async for event in events:
                    if isinstance(event, ChunkReady) and event.index == 0:
                        await backend.control(ref, command, number=1)
                    if isinstance(event, PromptChanged):
                        changes.append(event)
                        await backend.control(ref, Finish(), number=2)

            assert [change.prompt for change in changes] == ["a blue square"]
            assert changes[0].chunk > 0
            assert at != _FAR or changes[0].chunk == _FAR

    async def test_a_prompt_for_a_chunk_that_is_made_is_told_to_come_too_late(
        self, backend: VideoBackend, capabilities: Capabilities, request_factory: RequestFactory
    ) -> None:
        """Nothing changes, and the end says so."""
        if capabilities.endless is not True or not set(Control) <= set(capabilities.controls):
            pytest.skip("it makes no endless video whose prompt can be changed")
        ref = await backend.submit(request_factory(endless=True), key="too-late-a-prompt")
        late = ChangePrompt(prompt="a blue square", at=0)

        events = await self.observe_all(backend, ref, at_first_chunk=(late, Finish()))

        assert not [event for event in events if isinstance(event, PromptChanged)]
        assert isinstance(events[-1], JobCompleted), events[-1]
        assert any("chunk 0" in warning for warning in events[-1].warnings)

    async def test_a_new_prompt_for_a_video_of_fixed_length_has_an_effect(
        self, backend: VideoBackend, capabilities: Capabilities, request_factory: RequestFactory
    ) -> None:
        """An event says from which chunk on it holds, or a warning why it does not."""
        self._skip_unless_fixed(backend, capabilities, Control.CHANGE_PROMPT)
        for at in ("next", _FAR):
            ref = await backend.submit(
                request_factory(**self.long_video(backend)), key=f"changed-{at}"
            )
            await backend.control(ref, ChangePrompt(prompt="a blue square", at=at), number=1)

            events = await self.observe_all(backend, ref)

            assert isinstance(events[-1], JobCompleted), events[-1]
            changed = [event.prompt for event in events if isinstance(event, PromptChanged)]
            warned = [said for said in events[-1].warnings if "prompt" in said]
            assert changed == ["a blue square"] or (warned and not changed)
            assert at != _FAR or warned, "the video has no such chunk, and nobody says so"

    async def test_a_video_of_fixed_length_ends_early_when_told_to_finish(
        self, backend: VideoBackend, capabilities: Capabilities, request_factory: RequestFactory
    ) -> None:
        """It completes, with fewer frames where it has several chunks."""
        self._skip_unless_fixed(backend, capabilities, Control.FINISH)
        longer = self.long_video(backend)
        ref = await backend.submit(request_factory(**longer), key="finished-early")
        await backend.control(ref, Finish(), number=1)

        finished = await self.end(backend, ref)

        assert isinstance(finished, JobCompleted), finished
        whole = await self.complete(backend, request_factory(**longer), "whole-length")
        assert len(frames_of(finished)) < len(frames_of(whole)) or not longer

    def _skip_unless_fixed(
        self, backend: VideoBackend, capabilities: Capabilities, control: Control
    ) -> None:
        if capabilities.endless is True:
            pytest.skip("it makes endless videos, and is tested with those")
        is_here = capabilities.local or self.is_local(backend)
        if control not in capabilities.controls or not is_here:
            pytest.skip(f"it takes no {control} while it works here")

    async def test_a_branch_begins_with_the_chunks_of_the_video_it_leaves(
        self, backend: VideoBackend, capabilities: Capabilities, request_factory: RequestFactory
    ) -> None:
        """It makes only what follows, under its own prompts, and leaves that video alone."""
        continues = capabilities.resumable is True and capabilities.extends is True
        if not continues or capabilities.max_shots == 1:
            pytest.skip("it cannot continue from the middle of a video with another prompt")
        shot = Shot(
            prompt=self.asked(backend).prompt or "", duration=capabilities.chunk_seconds or 1.0
        )
        parent = await backend.submit(request_factory(shots=(shot,) * 3), key="parent")
        first = await self._await_first_chunk(backend, parent)
        whole = frames_of(await self.end(backend, parent))
        assert first.resume is not None, "a chunk came without a token"
        token = first.resume.model_copy(update={"key": "parent"})
        other = shot.model_copy(update={"prompt": "a blue square"})

        branch = await backend.submit(
            request_factory(shots=(shot, other)), key="branch", resume=token
        )
        events = await self.observe_all(backend, branch)

        assert isinstance(events[-1], JobCompleted), events[-1]
        frames = frames_of(events[-1])
        made = [event.index for event in events if isinstance(event, ChunkReady)]
        assert made[:1] == [token.next_chunk]
        assert len(frames) == len(whole) * 2 // 3
        assert (frames[: first.frames] == whole[: first.frames]).all()
        assert (frames_of(await self.end(backend, parent)) == whole).all()

    async def test_a_video_continues_from_the_end_of_another_by_so_many_frames(
        self,
        backend: VideoBackend,
        capabilities: Capabilities,
        request_factory: RequestFactory,
    ) -> None:
        """As many frames as were asked, whatever the length of the video that was given."""
        if VideoMode.VIDEO_EXTEND not in capabilities.modes or not self.is_local(backend):
            pytest.skip("it does not continue videos here")
        source = MediaInput(role=InputRole.SOURCE_VIDEO, data=make_video(Video(frames=31)))
        request = request_factory(inputs=(source,))

        frames = frames_of(await self.complete(backend, request, "continued"))

        assert len(frames) == request.num_frames

    async def test_work_resumes_from_its_token_in_another_process(
        self,
        backend: VideoBackend,
        capabilities: Capabilities,
        make_backend: MakeBackend,
        request_factory: RequestFactory,
    ) -> None:
        """No chunk twice, none left out, and the video equals the one made in one go.

        Where the token promises no such thing, what was kept equals it, and the length.
        """
        if capabilities.resumable is not True:
            pytest.skip("it cannot continue from a token")
        request = request_factory(**self.long_video(backend))
        whole = await self.complete(backend, request, "whole")
        ref = await backend.submit(request, key="broken-off")
        first = await self._await_first_chunk(backend, ref)
        token = first.resume
        await backend.cancel(ref)
        await self.end(backend, ref)
        assert token is not None, "a chunk came without a token"
        another = make_backend()

        again = await another.submit(request, key="broken-off", resume=token)
        events = await self.observe_all(another, again)
        await another.aclose()

        chunks = [event.index for event in events if isinstance(event, ChunkReady)]
        assert chunks == list(range(token.next_chunk, token.next_chunk + len(chunks)))
        assert isinstance(events[-1], JobCompleted), events[-1]
        frames, expected = frames_of(events[-1]), frames_of(whole)
        assert len(frames) == len(expected)
        same = len(expected) if token.exact else count_kept_frames([first], token)
        assert (frames[:same] == expected[:same]).all()

    async def test_closing_ends_all_work_and_all_threads(
        self, backend: VideoBackend, make_backend: MakeBackend, request_factory: RequestFactory
    ) -> None:
        """Closing in the middle of work releases everything, and may be repeated."""
        before = set(threading.enumerate())
        closed = make_backend()
        await closed.submit(request_factory(**self.long_video(backend)), key="in-work")

        for _ in range(2):
            await asyncio.wait_for(closed.aclose(), self.deadline)

        if self.is_local(backend):  # else a simulator in this process has threads too
            assert [thread.name for thread in _list_own_threads() - before] == []

    async def test_a_closed_backend_takes_no_work(
        self, make_backend: MakeBackend, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """What would never be done is refused."""
        closed = make_backend()
        await closed.aclose()

        with pytest.raises(MediaAgentError):
            await closed.submit(request_factory(), key="after-the-end")

    async def _await_first_chunk(self, backend: VideoBackend, ref: OperationRef) -> ChunkReady:
        async with asyncio.timeout(self.deadline), aclosing(backend.observe(ref)) as events:
            async for event in events:
                if isinstance(event, ChunkReady):
                    return event
        pytest.fail("it ended without a chunk")


def _list_own_threads() -> set[threading.Thread]:
    """Return the threads that are not asyncio's own helpers."""
    return {each for each in threading.enumerate() if not each.name.startswith("asyncio_")}
