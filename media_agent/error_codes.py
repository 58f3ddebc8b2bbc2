"""What the outside sees of an error, by its code: the HTTP status, the exit code of a command."""

from typing import NamedTuple

from media_agent.errors import MediaAgentError
from media_agent_schemas.errors import ErrorInfo


class Outcome(NamedTuple):
    """What the outside sees of an error."""

    http_status: int
    exit_code: int


OUTCOMES: dict[str, Outcome] = {
    "internal": Outcome(500, 1),
    "request": Outcome(400, 2),
    "invalid_request": Outcome(400, 2),
    "unsupported_request": Outcome(422, 3),
    "content_rejected": Outcome(422, 4),
    "budget_exceeded": Outcome(402, 5),
    "backend": Outcome(502, 6),
    "backend_authentication": Outcome(502, 7),
    "backend_rate_limit": Outcome(429, 8),
    "backend_unavailable": Outcome(503, 9),
    "model_retired": Outcome(410, 10),
    "backend_response": Outcome(502, 11),
    "submit_uncertain": Outcome(502, 12),
    "generation_failed": Outcome(500, 13),
    "job": Outcome(409, 14),
    "job_not_found": Outcome(404, 15),
    "operation_not_found": Outcome(404, 16),
    "idempotency_conflict": Outcome(409, 17),
    "not_resumable": Outcome(409, 18),
    "configuration": Outcome(500, 19),
    "plugin": Outcome(500, 20),
    "storage": Outcome(507, 21),
    "backend_refused": Outcome(502, 22),
    "video_not_fetched": Outcome(502, 23),
    "authentication": Outcome(401, 24),
    "forbidden": Outcome(403, 25),
    "rate_limit": Outcome(429, 26),
    "too_large": Outcome(413, 27),
    "too_slow": Outcome(408, 28),
    "video_not_ready": Outcome(409, 29),
    "ledger_busy": Outcome(503, 30),
    "policy_refused": Outcome(422, 31),
    "policy_failed": Outcome(503, 32),
    "below_quality": Outcome(500, 33),
    "job_cancelled": Outcome(409, 130),  # 128 + SIGINT; the command line says 143 after SIGTERM
}


def exit_code(error: BaseException | ErrorInfo) -> int:
    """Return the exit code of the command line for this error; 1 for one outside the tree."""
    return _outcome(error).exit_code


def http_status(error: BaseException | ErrorInfo) -> int:
    """Return the HTTP status for this error; 500 for one outside the tree."""
    return _outcome(error).http_status


def _outcome(error: BaseException | ErrorInfo) -> Outcome:
    code = error.code if isinstance(error, MediaAgentError | ErrorInfo) else "internal"
    return OUTCOMES.get(code, OUTCOMES["generation_failed"])
