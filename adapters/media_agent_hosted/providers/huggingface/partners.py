"""The partners that Hugging Face's router reaches for videos: their calls, in their own form; pure.

An address that a partner names is its own, where the token must not go: the same path is asked of
the router instead, below the name of the partner.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, assert_never, get_args
from urllib.parse import quote

from pydantic import JsonValue

from media_agent.errors import UnsupportedRequestError
from media_agent.storage.addresses import parsed_address
from media_agent_hosted.base.calls import Call
from media_agent_hosted.base.runs import app_of
from media_agent_hosted.models.fields import Fields
from media_agent_hosted.parsing.lenient import text
from media_agent_schemas.jobs import OperationRef

Partner = Literal["fal-ai", "replicate", "together", "wavespeed", "novita"]
PARTNERS: tuple[Partner, ...] = get_args(Partner)
_MODEL = re.compile(r"(?!\.)[\w.-]+(?:/(?!\.)[\w.-]+)*(?::\w+)?")
_QUEUE = {"_subdomain": "queue"}  # without which the router asks fal to block


@dataclass(frozen=True, slots=True)
class Offer:
    """A model of the Hub at a partner."""

    model: str
    """Its name there."""
    task: str
    is_live: bool
    is_adapter: bool
    """Whether it is a LoRA, which would need another model and its weights."""


def partner_of(model_id: str | None) -> Partner:
    """Return the partner in an id that was checked."""
    name = (model_id or "").partition("/")[0]
    return next(each for each in PARTNERS if each == name)


def offers_in(body: JsonValue) -> dict[str, Offer]:
    """Return the offers for a model by the name of the partner, as the Hub lists or maps them."""
    said = body.get("inferenceProviderMapping") if isinstance(body, dict) else None
    return dict(_offers(said))


def _offers(said: JsonValue) -> Iterator[tuple[str, Offer]]:
    named = said.items() if isinstance(said, dict) else ()
    listed = ((text(each.get("provider")), each) for each in _objects(said))
    for name, each in (*named, *listed):
        model = text(each.get("providerId")) if isinstance(each, dict) else None
        if name is None or not isinstance(each, dict) or model is None:
            continue
        if _MODEL.fullmatch(model):
            is_adapter = each.get("adapter") is not None or "adapterWeightsPath" in each
            task, state = text(each.get("task")) or "", text(each.get("status"))
            yield name, Offer(model, task, state != "error", is_adapter)


def _objects(said: JsonValue) -> list[dict[str, JsonValue]]:
    return [each for each in said if isinstance(each, dict)] if isinstance(said, list) else []


def check_offer(offers: Mapping[str, Offer], model_id: str, task: str) -> Offer:
    """Return the offer of the partner for a task.

    Raises:
        UnsupportedRequestError: there is none, or none that is used here.
    """
    partner, _, name = model_id.partition("/")
    offer = offers.get(partner)
    others = [each for each in PARTNERS if each in offers and each != partner]
    hint = f"others have it: {', '.join(others)}" if others else "choose another model"
    if offer is None:
        raise UnsupportedRequestError(f"{partner} does not serve {name}", hint=hint)
    if offer.is_adapter:
        raise UnsupportedRequestError(f"{name} is a LoRA, which is not sent to partners", hint=hint)
    if not offer.is_live:
        raise UnsupportedRequestError(f"{partner} has trouble with {name} at present", hint=hint)
    if offer.task and offer.task != task:
        raise UnsupportedRequestError(
            f"{name} at {partner} is for {offer.task}, and this is {task}", hint=hint
        )
    return offer


def submission(partner: Partner, model: str, fields: Fields, blocking_seconds: float) -> Call:
    """Return the call that submits work."""
    match partner:
        case "fal-ai":
            place = f"/fal-ai/{model}"
            return Call("POST", place, json=fields, params=_QUEUE, work_id="request_id")
        case "replicate":
            name, _, version = model.partition(":")
            if version:
                body: Fields = {"version": version, "input": fields}
                return Call("POST", "/replicate/v1/predictions", json=body)
            return Call("POST", f"/replicate/v1/models/{name}/predictions", json={"input": fields})
        case "together":
            return Call("POST", "/together/v2/videos", json={"model": model, **fields})
        case "wavespeed":
            return Call("POST", f"/wavespeed/api/v3/{model}", json=fields)
        case "novita":
            place = f"/novita/v3/hf/{model}"
            return Call("POST", place, json=fields, timeout_seconds=blocking_seconds)
        case _:
            assert_never(partner)


def poll(ref: OperationRef) -> Call:
    """Return the call that asks how far work is."""
    partner, work = partner_of(ref.model), quote(ref.operation_id, safe="")
    match partner:
        case "fal-ai":
            usual = f"{_app_at_fal(ref)}/requests/{work}/status"
            return _rebuilt(ref, "status_url", usual, {**_QUEUE, "logs": "1"})
        case "replicate":
            return _rebuilt(ref, "urls.get", f"/v1/predictions/{work}")
        case "together":
            return Call("GET", f"/together/v2/videos/{work}")
        case "wavespeed":
            return _rebuilt(ref, "urls.get", f"/api/v3/predictions/{work}/result")
        case "novita":
            raise AssertionError("what novita makes is there once it was submitted")
        case _:
            assert_never(partner)


def result(ref: OperationRef) -> Call | None:
    """Return the call for the result, where the poll does not tell it."""
    if partner_of(ref.model) != "fal-ai":
        return None
    usual = f"{_app_at_fal(ref)}/requests/{quote(ref.operation_id, safe='')}"
    return _rebuilt(ref, "response_url", usual, _QUEUE)


def _app_at_fal(ref: OperationRef) -> str:
    """Return the path of an app at fal: what is below it is no part of where its work is."""
    return "/" + app_of(str(ref.data["path"]).removeprefix("/fal-ai/"))


def _rebuilt(
    ref: OperationRef, place: str, usual: str, params: Mapping[str, str] | None = None
) -> Call:
    """Return a call below the router: as the partner named it for this work, else as usual."""
    named = parsed_address(str(ref.data.get(place, "")))
    path, query = usual, dict[str, str]()
    parts = () if named is None else named.path.split("/")
    if named is not None and ref.operation_id in parts and not {"..", "."} & set(parts):
        path, query = quote(named.path, safe="/"), dict(named.params)
    both = {**query, **(params or {})}
    return Call("GET", f"/{partner_of(ref.model)}{path}", params=both or None, named=place)
