"""The form in which an error crosses a process."""

from pydantic import Field

from media_agent_schemas.base import Document


class ErrorInfo(Document):
    """What went wrong, and the fix; never a secret."""

    code: str = Field(min_length=1, description="Stable code, for example invalid_request.")
    message: str = Field(description="Names the thing and the value.")
    hint: str | None = Field(default=None, description="How to fix it.")
    retryable: bool = Field(default=False, description="Whether the same request may work later.")
