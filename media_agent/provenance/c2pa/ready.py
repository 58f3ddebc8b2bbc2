"""Whether videos can be signed, found out before the work that makes them.

The clock is that of this machine, as c2pa looks at it too.
"""

import asyncio
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from media_agent.errors import ConfigurationError, MediaAgentError, in_full
from media_agent.provenance.c2pa.credentials import (
    SOON,
    Credentials,
    find_credentials,
    is_installed,
)
from media_agent.provenance.c2pa.development import FILE as DEVELOPMENT_FILE
from media_agent.provenance.c2pa.sign import try_signing
from media_agent.provenance.c2pa.signing import Signing
from media_agent_schemas.plan import Plan, PlanReport
from media_agent_schemas.provenance import SignerKind

_tried: set[tuple[bytes, str | None]] = set()
"""The certificates, and callbacks, that have signed in this process."""
_KEPT_SECONDS = 60.0
_found: dict[Signing, tuple[float, list[str]]] = {}
"""What was found lately, and when: a server is asked for hundreds of videos in a second."""
_looking = threading.Lock()


def prepare(signing: Signing) -> Credentials:
    """Return what videos are signed with, after it has signed once in this process.

    Raises:
        ConfigurationError: videos cannot be signed, and why.
        StorageError: the development certificate cannot be kept.
    """
    credentials = find_credentials(signing, datetime.now(UTC))
    key = (credentials.chain, signing.callback)
    if key not in _tried:
        try_signing(credentials)
        _tried.add(key)
    return credentials


async def look_before_work(signing: Signing) -> list[str]:
    """Return what `check_before_work` does, found out once a minute.

    Raises:
        ConfigurationError: as `check_before_work`.
    """
    known = _find(signing)
    return await asyncio.to_thread(_look, signing) if known is None else known


async def warn_in_plans(signing: Signing, *plans: Plan) -> tuple[Plan, ...]:
    """Return plans with what there is to say before a video is made that may be unsigned.

    Raises:
        ConfigurationError: as `check_before_work`.
    """
    if not signing.is_on:
        return plans
    said = await look_before_work(signing)
    return tuple(plan.model_copy(update={"warnings": (*plan.warnings, *said)}) for plan in plans)


async def warn_in_report(signing: Signing, report: PlanReport) -> PlanReport:
    """Return a report whose chosen plan has what `warn_in_plans` says.

    Raises:
        ConfigurationError: as `check_before_work`.
    """
    chosen = report.chosen
    if chosen is None or chosen.plan is None:
        return report
    (plan,) = await warn_in_plans(signing, chosen.plan)
    told = chosen.model_copy(update={"plan": plan})
    candidates = tuple(told if each is chosen else each for each in report.candidates)
    return report.model_copy(update={"candidates": candidates})


def _look(signing: Signing) -> list[str]:
    with _looking:
        known = _find(signing)
        if known is None:
            known = check_before_work(signing)
            _found[signing] = time.monotonic(), known
    return known


def _find(signing: Signing) -> list[str] | None:
    if not signing.is_on:
        return []
    when, said = _found.get(signing, (0.0, None))
    return said if time.monotonic() - when < _KEPT_SECONDS else None


def check_before_work(signing: Signing) -> list[str]:
    """Return what to say before a video is made; under `try` it is made though it is unsigned.

    Raises:
        ConfigurationError: it must be signed, and cannot be; nothing is made or paid.
    """
    if not signing.is_on or (signing.policy == "try" and not is_installed()):
        return []  # `doctor` and each record say it
    try:
        credentials = _prepare_aside(signing)
    except MediaAgentError as error:
        if signing.policy == "require":
            raise ConfigurationError(
                f"the video cannot be signed, as provenance.sign = require asks: {error.message}",
                hint=error.hint,
            ) from error
        return [foretell(in_full(error))]
    if _expires_soon(credentials):
        return [f"the certificate that signs expires on {credentials.expires_at:%Y-%m-%d}"]
    return []


def foretell(reason: str) -> str:
    """Return what is said before a video is made that will be unsigned."""
    return f"the video will not be signed: {reason}"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether signing works on this machine, in words."""

    works: bool
    said: str


def examine_signing(signing: Signing) -> Readiness:
    """Look whether videos would be signed."""
    if not signing.is_on:
        return Readiness(False, "off, as provenance.sign says: videos are unsigned")
    try:
        credentials = _prepare_aside(signing)
    except MediaAgentError as error:
        return Readiness(False, f"videos are unsigned, because {in_full(error)}")
    until = f"valid until {credentials.expires_at:%Y-%m-%d}"
    if _is_to_be_made(signing):
        until = "made at first use"
    elif _expires_soon(credentials):
        until += ", soon: have it renewed"
    return Readiness(True, f"works: {credentials.name}, {until}")


def _prepare_aside(signing: Signing) -> Credentials:
    """Do as `prepare`, but keep no certificate: only signing a video makes one that stays."""
    if not _is_to_be_made(signing):
        return prepare(signing)
    with TemporaryDirectory() as folder:
        return prepare(replace(signing, folder=Path(folder)))


def _is_to_be_made(signing: Signing) -> bool:
    return signing.certificate is None and not (signing.folder / DEVELOPMENT_FILE).exists()


def _expires_soon(credentials: Credentials) -> bool:
    """Return whether to tell; the development certificate is renewed without being asked for."""
    is_made_here = credentials.kind is SignerKind.DEVELOPMENT
    return not is_made_here and datetime.now(UTC) > credentials.expires_at - SOON
