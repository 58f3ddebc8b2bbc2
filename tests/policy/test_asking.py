"""Policies are asked in the order of their names, and a no or no answer is the end."""

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from media_agent.errors import PolicyFailedError, PolicyRefusedError
from media_agent.policy.asking import Policies
from media_agent.policy.decisions import (
    ALLOW,
    Allow,
    Amend,
    PolicyCall,
    PolicyRule,
    PolicySettings,
    PolicySpec,
    Refuse,
    Replace,
    VideoPolicy,
)
from media_agent_schemas import Budget, Plan, Policy, VideoRequest
from media_agent_schemas.policies import PolicyDecision, PolicyStage

pytestmark = pytest.mark.anyio
REQUEST = VideoRequest(prompt="a cat", seed=0)
CALL = PolicyCall()
PLAN = Plan(backend="b", model="m", policy=Policy.ADJUST, request=REQUEST)


class Scripted(VideoPolicy):
    """Answers what a test says, at each stage."""

    def __init__(self, log: list[str], name: str, answer: object) -> None:
        self.log, self.name, self.answer = log, name, answer

    def before_plan(self, request, call):
        return self._answer(request)

    def before_submit(self, plan, call):
        return self._answer(plan.request)

    def _answer(self, request):
        self.log.append(f"{self.name}: {request.prompt}")
        return self.answer(request) if callable(self.answer) else self.answer


class Watcher(VideoPolicy):
    """Looks at videos only."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def after_result(self, plan, video, call):
        return self.answer


def build(answers: Mapping[str, object], log: list[str] | None = None, **facts: object) -> Policies:
    log = [] if log is None else log
    kinds = {
        name: PolicySpec(name, lambda settings, answer=answer: Scripted(log, settings.name, answer))
        for name, answer in answers.items()
    }
    rules = {name: PolicyRule(name, PolicySettings(name), **facts) for name in answers}
    return Policies(lambda: rules, lambda: kinds)


def more(word: str):
    return lambda request: Amend(
        request.model_copy(update={"prompt": f"{request.prompt} {word}"}), f"adds {word}"
    )


async def test_each_sees_what_the_ones_before_made_of_it_in_the_order_of_names() -> None:
    log: list[str] = []
    policies = build({"b": more("two"), "c": ALLOW, "a": more("one")}, log)

    allowed = await policies.before_plan(REQUEST, CALL)

    assert log == ["a: a cat", "b: a cat one", "c: a cat one two"]
    assert allowed.request.prompt == "a cat one two"
    assert [(note.policy, note.decision) for note in allowed.notes] == [
        ("a", PolicyDecision.AMENDED),
        ("b", PolicyDecision.AMENDED),
        ("c", PolicyDecision.ALLOWED),
    ]
    assert [(each.field, each.asked, each.used, each.reason) for each in allowed.changes] == [
        ("prompt", "a cat", "a cat one", "policy a: adds one"),
        ("prompt", "a cat one", "a cat one two", "policy b: adds two"),
    ]


async def test_nobody_is_asked_after_a_refusal() -> None:
    log: list[str] = []
    policies = build({"a": ALLOW, "b": Refuse("dogs_only", "no cats"), "c": ALLOW}, log)

    with pytest.raises(
        PolicyRefusedError, match=r"policy b refused .* \(dogs_only\): no cats"
    ) as e:
        await policies.before_plan(REQUEST, CALL)

    assert len(log) == 2
    assert "nothing was paid" in (e.value.hint or "")
    assert [note.decision for note in e.value.notes] == ["allowed", "refused"]
    assert e.value.notes[-1].code == "dogs_only"


def explode(request: VideoRequest) -> Allow:
    raise KeyError("cats")


def leave(request: VideoRequest) -> Allow:
    raise SystemExit(3)


def spoil(request: VideoRequest) -> Amend:
    return Amend(request.model_copy(update={"prompt": None}), "spoils it")


def promise(request: VideoRequest) -> Amend:
    budget = Budget.model_construct(max_cost_usd="lots")
    return Amend(request.model_copy(update={"budget": budget}), "spends")


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("nothing can be said of it")


def mumble(request: VideoRequest) -> Allow:
    raise MuteError


@pytest.mark.parametrize("stage", ["before_plan", "before_submit"])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (explode, "KeyError: 'cats'"),
        (leave, "SystemExit: 3"),
        (None, "it answered NoneType"),
        (True, "it answered bool"),
        (Replace(Path("a.mp4"), "why not"), "it answered Replace"),
        (spoil, "prompt"),
        (promise, "budget.max_cost_usd"),
        (mumble, "MuteError"),
    ],
)
async def test_a_policy_that_breaks_is_a_no_that_says_so(
    answer: object, said: str, stage: str
) -> None:
    policies = build({"shaky": answer})
    asked = {"before_plan": REQUEST, "before_submit": PLAN}[stage]

    with pytest.raises(PolicyFailedError, match="the policy shaky failed: ") as caught:
        await getattr(policies, stage)(asked, CALL)

    assert said in caught.value.message
    assert "nothing was paid" in (caught.value.hint or "")
    assert caught.value.notes[-1].decision is PolicyDecision.FAILED


@pytest.mark.parametrize("stage", ["before_plan", "before_submit"])
async def test_a_refusal_whose_words_are_no_text_is_a_refusal(stage: str) -> None:
    policies = build({"odd": Refuse(404, MuteError(), hint=5)})  # type: ignore[arg-type]
    asked = {"before_plan": REQUEST, "before_submit": PLAN}[stage]

    with pytest.raises(PolicyRefusedError, match=r"\(404\): MuteError") as caught:
        await getattr(policies, stage)(asked, CALL)

    assert caught.value.notes[-1].code == "404"
    assert str(caught.value.hint).startswith("5; ")


async def test_a_policy_that_never_answers_is_a_no_after_its_time() -> None:
    over = threading.Event()
    policies = build({"slow": lambda request: over.wait()}, timeout_seconds=0.05)

    try:
        with pytest.raises(PolicyFailedError, match=r"slow failed: no answer in 0\.05 s"):
            await policies.before_plan(REQUEST, CALL)
    finally:
        over.set()


async def test_keys_are_taken_out_of_what_a_broken_policy_says() -> None:
    rules = {"leaky": PolicyRule("leaky", PolicySettings("leaky"))}

    def leak(request: VideoRequest) -> Allow:
        raise ValueError("key=sesame")

    kinds = {"leaky": PolicySpec("leaky", lambda settings: Scripted([], "leaky", leak))}
    policies = Policies(
        lambda: rules, lambda: kinds, without_keys=lambda text: text.replace("sesame", "***")
    )

    with pytest.raises(PolicyFailedError) as caught:
        await policies.before_plan(REQUEST, CALL)

    assert "sesame" not in f"{caught.value.message} {caught.value.notes}"


async def test_an_unknown_kind_refuses_all_and_names_the_nearest() -> None:
    rules = {"words": PolicyRule("bloklist", PolicySettings("words"))}
    kinds = {"blocklist": PolicySpec("blocklist", lambda settings: VideoPolicy())}

    with pytest.raises(PolicyFailedError, match=r"bloklist"):
        await Policies(lambda: rules, lambda: kinds).before_plan(REQUEST, CALL)


async def test_before_a_submission_only_words_may_change() -> None:
    words = build({"a": more("dancing")})
    length = build({"a": lambda request: Amend(request.model_copy(update={"seed": 1}), "luck")})

    plan = await words.before_submit(PLAN, CALL)

    assert plan.request.prompt == "a cat dancing"
    assert plan.adjustments[-1].reason == "policy a: adds dancing"
    assert plan.policies[-1].stage is PolicyStage.BEFORE_SUBMIT
    with pytest.raises(PolicyFailedError, match="it changed seed"):
        await length.before_submit(PLAN, CALL)


async def test_asked_again_a_plan_says_the_same_once() -> None:
    policies = build({"a": ALLOW})

    once = await policies.before_submit(PLAN, CALL)

    assert await policies.before_submit(once, CALL) == once


async def test_a_policy_for_some_is_asked_about_keys_that_name_it() -> None:
    rules = {
        "all": PolicyRule("no", PolicySettings("all"), for_all=False),
        "kids": PolicyRule("no", PolicySettings("kids"), for_all=False),
    }
    kinds = {"no": PolicySpec("no", lambda settings: Scripted([], "no", Refuse("no", "no")))}
    named = {"school": ["kids"], "lost": ["gone"], "studio": []}
    policies = Policies(lambda: rules, lambda: kinds, lambda caller: named[caller])

    assert (await policies.before_plan(REQUEST, CALL)).notes == ()
    assert (await policies.before_plan(REQUEST, PolicyCall("studio"))).notes == ()
    with pytest.raises(PolicyRefusedError, match="policy kids"):
        await policies.before_plan(REQUEST, PolicyCall("school"))
    with pytest.raises(PolicyFailedError, match="names the policy gone"):
        await policies.before_plan(REQUEST, PolicyCall("lost"))


def watch(answer: object) -> Policies:
    kinds = {"eye": PolicySpec("eye", lambda settings: Watcher(answer))}
    return Policies(lambda: {"eye": PolicyRule("eye", PolicySettings("eye"))}, lambda: kinds)


async def test_a_plan_is_held_where_a_policy_looks_at_the_video() -> None:
    assert (await watch(ALLOW).before_plan(REQUEST, CALL)).note_in(PLAN).held
    assert not (await build({"a": ALLOW}).before_plan(REQUEST, CALL)).note_in(PLAN).held


async def test_a_video_may_be_replaced_by_a_file_that_is_there(tmp_path: Path) -> None:
    blurred = tmp_path / "blurred.mp4"
    blurred.write_bytes(b"video")

    file, notes = await watch(Replace(blurred, "faces blurred")).after_result(
        PLAN, tmp_path / "a.mp4", CALL
    )

    assert file == blurred
    assert [(note.decision, note.reason) for note in notes] == [("amended", "faces blurred")]
    with pytest.raises(PolicyFailedError, match="there is no file"):
        await watch(Replace(tmp_path / "none.mp4", "?")).after_result(PLAN, blurred, CALL)
