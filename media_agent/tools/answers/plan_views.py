"""What the tools answer about plans and models, in few words."""

from collections.abc import Sequence

from pydantic import Field

from media_agent.errors import in_full
from media_agent.negotiation.possible_lengths import find_longest_shot
from media_agent.routing.explain import collect_refusals, describe_changes
from media_agent.routing.listing import Listed, Listing
from media_agent.shorten import shorten_to_line
from media_agent.tools.answers.fitting import choose_fitting, shorten_texts
from media_agent.wording import info_to_tools, to_tools
from media_agent_schemas.base import Schema
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.plan import Candidate, PlanReport

LARGEST_PLAN = 1600  # characters of JSON; an agent pays for each of them
MOST_OTHERS = 4
_DETAILS = (
    (MOST_OTHERS, 3, 160),
    (3, 3, 120),
    (2, 3, 120),
    (2, 2, 80),
    (1, 1, 80),
    (0, 1, 40),
    (0, 0, 0),
)
"""Others shown, reasons or adjustments of each, characters of a text: as many as fit."""
_MODEL_DETAILS = (
    (25, 8, 200, 400),
    (25, 4, 120, 400),
    (15, 4, 80, 200),
    (10, 2, 80, 100),
    (5, 2, 40, 50),
    (1, 0, 40, 0),
)
"""Models shown, problems of others, characters of a text, words of a vocabulary: as many as fit."""
_MOST_OPTIONS = 30


class OptionView(Schema):
    """A model that could make the video."""

    model: str = Field(description='Pass this as "model" to choose it.')
    cost_usd: float | None = Field(
        default=None, description="Price; null: unknown, which is not free."
    )
    seconds: float | None = Field(
        default=None, description="Time until the video is ready; null: unknown."
    )
    method: str = Field(description="single, endless, extend or chain: how the length is reached.")
    seams: int = Field(default=0, description="Cuts between segments.")
    verification: str = Field(description="How far this backend was checked.")
    local: bool = Field(default=False, description="Runs on this machine.")
    adjustments: tuple[str, ...] = Field(
        default=(), description="What would differ from the request."
    )


class RefusedView(Schema):
    """The models that cannot make it."""

    count: int = Field(description="How many models were refused.")
    reasons: tuple[str, ...] = Field(description="The most common reasons, with the fix.")


class PlanView(Schema):
    """Which model would make the video, and which others could."""

    summary: str = Field(description="The plan in a sentence.")
    chosen: OptionView | None = Field(default=None, description="What create_video would do.")
    others: tuple[OptionView, ...] = Field(default=(), description="Other models, best first.")
    left_out: int = Field(default=0, description="More models that could, not listed here.")
    refused: RefusedView | None = Field(default=None, description="Those that cannot.")
    next: str = Field(description="Next step.")


def view_plan(report: PlanReport, *, others: tuple[Candidate, ...] = ()) -> PlanView:
    """Return what an agent sees of a plan, with others who were asked for comparison."""
    known = {each.name for each in report.candidates}
    candidates = (*report.candidates, *(each for each in others if each.name not in known))
    whole = report.model_copy(update={"candidates": candidates})
    views = (_view_plan(whole, report.chosen, *detail) for detail in _DETAILS)
    return choose_fitting(views, LARGEST_PLAN)


def _view_plan(
    report: PlanReport, chosen: Candidate | None, most: int, texts: int, length: int
) -> PlanView:
    able = [each for each in report.ranked if each is not chosen]
    glanced = sum(each.rank is None and not each.refusals for each in report.candidates)
    return PlanView(
        summary=shorten_to_line(report.summary, max(length, 80)),
        chosen=None if chosen is None else _view_option(chosen, texts, length),
        others=tuple(_view_option(each, texts, length) for each in able[:most]),
        left_out=max(0, len(able) - most) + glanced,
        refused=_view_refused(report, texts, length),
        next=_suggest_after_plan(chosen is not None, bool(able)),
    )


def _suggest_after_plan(has_chosen: bool, has_others: bool) -> str:
    if has_chosen:
        return "call create_video with the same arguments, or with the model of another option"
    if has_others:
        return "call create_video with the model of one of the others"
    return "change the request as the reasons say"


def _view_option(candidate: Candidate, texts: int, length: int) -> OptionView:
    changes = () if candidate.plan is None else tuple(describe_changes(candidate.plan))
    seconds = candidate.estimate.seconds
    return OptionView(
        model=candidate.name,
        cost_usd=candidate.estimate.cost_usd,
        seconds=None if seconds is None else round(seconds, 1),
        method=candidate.method,
        seams=candidate.seams,
        verification=str(candidate.verification),
        local=candidate.local,
        adjustments=shorten_texts(changes, texts, length),
    )


def _view_refused(report: PlanReport, texts: int, length: int) -> RefusedView | None:
    count = sum(bool(each.refusals) for each in report.candidates)
    if count == 0:
        return None
    said = [f"{who}: {in_full(info_to_tools(info))}" for info, who in collect_refusals(report)]
    return RefusedView(count=count, reasons=shorten_texts(tuple(said), texts, length))


class ModelView(Schema):
    """One model, in a line."""

    model: str = Field(description='Pass this as "model" to choose it.')
    price: str = Field(description="Of a second of video; unknown is not free.")
    longest_seconds: float | None = Field(default=None, description="At once; null: no limit.")
    local: bool = Field(default=False, description="Runs on this machine.")
    verification: str = Field(description="How far it was checked.")
    missing: str | None = Field(default=None, description="What it needs before it can be used.")
    words: tuple[str, ...] | None = Field(
        default=None, description="The only words it knows; listed when it is the only model."
    )
    options: tuple[str, ...] | None = Field(
        default=None, description="Its options, NAME (type): what it does; listed likewise."
    )


class ModelListView(Schema):
    """The models there are."""

    models: tuple[ModelView, ...] = Field(description="All models whose name matches.")
    left_out: int = Field(default=0, description="More of them; search for a part of a name.")
    problems: tuple[str, ...] = Field(default=(), description="Why others cannot be asked.")


def view_models(listing: Listing, search: str | None) -> ModelListView:
    """Return the models whose names contain a text, a line each; first those that can be used.

    So are the problems of others chosen: those that say the text.
    """
    wanted = "" if search is None else search.lower()
    found = [each for each in listing.models if wanted in each.name.lower()]
    found.sort(key=lambda each: each.capabilities.missing is not None)
    said = map(to_tools, listing.problems)
    problems = tuple(each for each in said if wanted in each.lower())
    return choose_fitting(_view_models(found, problems, *detail) for detail in _MODEL_DETAILS)


def _view_models(
    found: Sequence[Listed], problems: tuple[str, ...], most: int, texts: int, length: int, few: int
) -> ModelListView:
    only = len(found) == 1
    return ModelListView(
        models=tuple(_view_model(each, only, length, few) for each in found[:most]),
        left_out=max(0, len(found) - most),
        problems=shorten_texts(problems, texts, length),
    )


def _view_model(listed: Listed, is_only: bool, length: int, few: int) -> ModelView:
    capabilities = listed.capabilities
    words = capabilities.closed_vocabulary or ()
    return ModelView(
        model=listed.name,
        price=listed.price(),
        longest_seconds=find_longest_shot(capabilities),
        local=capabilities.local,
        verification=str(capabilities.verification),
        missing=capabilities.missing,
        words=words if is_only and 0 < len(words) <= few else None,
        options=_list_options(capabilities, length) if is_only and capabilities.options else None,
    )


def _list_options(capabilities: Capabilities, length: int) -> tuple[str, ...]:
    said = (f"{each.name} ({each.type}): {each.description}" for each in capabilities.options)
    return shorten_texts(tuple(said), _MOST_OPTIONS, length)
