"""Google Cloud: Veo on Vertex AI. It honours no key of ours, and has no list: sent once.

Without a bucket the video comes within the reply to a poll, as base64, and is decoded as it comes.
UNVERIFIED: express mode (an API key instead of a token, and no project), and when these models end.
"""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field, JsonValue

from media_agent.errors import (
    ConfigurationError,
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
    ModelRetiredError,
    UnsupportedRequestError,
)
from media_agent_hosted.base.calls import Call, Status, Submission
from media_agent_hosted.base.hooks import wire_equal
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.base.provider import HostedBackend, ProviderOptions
from media_agent_hosted.base.service import Connection
from media_agent_hosted.http.auth import Auth, RenewedToken, key_header
from media_agent_hosted.http.inputs import InputForm, InputPart
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.http.tokens import run_for_token
from media_agent_hosted.models.facts import Models
from media_agent_hosted.parsing.lenient import unwrap, value_at, whole
from media_agent_hosted.parsing.states import State
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import InputRole

__all__ = ["VertexBackend", "VertexOptions"]

_OPERATION = re.compile(
    r"(?P<model>(?:projects/[^/]+/locations/(?P<location>[^/]+)/)?.+)/operations/.+"
)
_SAFETY = re.compile(r"support codes?|safety|responsible ai|could not be processed", re.IGNORECASE)


class VertexOptions(ProviderOptions):
    """The options under [backends.vertex.options]."""

    project: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9.:-]+$",
        description="Google Cloud project; only express mode has none",
    )
    location: str = Field(
        default="us-central1", pattern=r"^[a-z0-9-]+$", description='region, or "global"'
    )
    key_is: Literal["token", "api_key"] = Field(
        default="token", description="what the key is: an OAuth access token, or an API key"
    )
    token_command: tuple[str, ...] = Field(
        default=(),
        description="program that prints an access token; run again when that ends",
    )


class VertexBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for Veo on Vertex AI."""

    kind = "vertex"
    address = "https://us-central1-aiplatform.googleapis.com/v1"
    keys_at = "console.cloud.google.com; gcloud auth print-access-token prints a token"
    options_type = VertexOptions
    models = Models(Path(__file__).with_name("models.yaml"), provider="vertex", most_parts=1)
    work_id = "name"
    input_form = InputForm.BASE64
    reads_urls = False
    verification = wire_equal("google-genai 3.6.1")

    @property
    def _own(self) -> VertexOptions:
        options = self.options
        assert isinstance(options, VertexOptions)
        return options

    def connection(self) -> Connection:
        """Return the address of the region."""
        found, location = super().connection(), self._own.location
        if self.settings.base_url is not None:
            return found
        host = "aiplatform" if location == "global" else f"{location}-aiplatform"
        return replace(found, base_url=f"https://{host}.googleapis.com/v1")

    def auth(self) -> Auth:
        """Return what makes the header with the token or the API key."""
        options, key = self._own, self.settings.key
        if options.token_command:
            run = partial(run_for_token, options.token_command, self.settings.environment)
            return RenewedToken(run, clock=self._clock)
        if options.key_is == "api_key":
            return key_header(key, name="x-goog-api-key")
        return key_header(key, scheme="Bearer")

    def missing(self) -> str | None:
        """Return what is missing: a project, a token."""
        if self._own.project is None and self._own.key_is == "token":
            return f"a project: set project under [backends.{self.name}.options]"
        return None if self._own.token_command else super().missing()

    def input_value(self, part: InputPart) -> JsonValue:
        """Return an input with its media type."""
        value: dict[str, JsonValue] = {
            "bytesBase64Encoded": part.value,
            "mimeType": part.mime_type,
        }
        return value

    def build(self, submission: Submission) -> Call:
        """Return the call that begins an operation."""
        fields = submission.fields()
        instance, parameters = fields.pop("instance", {}), fields.pop("parameters", {})
        mask = fields.pop("mask_mode", "INSERT")
        assert isinstance(instance, dict)
        assert isinstance(parameters, dict)
        if "prompt" in fields:  # of a model that is not mapped
            instance = {"prompt": fields.pop("prompt"), **instance}
        _check_references(submission)
        if isinstance(instance.get("mask"), dict):
            instance = {**instance, "mask": {**unwrap(instance["mask"]), "maskMode": mask}}
        body: JsonValue = {"instances": [instance], "parameters": {**parameters, **fields}}
        return Call("POST", f"/{self._place(submission.model_id)}:predictLongRunning", json=body)

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks for an operation, in which its videos may stand.

        Raises:
            ConfigurationError: it was accepted in another region.
        """
        found, own = _OPERATION.fullmatch(ref.operation_id), self._own.location
        region = None if found is None else found["location"]
        if region is not None and region != own:
            raise ConfigurationError(
                f"vertex accepted it in {region}, and is asked in {own}",
                hint=f'set location = "{region}" under [backends.{self.name}.options]',
            )
        place = self._place(str(ref.model)) if found is None else found["model"]
        body: JsonValue = {"operationName": ref.operation_id}
        return Call("POST", f"/{place}:fetchPredictOperation", json=body, unpacks=True)

    def parse(self, body: JsonValue) -> Status:
        """Return how far an operation is: `done` is absent while it is at work."""
        said, status = unwrap(body), read_status(body)
        if said.get("done") is not True:
            return status if said.get("error") else replace(status, state=State.RUNNING)
        response = said.get("response")
        if not isinstance(response, dict):
            words = str(value_at(body, "error.message") or "")
            why = ContentRejectedError(f"vertex refuses: {words}", hint="change the prompt")
            return replace(status, state=State.FAILED, error=why if _SAFETY.search(words) else None)
        return replace(status, **_outcome(response))  # type: ignore[arg-type]  # fields of Status

    def results(self, body: JsonValue) -> JsonValue:
        """Return the videos: bytes within the reply, or addresses in a bucket."""
        listed = value_at(body, "response.videos")
        videos = (
            [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        )
        return {"videos": [{**each, "uri": each.get("gcsUri")} for each in videos]}

    def refusal(self, reply: Reply, model_id: str) -> MediaAgentError | None:
        """Return what Vertex means by an HTTP error to a submission."""
        words = reply.words()
        if reply.status == 400 and _SAFETY.search(words):
            return ContentRejectedError(
                f"vertex refuses: {words}", hint="change the prompt or image"
            )
        if reply.status != 404 or reply.is_html:
            return None
        hint = f"is it in {self._own.location}, and open to project {self._own.project}?"
        if "no longer available" in words:
            return ModelRetiredError(
                f"vertex retired {model_id}: {words}", hint="choose another model"
            )
        return InvalidRequestError(f"vertex has no model {model_id!r}: {words}", hint=hint)

    def _place(self, model_id: str) -> str:
        options, model = self._own, f"publishers/google/models/{quote(model_id, safe='')}"
        if options.project is None:
            return model
        return f"projects/{options.project}/locations/{options.location}/{model}"


def _check_references(submission: Submission) -> None:
    """Refuse references of both kinds.

    Raises:
        UnsupportedRequestError: Veo takes up to three subjects, or one style.
    """
    roles = {medium.role for medium in submission.request.inputs}
    if {InputRole.SUBJECT, InputRole.STYLE} <= roles:
        raise UnsupportedRequestError(
            f"{submission.model_id} takes up to 3 subjects or one style, and not both",
            hint="leave one kind out",
        )


def _outcome(response: dict[str, JsonValue]) -> dict[str, object]:
    """Return what is said of work that is done: videos may be withheld, some or all."""
    withheld = whole(response.get("raiMediaFilteredCount")) or 0
    reasons = response.get("raiMediaFilteredReasons")
    said = "; ".join(map(str, reasons)) if isinstance(reasons, list) else ""
    videos = response.get("videos")
    if withheld > 0 and not videos:
        why = ContentRejectedError(
            f"vertex withholds the video: {said or 'it does not say why'}",
            hint="change the prompt or the image; what is withheld is not billed, as far as known",
        )
        return {"state": State.FAILED, "error": why}
    warnings = (f"vertex withholds {withheld} of the videos: {said}",) if withheld > 0 else ()
    return {"state": State.DONE, "warnings": warnings}
