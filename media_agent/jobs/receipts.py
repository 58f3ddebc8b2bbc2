"""Where accepted work is, written down until it is written: it stands nowhere else."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial

from media_agent.errors import SubmitUncertainError
from media_agent.jobs.context import JobContext
from media_agent.ledger.state import JobMovedError, Submission
from media_agent_schemas.jobs import OperationRef

_LOGGER = logging.getLogger(__name__)
_WRITE_AGAIN = (0.2, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)  # seconds between two attempts


class NotKeptError(SubmitUncertainError):
    """It was accepted, and where it is could not be written down: trouble of our own."""


async def keep_ref(submission: Submission, ref: OperationRef, context: JobContext) -> None:
    """Write down where accepted work is.

    Raises:
        NotKeptError: that was in vain; the message says where it is.
        JobMovedError: other work of this job was accepted.
    """
    context.reached("submit")
    try:
        await written(partial(context.store.submissions.accept, submission, ref), context)
    except JobMovedError:
        raise
    except Exception as error:  # whatever it is, it is no refusal
        where = _address_in(ref) or context.base_url(submission.backend)
        at = f" ({where})" if where else ""
        job = submission.job_id
        raise NotKeptError(
            f"{submission.backend} accepted job {job} as {ref.operation_id}{at}, "
            f"which could not be written down: {error or type(error).__name__}",
            hint=f"keep this line; media-agent jobs resume {job} looks again",
        ) from error
    context.reached("ref")


async def written(write: Callable[[], object], context: JobContext) -> None:
    """Write into the ledger, again and again: what is written is known nowhere else.

    When this is cancelled, it is tried once more; what becomes of that changes nothing.
    """
    try:
        await _written(write, context)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):  # the cancellation is what is to be known
            await asyncio.to_thread(write)
        raise


async def _written(write: Callable[[], object], context: JobContext) -> None:
    for pause in (*_WRITE_AGAIN, None):
        try:
            await asyncio.to_thread(write)
        except JobMovedError:
            raise
        except Exception:  # a lock, a full disk, no memory: it may pass
            if pause is None:
                raise
            _LOGGER.debug("the ledger is written again in %g s", pause, exc_info=True)
        else:
            return
        await context.sleep(pause)


def _address_in(ref: OperationRef) -> str | None:
    """Return the first address in a reference."""
    addresses = (each for each in ref.data.values() if isinstance(each, str) and "://" in each)
    return next(addresses, None)
