"""The policy `consent`: whoever brings an image declares that those shown in it agreed.

It cannot see who is in an image, nor whether a declaration is true: it asks for one, refuses
without it, and the record keeps it.
"""

from pydantic import Field

from media_agent.policy.decisions import (
    ALLOW,
    Allow,
    PolicyCall,
    PolicySettings,
    Refuse,
    VideoPolicy,
)
from media_agent.policy.options import read_options
from media_agent.policy.words import normalise
from media_agent_schemas.base import Schema
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoRequest

CODE = "consent_missing"
_ROLES = (
    InputRole.FIRST_FRAME,
    InputRole.LAST_FRAME,
    InputRole.KEYFRAME,
    InputRole.SUBJECT,
)


class ConsentOptions(Schema):
    """The options of the policy."""

    roles: tuple[InputRole, ...] = Field(
        default=_ROLES, min_length=1, description="The inputs that it asks about."
    )


class ConsentPolicy(VideoPolicy):
    """Refuses inputs of some roles without a declaration.

    It asks of a request only: what is sent may have images of ours, such as the last frame of a
    segment, which the next one begins with.
    """

    def __init__(self, roles: tuple[InputRole, ...] = _ROLES) -> None:
        self._roles = roles

    def before_plan(self, request: VideoRequest, call: PolicyCall) -> Allow | Refuse:
        """Ask for the declaration of a request with such an input."""
        asked = [medium.role.value for medium in request.inputs if medium.role in self._roles]
        if not asked or normalise(request.consent or "").strip():
            return ALLOW
        return Refuse(
            CODE,
            f"there is an input {asked[0]}, and no declaration that the people in it agreed",
            hint="declare it in words of your own, kept in the record: --consent TEXT, the field "
            "consent of a request",
        )


def make_consent(settings: PolicySettings) -> VideoPolicy:
    """Return the policy of a section.

    Raises:
        ConfigurationError: its options are faulty.
    """
    return ConsentPolicy(read_options(ConsentOptions, settings).roles)
