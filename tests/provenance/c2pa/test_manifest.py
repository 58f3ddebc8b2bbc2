"""What a manifest says of a request: nothing of its words, and nothing that it cannot hold."""

from datetime import UTC, datetime

from media_agent.policy.amendments import list_changes
from media_agent.provenance.c2pa.manifest import build_assertion
from media_agent_schemas import (
    Adjustment,
    Capabilities,
    JobCompleted,
    JobStatus,
    Plan,
    Policy,
    Shot,
    VideoJob,
    VideoRequest,
)
from media_agent_schemas.policies import PolicyDecision, PolicyNote, PolicyStage
from media_agent_schemas.provenance import GenerationAssertion
from media_agent_schemas.request import VideoMode

SECRET = "a fox that nobody is to know of"
CAPABILITIES = Capabilities(backend="b", model="m", modes=(VideoMode.TEXT_TO_VIDEO,))


def assertion_of(*adjustments: Adjustment, seed: int | None = None) -> GenerationAssertion:
    request = VideoRequest(prompt=SECRET, seed=0)
    plan = Plan(
        backend="b", model="m", policy=Policy.ADJUST, request=request, adjustments=adjustments
    )
    now = datetime.now(UTC)
    job = VideoJob(
        id="j",
        request=request,
        plan=plan,
        status=JobStatus.QUEUED,
        created_at=now,
        updated_at=now,
    )
    end = JobCompleted(artifacts=(), seed=seed)
    return build_assertion(job, end, CAPABILITIES, {}, with_prompts=False)


def test_what_a_policy_says_of_what_it_changed_is_not_signed() -> None:
    before = VideoRequest(shots=(Shot(prompt=SECRET, duration=1),), labels={"who": SECRET})
    after = before.model_copy(update={"shots": (Shot(prompt="a cat", duration=1),), "labels": {}})
    note = PolicyNote(
        policy="house",
        stage=PolicyStage.BEFORE_PLAN,
        decision=PolicyDecision.AMENDED,
        reason=f"instead of {SECRET}",
    )

    signed = assertion_of(*list_changes(before, after, note))

    assert SECRET not in signed.model_dump_json()
    assert [each.reason for each in signed.adjustments] == ["policy house"] * 2


def test_options_are_not_signed_whatever_their_backend_is_called() -> None:
    signed = assertion_of(
        Adjustment(field="options.quality", asked={"text": SECRET}, used=None, reason="not for b"),
        Adjustment(field=f"options.{SECRET}", asked={}, used=None, reason="not for b"),
        Adjustment(field="size", asked="640x480", used="640x360", reason="the nearest"),
    )

    assert SECRET not in signed.model_dump_json()
    assert [each.field for each in signed.adjustments] == ["options", "options", "size"]
    assert signed.adjustments[-1].used == "640x360"


def test_a_seed_that_is_no_seed_is_left_out() -> None:
    assert assertion_of(seed=2**64).seed is None
    assert assertion_of(seed=2**63 - 1).seed == 2**63 - 1
