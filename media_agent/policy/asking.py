"""Asks the policies that apply, one after the other by name; a no, or no answer, is the end."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from media_agent.errors import MediaAgentError, PolicyFailedError, in_full
from media_agent.policy.amendments import find_planned, list_changes
from media_agent.policy.decisions import (
    Amend,
    PolicyCall,
    PolicyRule,
    PolicySpec,
    Replace,
    VideoPolicy,
)
from media_agent.policy.verdicts import UNPAID, Notes, describe, failure, judge, note_of
from media_agent.suggest import did_you_mean
from media_agent.validation import in_words
from media_agent_schemas.plan import Adjustment, Plan
from media_agent_schemas.policies import PolicyDecision, PolicyStage
from media_agent_schemas.request import VideoRequest


@dataclass(frozen=True, slots=True)
class Screened:
    """A request as the policies let it be planned, and what they said."""

    request: VideoRequest
    notes: Notes = ()
    changes: tuple[Adjustment, ...] = ()
    is_held: bool = False
    """Whether some look at the video as well, before any of it may be shown."""

    def note_in(self, plan: Plan) -> Plan:
        """Return a plan that says what the policies said before it was made."""
        if not self.notes and not self.is_held:
            return plan
        changes: dict[str, object] = {
            "policies": (*self.notes, *plan.policies),
            "adjustments": (*self.changes, *plan.adjustments),
            "held": self.is_held,
        }
        return plan.model_copy(update=changes)


class Policies:
    """The policies of the settings; each is made when it is first asked."""

    def __init__(
        self,
        rules: Callable[[], Mapping[str, PolicyRule]],
        kinds: Callable[[], Mapping[str, PolicySpec]],
        named_by: Callable[[str], Iterable[str]] = lambda caller: (),
        without_keys: Callable[[str], str] = lambda text: text,
    ) -> None:
        """Take the rules by name, the kinds that there are, and what a caller's API keys name.

        `without_keys` takes keys out of what a broken policy says.
        """
        self._read_rules = rules
        self._kinds = kinds
        self._named_by = named_by
        self._without_keys = without_keys
        self._made: dict[str, VideoPolicy] = {}

    async def before_plan(self, request: VideoRequest, call: PolicyCall) -> Screened:
        """Return the request as it may be planned.

        Raises:
            PolicyRefusedError: a policy refuses it.
            PolicyFailedError: one could not be asked.
        """
        stage = PolicyStage.BEFORE_PLAN
        names = self._list_applying(call.caller)
        asked = request
        notes: Notes = ()
        changes: tuple[Adjustment, ...] = ()
        for name in names:
            check = self._find_check(name, VideoPolicy.before_plan, notes, stage)
            if check is None:
                continue
            answer = await self._ask(name, stage, notes, lambda: check(asked, call))  # noqa: B023
            match answer:
                case Amend(request=VideoRequest() as said, reason=reason):
                    amended = _check(said, name, stage, notes)
                    notes = (*notes, note_of(name, stage, PolicyDecision.AMENDED, reason=reason))
                    changes += tuple(list_changes(asked, amended, notes[-1]))
                    asked = amended
                case _:
                    notes = (*notes, judge(name, stage, answer, notes))
        return Screened(asked, notes, changes, is_held=self._is_held(names))

    async def before_submit(self, plan: Plan, call: PolicyCall) -> Plan:
        """Return the plan as it may be submitted, with what was said of it.

        Raises:
            PolicyRefusedError: a policy refuses it.
            PolicyFailedError: one could not be asked, or changed more than words.
        """
        stage = PolicyStage.BEFORE_SUBMIT
        names = self._list_applying(call.caller)
        notes = tuple(note for note in plan.policies if note.stage is not stage)
        for name in names:
            check = self._find_check(name, VideoPolicy.before_submit, notes, stage)
            if check is None:
                continue
            answer = await self._ask(name, stage, notes, lambda: check(plan, call))  # noqa: B023
            match answer:
                case Amend(request=VideoRequest() as said, reason=reason):
                    amended = _check(said, name, stage, notes)
                    field = find_planned(plan.request, amended)
                    if field is not None:
                        why = f"it changed {field}, which is planned and priced already"
                        raise failure(name, stage, why, notes)
                    notes = (*notes, note_of(name, stage, PolicyDecision.AMENDED, reason=reason))
                    changes = (*plan.adjustments, *list_changes(plan.request, amended, notes[-1]))
                    update: dict[str, object] = {"request": amended, "adjustments": changes}
                    plan = plan.model_copy(update=update)
                case _:
                    notes = (*notes, judge(name, stage, answer, notes))
        if notes == plan.policies and plan.held == self._is_held(names):
            return plan
        return plan.model_copy(update={"policies": notes, "held": self._is_held(names)})

    async def after_result(self, plan: Plan, video: Path, call: PolicyCall) -> tuple[Path, Notes]:
        """Return the file to deliver, and what was said.

        Raises:
            PolicyRefusedError: a policy refuses the video.
            PolicyFailedError: one could not be asked, or gave no file.
        """
        stage = PolicyStage.AFTER_RESULT
        notes: Notes = ()
        for name in self._list_applying(call.caller):
            check = self._find_check(name, VideoPolicy.after_result, notes, stage)
            if check is None:
                continue
            answer = await self._ask(name, stage, notes, lambda: check(plan, video, call))  # noqa: B023
            match answer:
                case Replace(video=Path() as other, reason=reason):
                    if not await asyncio.to_thread(other.is_file):
                        raise failure(name, stage, f"there is no file {other}", notes)
                    notes = (*notes, note_of(name, stage, PolicyDecision.AMENDED, reason=reason))
                    video = other
                case _:
                    notes = (*notes, judge(name, stage, answer, notes))
        return video, notes

    def make(self, name: str) -> VideoPolicy:
        """Return a policy of the settings.

        Raises:
            MediaAgentError: it cannot be made, and why.
        """
        if name not in self._made:
            rule, kinds = self._rules[name], self._kinds()
            if rule.kind not in kinds:
                raise PolicyFailedError(
                    f"there is no kind of policy {rule.kind!r}",
                    hint=f"{did_you_mean(rule.kind, kinds)}; see kind in [policies.{name}]",
                )
            try:
                made = kinds[rule.kind].factory(rule.settings)
            except MediaAgentError:
                raise
            except Exception as error:  # a plugin's own
                raise PolicyFailedError(describe(error)) from error
            if not isinstance(made, VideoPolicy):
                raise PolicyFailedError(f"kind {rule.kind} made {type(made).__name__}, no policy")
            self._made[name] = made
        return self._made[name]

    @cached_property
    def _rules(self) -> Mapping[str, PolicyRule]:
        return self._read_rules()

    def _list_applying(self, caller: str | None) -> list[str]:
        """Return the names of the policies that apply, in the order in which they are asked.

        Raises:
            PolicyFailedError: an API key names one that the settings do not have.
        """
        named = set() if caller is None else set(self._named_by(caller))
        for name in sorted(named - self._rules.keys()):
            raise PolicyFailedError(
                f"an API key of {caller} names the policy {name}, which the settings do not have",
                hint=f"add [policies.{name}], or make another key; {UNPAID}",
            )
        return sorted(name for name, rule in self._rules.items() if rule.for_all or name in named)

    def _is_held(self, names: Iterable[str]) -> bool:
        base = VideoPolicy.after_result
        return any(type(self.make(name)).after_result is not base for name in names)

    def _find_check(
        self,
        name: str,
        base: Callable[..., object],
        notes: Notes,
        stage: PolicyStage,
    ) -> Callable[..., object] | None:
        """Return what a policy does at a stage; None: nothing."""
        try:
            policy = self.make(name)
        except MediaAgentError as error:
            said = self._without_keys(in_full(error))
            raise failure(name, stage, said, notes) from error
        if getattr(type(policy), base.__name__) is base:
            return None
        check: Callable[..., object] = getattr(policy, base.__name__)
        return check

    async def _ask(
        self, name: str, stage: PolicyStage, notes: Notes, call: Callable[[], object]
    ) -> object:
        seconds = self._rules[name].timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await _run_in_thread(call)
        except TimeoutError:
            raise failure(name, stage, f"no answer in {seconds:g} s", notes) from None
        except _BrokeError as error:
            said = self._without_keys(str(error))
            raise failure(name, stage, said, notes) from error.__cause__


class _BrokeError(Exception):
    """A policy raised something, which is the cause."""


async def _run_in_thread(call: Callable[[], object]) -> object:
    """Run a call in a thread of its own, which holds nobody up if it never ends."""
    done: Future[object] = Future()
    done.set_running_or_notify_cancel()  # from here on it is settled by the thread alone

    def work() -> None:
        try:
            done.set_result(call())
        except BaseException as error:  # noqa: BLE001  # a plugin's own, an exit too
            broke = _BrokeError(describe(error))
            broke.__cause__ = error
            done.set_exception(broke)

    threading.Thread(target=work, name="media-agent policy", daemon=True).start()
    return await asyncio.wrap_future(done)


def _check(amended: VideoRequest, name: str, stage: PolicyStage, notes: Notes) -> VideoRequest:
    """Return an amended request, which may be a copy that nobody checked, nor what is in it.

    Raises:
        PolicyFailedError: it is impossible.
    """
    try:
        return VideoRequest.model_validate(amended.model_dump(warnings=False))
    except ValidationError as error:
        raise failure(name, stage, in_words(error, VideoRequest), notes) from error
