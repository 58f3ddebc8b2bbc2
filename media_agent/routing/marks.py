"""What the settings want of every video, put into requests and told in plans."""

from media_agent.config.provenance_section import ProvenanceSection
from media_agent.provenance.marking import check_marks, warn_of_marks
from media_agent_schemas.plan import Adjustment, Plan, PlanReport
from media_agent_schemas.request import VideoRequest

_FIELDS = {
    "watermark": "the settings want it, under [provenance]",
    "visible_label": "the settings want it, under [provenance]",
    "deadline": "as the settings say, under deadline_seconds",
}


def ask_for_marks(request: VideoRequest, section: ProvenanceSection) -> VideoRequest:
    """Return the request with the marks of the settings: it may want more than they, never less.

    Raises:
        InvalidRequestError: a package that makes them is missing.
    """
    changes: dict[str, object] = {}
    if section.watermark == "all" or (section.watermark != "off" and request.watermark is None):
        changes["watermark"] = section.watermark
    if request.visible_label is None and section.visible_label is not None:
        changes["visible_label"] = section.visible_label
    asking = request.model_copy(update=changes)
    check_marks(asking)
    return asking


def note_marks(plan: Plan, asked: VideoRequest) -> Plan:
    """Return the plan with what the settings added to the request, and what is not possible."""
    added = tuple(
        Adjustment(
            field=name,
            asked=getattr(asked, name),
            used=getattr(plan.request, name),
            reason=reason,
        )
        for name, reason in _FIELDS.items()
        if getattr(plan.request, name) != getattr(asked, name)
    )
    said = warn_of_marks(plan.request)
    if not added and not said:
        return plan
    changes = {
        "adjustments": (*plan.adjustments, *added),
        "warnings": (*plan.warnings, *said),
    }
    return plan.model_copy(update=changes)


def note_marks_of_all(report: PlanReport, asked: VideoRequest) -> PlanReport:
    """Return the report with that said of the plan of every candidate."""
    candidates = tuple(
        each
        if each.plan is None
        else each.model_copy(update={"plan": note_marks(each.plan, asked)})
        for each in report.candidates
    )
    return report.model_copy(update={"candidates": candidates})
