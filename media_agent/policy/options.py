"""The options of the policies that are shipped, checked."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from media_agent.errors import ConfigurationError, Fault
from media_agent.policy.decisions import PolicySettings
from media_agent.validation import faults_of

Options = TypeVar("Options", bound=BaseModel)


def read_options(kind: type[Options], settings: PolicySettings) -> Options:
    """Return the options of a policy.

    Raises:
        ConfigurationError: one is unknown or malformed.
    """
    try:
        return kind.model_validate(dict(settings.options))
    except ValidationError as error:
        place = ("policies", settings.name, "options")
        faults = [Fault((*place, *each.place), each.problem) for each in faults_of(error, kind)]
        said = "; ".join(f"{'.'.join(each.place)}: {each.problem}" for each in faults)
        raise ConfigurationError(said, faults=faults) from None
