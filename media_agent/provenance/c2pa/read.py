"""Reads what a file says of where it comes from, and whether that can be relied on.

No address is followed: a manifest that lies elsewhere is not fetched. Whatever a manifest says is
somebody's word, and shown as text.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from media_agent.errors import ConfigurationError, InvalidRequestError, in_full
from media_agent.provenance.c2pa.credentials import is_development
from media_agent.provenance.c2pa.manifest import COMPOSITE, GENERATED, LABEL
from media_agent.provenance.c2pa.media_types import UNKNOWN, find_media_type
from media_agent.provenance.c2pa.sign import load_c2pa
from media_agent.storage.files import ordinary_file
from media_agent_schemas.provenance import (
    GenerationAssertion,
    IngredientReport,
    ProvenanceReport,
    ProvenanceState,
)

_NO_MANIFEST = ("ManifestNotFound", "NotSupported", "Remote")
_EXPECTED = ("signingCredential.untrusted",)  # is said by the state
_LARGEST_ANCHORS = 2**22  # bytes
_TIME: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


def read_provenance(path: Path, anchors: Sequence[Path] = ()) -> ProvenanceReport:
    """Return what a file says; `anchors` are files with the certificates that are trusted, as PEM.

    Without c2pa the state is unknown, and the problem says how to install it.

    Raises:
        InvalidRequestError: the file cannot be read.
        ConfigurationError: the anchors cannot be read.
    """
    trusted = "".join(map(_read_anchors, anchors))
    try:
        c2pa = load_c2pa()
    except ConfigurationError as error:
        return ProvenanceReport(state=ProvenanceState.UNKNOWN, problems=(in_full(error),))
    settings = {
        "version": 1,
        "trust": {"trust_anchors": trusted} if trusted else {},
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
    }
    try:
        with ordinary_file(path) as file, c2pa.Context.from_dict(settings) as context:
            media_type = find_media_type(file)
            if media_type == UNKNOWN:
                return ProvenanceReport(state=ProvenanceState.NONE)
            with c2pa.Reader(media_type, file, context=context) as reader:
                state, said = reader.get_validation_state(), json.loads(reader.json())
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InvalidRequestError(f"{path} cannot be read: {why}") from None
    except c2pa.C2paError as error:
        return _without_manifest(str(error))
    return _report(str(state), said)


def _read_anchors(path: Path) -> str:
    try:
        with ordinary_file(path) as file:
            return file.read(_LARGEST_ANCHORS).decode("ascii") + "\n"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no PEM"
        raise ConfigurationError(f"the trust anchors {path} cannot be read: {why}") from None


def _without_manifest(said: str) -> ProvenanceReport:
    """Return what it means that no manifest could be read."""
    code = said.partition(":")[0]
    if code in _NO_MANIFEST:
        elsewhere = ("its manifest lies elsewhere and was not fetched",) if code == "Remote" else ()
        return ProvenanceReport(state=ProvenanceState.NONE, problems=elsewhere)
    return ProvenanceReport(
        state=ProvenanceState.INVALID, problems=(f"the manifest cannot be read: {said}",)
    )


def _report(state: str, said: Mapping[str, Any]) -> ProvenanceReport:
    manifests = said.get("manifests", {})
    active = manifests.get(said.get("active_manifest"), {})
    signature = active.get("signature_info", {})
    return ProvenanceReport(
        state=ProvenanceState(state.lower()),
        ai_generated=_is_generated(active, manifests),
        signer=signature.get("common_name"),
        issuer=signature.get("issuer"),
        is_development=is_development(signature.get("common_name")),
        signed_at=_as_time(signature.get("time")),
        is_time_trusted="timeStamp.trusted" in _list_successes(said),
        claimed_at=next(
            filter(None, (_as_time(each.get("when")) for each in _actions(active))), None
        ),
        generator=_name_generator(active),
        generation=_find_assertion(active),
        ingredients=tuple(_list_ingredients(active, manifests)),
        problems=tuple(dict.fromkeys(_list_problems(said))),
    )


def _list_ingredients(
    manifest: Mapping[str, Any], manifests: Mapping[str, Any]
) -> Iterator[IngredientReport]:
    for each in manifest.get("ingredients", ()):
        own = manifests.get(each.get("active_manifest"))
        yield IngredientReport(
            title=each.get("title"),
            relationship=each.get("relationship"),
            state=_state_of(each),
            signer=None if own is None else own.get("signature_info", {}).get("common_name"),
            generator=None if own is None else _name_generator(own),
            ai_generated=None if own is None else _is_generated(own, manifests),
        )


def _state_of(ingredient: Mapping[str, Any]) -> ProvenanceState:
    """Return what the manifest of an ingredient was worth when the video was signed."""
    if ingredient.get("active_manifest") is None:
        return ProvenanceState.NONE
    results = ingredient.get("validation_results", {}).get("activeManifest", {})
    failures = {each.get("code") for each in results.get("failure", ())}
    if failures - set(_EXPECTED):
        return ProvenanceState.INVALID
    successes = {each.get("code") for each in results.get("success", ())}
    is_trusted = "signingCredential.trusted" in successes
    return ProvenanceState.TRUSTED if is_trusted else ProvenanceState.VALID


def _is_generated(
    manifest: Mapping[str, Any], manifests: Mapping[str, Any], depth: int = 0
) -> bool:
    """Return whether a manifest says of itself, or of what it opened, that AI made it."""
    if any(each.get("digitalSourceType") in (GENERATED, COMPOSITE) for each in _actions(manifest)):
        return True
    kept = [
        each for each in manifest.get("ingredients", ()) if each.get("relationship") != "inputTo"
    ]
    below = (manifests.get(each.get("active_manifest")) for each in kept)
    return depth < 8 and any(
        _is_generated(each, manifests, depth + 1) for each in below if each is not None
    )


def _actions(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for assertion in manifest.get("assertions", ()):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            yield from assertion.get("data", {}).get("actions", ())


def _find_assertion(manifest: Mapping[str, Any]) -> GenerationAssertion | None:
    for assertion in manifest.get("assertions", ()):
        if assertion.get("label") == LABEL:
            try:
                return GenerationAssertion.model_validate(assertion.get("data"))
            except ValidationError:  # somebody else's, or of a later version
                return None
    return None


def _name_generator(manifest: Mapping[str, Any]) -> str | None:
    """Return the program that made a manifest, with its version."""
    for each in manifest.get("claim_generator_info", ()):
        return " ".join(filter(None, (each.get("name"), each.get("version"))))
    own = manifest.get("claim_generator")
    return None if own is None else str(own)


def _list_problems(said: Mapping[str, Any]) -> Iterator[str]:
    for each in said.get("validation_status", ()):
        if each.get("code") not in _EXPECTED:
            yield str(each.get("code"))


def _list_successes(said: Mapping[str, Any]) -> set[object]:
    results = said.get("validation_results", {}).get("activeManifest", {})
    return {each.get("code") for each in results.get("success", ())}


def _as_time(text: object) -> datetime | None:
    try:
        return None if text is None else _TIME.validate_python(text)
    except ValidationError:
        return None
