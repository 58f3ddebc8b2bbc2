"""Hugging Face: models of the Hub at fal, WaveSpeed, Replicate, Together and Novita, by its router.

The router hands on what the partners take and answer. It has no list of work, no cancelling and no
key of ours that is honoured: a submission is sent once. Novita answers only when a video is made.
No `Prefer: wait` is sent to Replicate: what takes over a minute would be lost, and paid.
UNVERIFIED: that the router hands on the polls of Replicate; the path of Novita; the form of
requests to Together.
"""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Unpack
from urllib.parse import quote

from pydantic import Field, JsonValue

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
    OperationNotFoundError,
)
from media_agent.storage.addresses import origin_of, parsed_address
from media_agent.suggest import did_you_mean
from media_agent_hosted.base.calls import Answer, Call, Status, Submission
from media_agent_hosted.base.hooks import wire_equal
from media_agent_hosted.base.provider import HostedBackend, ProviderOptions
from media_agent_hosted.base.runs import (
    read_prediction,
    read_queue,
    unprocessable,
    verdict_of_queue,
)
from media_agent_hosted.base.service import Means
from media_agent_hosted.base.submit import submit
from media_agent_hosted.http.client import HttpApi
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.facts import Models
from media_agent_hosted.parsing.causes import Cause, cause_of
from media_agent_hosted.parsing.lenient import text, value_at
from media_agent_hosted.parsing.states import State
from media_agent_hosted.providers.huggingface import partners
from media_agent_hosted.providers.huggingface.partners import PARTNERS, Partner, partner_of
from media_agent_schemas.events import BackendEvent
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.request import VideoMode, VideoRequest

__all__ = ["HuggingFaceBackend", "HuggingFaceOptions"]

_HUB = "https://huggingface.co"
_ROUTER = "https://router.huggingface.co"
_MADE = "video.video_url"
"""Where the answer to a submission that blocks has the video."""


class HuggingFaceOptions(ProviderOptions):
    """The options under [backends.huggingface.options]."""

    partner: Partner = Field(
        default="fal-ai", description="who makes videos of models that are named OWNER/NAME"
    )
    bill_to: str | None = Field(
        default=None, pattern=r"^[\w.-]+$", description="the organization that is billed"
    )
    blocking_seconds: float = Field(
        default=900.0, gt=0, description="for the answer of Novita, which comes with the video"
    )


class HuggingFaceBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for every video model of the Hub that a partner serves."""

    kind = "huggingface"
    address = _ROUTER
    keys_at = "huggingface.co/settings/tokens"
    options_type = HuggingFaceOptions
    models = Models(
        Path(__file__).with_name("models.yaml"), provider="huggingface", least_parts=3, most_parts=3
    )
    addresses = ("status_url", "response_url", "urls.get", _MADE)
    verification = wire_equal("huggingface_hub 2.4.0")

    def __init__(self, settings: BackendSettings, **means: Unpack[Means]) -> None:
        """Read the settings; nothing is sent."""
        super().__init__(settings, **means)
        self._models_there: dict[str, str] = {}  # of the partner, by our key for a submission
        self._hub = HttpApi(
            self._hub_address(),
            auth=self.auth(),
            secrets=settings.secrets,
            allow_plain_http=self.options.allow_plain_http,
            timeout_seconds=self.options.timeout_seconds,
            transport=means.get("transport"),
            sleep=means.get("sleep", asyncio.sleep),
        )

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        """Ask the Hub what the partner calls the model, and submit the request there, once."""
        if self.missing() is not None:
            return await super().submit_once(request, key=key)
        model_id = self._id(request.split_model()[1])
        self._models_there[key] = await self._ask_hub(model_id, request.infer_mode())
        try:
            if partner_of(model_id) == "novita":
                return await self._submit_blocking(request, key)
            return await super().submit_once(request, key=key)
        finally:
            del self._models_there[key]

    def build(self, submission: Submission) -> Call:
        """Return the call that submits work to the partner, through the router."""
        name = submission.model_id.partition("/")[2]
        call = partners.submission(
            partner_of(submission.model_id),
            self._models_there.get(submission.key, name),  # the Hub's own name, if it was not asked
            submission.fields(),
            self._own.blocking_seconds,
        )
        bill_to = self._own.bill_to
        return call if bill_to is None else replace(call, headers={"X-HF-Bill-To": bill_to})

    async def status(self, ref: OperationRef) -> BackendEvent:
        """Ask how far work is; what Novita makes was there once it was submitted."""
        if partner_of(ref.model) != "novita":
            return await super().status(ref)
        made = ref.data.get(_MADE)
        if made is None:
            raise OperationNotFoundError(f"novita did not make {ref.operation_id}")
        done = Answer(Reply(200, {}, b"", self._api.host), {"url": made}, Status("", State.DONE))
        return await self.finish(ref, done, is_over=True)

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks the partner how far work is, through the router."""
        return partners.poll(ref)

    def read(self, body: JsonValue, ref: OperationRef) -> Status:
        """Return how far work is, as its partner writes it."""
        match partner_of(ref.model):
            case "fal-ai":
                return read_queue(body, "fal-ai")
            case "replicate":
                return read_prediction(body)
        return self.parse(body)

    def result(self, ref: OperationRef) -> Call | None:
        """Return the call for the result, which fal tells apart from the state."""
        return partners.result(ref)

    def verdict(self, reply: Reply, ref: OperationRef) -> MediaAgentError | None:
        """Return fal's own word, in an HTTP error, that work failed."""
        is_fal = partner_of(ref.model) == "fal-ai"
        return verdict_of_queue(reply, "fal-ai") if is_fal else None

    def refusal(self, reply: Reply, model_id: str) -> MediaAgentError | None:
        """Return what an HTTP error to a submission means: of the router, or of the partner."""
        if reply.is_html:
            return None
        partner, words = partner_of(model_id), reply.words()
        if reply.status == 402:
            return BackendAuthenticationError(
                f"the monthly credits at huggingface are used up: {words or 'it wants payment'}",
                hint="buy credits at huggingface.co/settings/billing, or use a key of the partner "
                "with a backend of its own",
            )
        if reply.status in (400, 403, 422) and cause_of((), words) is Cause.CONTENT:
            return ContentRejectedError(
                f"{partner} refuses the content of the request: {words}",
                hint="change the prompt or the images",
            )
        if reply.status == 404:
            return InvalidRequestError(
                f"{partner} has no model for {model_id}: {words or 'not found'}",
                hint="huggingface.co/models?inference_provider=all lists what partners serve",
            )
        return unprocessable(reply, partner) if reply.status == 422 else None

    async def aclose(self) -> None:
        """Close the connections; the partner continues its work."""
        await super().aclose()
        await self._hub.aclose()

    @property
    def _own(self) -> HuggingFaceOptions:
        options = self.options
        assert isinstance(options, HuggingFaceOptions)
        return options

    def _id(self, model: str | None) -> str:
        """Return an id with its partner.

        Raises:
            InvalidRequestError: it is none, or its partner makes no videos.
        """
        named = model or self.settings.model
        if named is not None and named.count("/") == 1:
            named = f"{self._own.partner}/{named}"
        found = self.models.check_id(named)
        partner = found.partition("/")[0]
        if partner not in PARTNERS:
            raise InvalidRequestError(
                f"huggingface makes no videos at {partner!r}", hint=did_you_mean(partner, PARTNERS)
            )
        return found

    def _hub_address(self) -> str:
        """Return where models are looked up; a base_url of another host stands for all hosts."""
        base = parsed_address(self.settings.base_url or _ROUTER)
        router = parsed_address(_ROUTER)
        is_router = base is not None and router is not None and origin_of(base) == origin_of(router)
        return _HUB if is_router else str(self.settings.base_url)

    async def _ask_hub(self, model_id: str, mode: VideoMode) -> str:
        """Return what the partner calls a model.

        Raises:
            UnsupportedRequestError: it does not serve the model, or not for this.
        """
        name = model_id.partition("/")[2]

        def translate(reply: Reply) -> MediaAgentError | None:
            if reply.status != 404:
                return None
            return InvalidRequestError(f"the Hub has no model {name!r}", hint="check its spelling")

        reply = await self._hub.send(
            "GET",
            f"/api/models/{quote(name, safe='/')}",
            params={"expand": "inferenceProviderMapping"},
            translate=translate,
        )
        is_image = mode is VideoMode.IMAGE_TO_VIDEO
        task = "image-to-video" if is_image else "text-to-video"
        return partners.check_offer(partners.offers_in(reply.json()), model_id, task).model

    async def _submit_blocking(self, request: VideoRequest, key: str) -> OperationRef:
        """Submit a request whose answer is the video; if it is lost, nobody knows the outcome."""
        submission = await self._submission(request, key)
        call = self.build(submission)
        name, body = await submit(
            self._api,
            call,
            place=_MADE,
            missing=f"JSON without {_MADE}",
            found=lambda said: None if text(value_at(said, _MADE)) is None else key,
            translate=partial(self.refusal, model_id=submission.model_id),
        )
        return self._ref(submission, call, name, body)
