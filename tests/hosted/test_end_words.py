"""Words for the end of work, in all the forms that services write them in."""

import httpx
import pytest

from media_agent_hosted.parsing.states import State, state_beside, state_of

from .test_odd_replies import KINDS, Service

pytestmark = pytest.mark.anyio

CONTENT = {"result": None, "content": "/videos/{id}/content"}


@pytest.mark.parametrize(
    "word",
    [
        *("processed", "Rendered", "uploaded", "VIDEO_PROCESSED", "成功", "已完成"),
        *("COMPLETED_WITH_ERRORS", "completed with some errors", "JOB_STATE_PARTIALLY_SUCCEEDED"),
        *("partially completed", "completed (100%)", "Completed: 100 percent", "done 100"),
    ],
)
def test_words_for_done_are_known(word):
    assert state_of(word) is State.DONE


@pytest.mark.parametrize(
    "word",
    [
        *("processing_failed", "RENDER_FAILED", "INTERNAL_ERROR", "GenerationFailed", "失败"),
        *("upload-failure", "not found", "Task not found", "blocked", "FAILED: out of memory"),
    ],
)
def test_words_for_failed_are_known(word):
    assert state_of(word) is State.FAILED


@pytest.mark.parametrize(
    "word",
    [
        *("completed (50%)", "not_failed", "no_error", "retrying_after_error", "未完成"),
        *(
            "recovering_from_error",
            "partially_failed",
            "incomplete",
            "not_processed",
            "unprocessed",
        ),
    ],
)
def test_words_that_only_resemble_an_end_are_none(word):
    assert state_of(word) is None


@pytest.mark.parametrize("word", ["incomplete", "Incomplete", "stopped"])
def test_a_word_of_two_meanings_is_a_failure_only_beside_an_error(word):
    assert state_beside(word, has_error=True) is State.FAILED
    assert state_beside(word, has_error=False) is None


@pytest.mark.parametrize("kind", ["declared", "openai"])
async def test_incomplete_work_with_an_error_has_failed_at_once_in_its_words(kind, tmp_path):
    polls = {"id": "v1", "status": "incomplete", "error": {"message": "the fox ran away"}}
    service = Service(kind, tmp_path, polls=polls)

    end = await service.end()

    assert end.type == "job.failed"
    assert "the fox ran away" in end.error.message
    assert len(service.asked) == 2


@pytest.mark.parametrize("kind", ["declared", "openai"])
async def test_work_that_failed_has_the_code_of_its_service(kind, tmp_path):
    why = {"code": "fox_unavailable", "message": "the fox ran away"}
    service = Service(kind, tmp_path, polls={"id": "v1", "status": "failed", "error": why})

    assert (await service.end()).error.provider_code == "fox_unavailable"


@pytest.mark.parametrize("kind", ["declared", "openai"])
async def test_an_error_that_means_none_makes_no_failure_of_incomplete_work(kind, tmp_path):
    done = Service(kind, tmp_path).polls[0]
    polls = [{"id": "v1", "status": "incomplete", "error": "none"}, done]

    assert (await Service(kind, tmp_path, polls=polls).end()).type == "job.completed"


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_state_says_of_its_failure_is_shown(kind, tmp_path):
    end = await Service(kind, tmp_path, polls={"id": "v1", "status": "FAILED: no memory"}).end()

    assert end.type == "job.failed"
    assert "no memory" in end.error.message


@pytest.mark.parametrize("word", ["processing_failed", "blocked", "not found"])
async def test_a_word_that_is_declared_wins_over_what_it_usually_means(word, tmp_path):
    polls = {"status": word, "url": "/video.mp4"}

    assert (await Service("declared", tmp_path, polls=polls, done=[word]).end()).type == (
        "job.completed"
    )


@pytest.mark.parametrize("deadline", [25, 7200])
@pytest.mark.parametrize("kind", ["declared", "openai"])
async def test_a_word_that_never_changes_is_no_reason_to_leave_a_video_that_is_there(
    kind, deadline, tmp_path
):
    options = (CONTENT if kind == "declared" else {}) | {"deadline_seconds": deadline}
    service = Service(kind, tmp_path, polls={"id": "v1", "status": "pondering"}, **options)

    assert (await service.end()).type == "job.completed"
    assert service.asked.count("/v1/videos/v1/content") <= 1
    assert len(service.asked) > 4


@pytest.mark.parametrize("status", [400, 403, 404, 409, 425])
@pytest.mark.parametrize("kind", ["declared", "openai"])
async def test_looking_for_a_video_early_ends_no_work(kind, status, tmp_path):
    options = CONTENT if kind == "declared" else {}
    polls = [{"id": "v1", "status": "pondering"}] * 15
    service = Service(kind, tmp_path, polls=[*polls, {"id": "v1", "status": "done"}], **options)
    video, service.content = service.content, httpx.Response(status, json={"detail": "not yet"})
    answer = service.answer

    def later(request):
        if len(service.polls) == 1:
            service.content = video
        return answer(request)

    service.answer = later

    assert (await service.end()).type == "job.completed"
