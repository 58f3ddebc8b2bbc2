"""OpenRouter: video models of many vendors, at openrouter.ai.

No list of work, no cancelling, and no key of ours that is honoured: a submission is sent once.
UNVERIFIED, so that both readings are taken: whether `polling_url` is relative; the words of errors;
that images may stand inside the request; what `usage.cost` is for one's own key at a vendor.
"""

import contextlib
from dataclasses import replace
from typing import Unpack
from urllib.parse import quote

from pydantic import JsonValue

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
    UnsupportedRequestError,
)
from media_agent.suggest import did_you_mean
from media_agent_hosted.base.calls import Call, Status, Submission
from media_agent_hosted.base.hooks import wire_equal
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.base.provider import HostedBackend
from media_agent_hosted.base.service import Means
from media_agent_hosted.http.inputs import InputPart
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.fields import Fields
from media_agent_hosted.models.sizes import tier_of
from media_agent_hosted.parsing.causes import Cause, cause_of
from media_agent_hosted.parsing.lenient import number, text, unwrap, value_at
from media_agent_hosted.parsing.states import State
from media_agent_hosted.parsing.videos import mark_of
from media_agent_hosted.providers.openrouter.listed import ListedModels, price_of
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.events import Cost
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoRequest

__all__ = ["OpenRouterBackend"]

_VIDEOS = (InputRole.SOURCE_VIDEO, InputRole.MOTION)
_LIST_IS_FRESH_SECONDS = 24 * 3600.0


class OpenRouterBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for every video model at OpenRouter."""

    kind = "openrouter"
    address = "https://openrouter.ai/api/v1"
    keys_at = "openrouter.ai/keys"
    models: ListedModels
    addresses = ("polling_url",)
    videos_need_key = True
    callback_field = "callback_url"
    verification = wire_equal("openrouter 1.3.84")

    def __init__(self, settings: BackendSettings, **means: Unpack[Means]) -> None:
        """Read the settings; nothing is sent."""
        super().__init__(settings, **means)
        self.models = self._read_models()

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return the price by the list of OpenRouter, where it is kept and plain."""
        model_id = self._id(request.split_model()[1])
        entry, seconds = self.models.entries.get(model_id), request.seconds()
        if entry is None or seconds is None or any(each.role in _VIDEOS for each in request.inputs):
            return Estimate()  # nobody says what a video that goes in adds
        cost = price_of(entry, tier_of(request, entry.model), seconds)
        return Estimate(cost_usd=cost, source=None if cost is None else entry.model.source)

    def input_value(self, part: InputPart) -> JsonValue:
        """Return an input as an object with its address."""
        return {"url": part.value}

    def build(self, submission: Submission) -> Call:
        """Return the call that submits a job."""
        fields = submission.fields()
        self._check_passed_on(fields, submission.model_id)
        return Call("POST", "/videos", json={"model": submission.model_id, **fields})

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        """Submit a job; once a day the list of models is fetched before, for later plans."""
        with contextlib.suppress(MediaAgentError, OSError):
            await self._fetch_models()
        try:
            return await super().submit_once(request, key=key)
        finally:  # this job was planned by what was known before
            self.models = self._read_models()
            self._described.clear()

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks for a job, which tells its videos too."""
        path = f"/videos/{quote(ref.operation_id, safe='')}"
        return Call("GET", path, named="polling_url")

    def parse(self, body: JsonValue) -> Status:
        """Return how far a job is, and what it cost."""
        said = unwrap(body)
        status, job = read_status(body), text(said.get("id"))
        if status.state is not State.DONE:
            return status
        kept = f"where the model can change or continue it: option previous_job_id={job}"
        warnings = [] if job is None else [kept]
        if value_at(said, "usage.is_byok") is True:
            warnings.append("it was billed to your own key at the vendor, which does not say more")
        return replace(status, cost=_cost(said), warnings=tuple(warnings))

    def results(self, body: JsonValue) -> JsonValue:
        """Return the videos: at signed addresses, else at those that need the key."""
        said = unwrap(body)
        lists = (said.get("urls"), said.get("unsigned_urls"))
        texts = ([*filter(text, each)] for each in lists if isinstance(each, list))
        return {"urls": next(filter(None, texts), None)}

    def refusal(self, reply: Reply, model_id: str) -> MediaAgentError | None:
        """Return what OpenRouter means by an HTTP error to a submission."""
        if reply.is_html:
            return None
        words = reply.words()
        is_flagged = bool(value_at(reply.object(), "error.metadata.reasons"))
        is_flagged = is_flagged or cause_of((), words) is Cause.CONTENT
        if reply.status in (400, 403, 422) and is_flagged:
            return ContentRejectedError(
                f"openrouter says: {words}", hint="change the prompt or the images"
            )
        if reply.status == 404:
            return InvalidRequestError(
                f"openrouter has no video model {model_id!r}: {words or 'not found'}",
                hint="openrouter.ai/api/v1/videos/models lists them",
            )
        return None

    def _read_models(self) -> ListedModels:
        address = self.settings.base_url or self.address
        kept = self.settings.data_dir / self.kind / f"models-{mark_of(address)}.json"
        return ListedModels(kept, longest=self.options.max_duration)

    async def _fetch_models(self) -> None:
        """Fetch the list of models, unless the one that is kept is of this day."""
        read_at, now = self.models.read_at, self._clock()
        if self.missing() or (read_at is not None and now - read_at < _LIST_IS_FRESH_SECONDS):
            return
        reply = await self._api.send("GET", "/videos/models")
        self.models.keep(reply.json(), now)

    def _check_passed_on(self, fields: Fields, model_id: str) -> None:
        """Refuse parameters for a vendor that OpenRouter is known not to hand on.

        Raises:
            UnsupportedRequestError: there is one.
        """
        entry = self.models.entries.get(model_id)
        known = None if entry is None else entry.passed_on
        options = value_at(fields, "provider.options")
        for given in options.values() if isinstance(options, dict) else ():
            own = given if isinstance(given, dict) else {}
            own = {**own, **_nested(own.get("parameters"))}
            for name in own.keys() - {"parameters", *(own if known is None else known)}:
                raise UnsupportedRequestError(
                    f"openrouter does not hand {name} on to who serves {model_id}",
                    hint=did_you_mean(name, known or ()),
                )


def _nested(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _cost(said: dict[str, JsonValue]) -> Cost | None:
    """Return what was charged; for one's own key at a vendor that is not known here."""
    usd = number(value_at(said, "usage.cost"))
    if usd is None or usd < 0 or value_at(said, "usage.is_byok") is True:
        return None
    return Cost(usd=usd, source="openrouter")
