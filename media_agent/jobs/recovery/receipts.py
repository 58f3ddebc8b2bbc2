"""Where accepted work is, written down until it is written: it stands nowhere else."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial

from media_agent.errors import StorageError, SubmitUncertainError
from media_agent.jobs.context import JobContext
from media_agent.ledger.state import OwnershipLostError, Submission
from media_agent_schemas.jobs import OperationRef

_LOGGER = logging.getLogger(__name__)
_WRITE_AGAIN = (0.2, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, *(60.0,) * 5)  # seconds: 6 minutes in all


class NotKeptError(SubmitUncertainError):
    """It was accepted, and where it is could not be written down: trouble of our own."""


class NotSentError(Exception):
    """The ledger could not say that the intent is safe, so that nobody was asked."""

    def __init__(self, error: StorageError) -> None:
        self.error = error


async def keep_ref(submission: Submission, ref: OperationRef, context: JobContext) -> None:
    """Write down where accepted work is.

    Raises:
        NotKeptError: that was in vain; the message says where it is.
        OwnershipLostError: other work of this job was accepted.
    """
    context.pass_checkpoint("submit")
    try:
        await write_patiently(
            partial(context.store.submissions.mark_accepted, submission, ref), context
        )
    except OwnershipLostError:
        raise
    except Exception as error:  # whatever it is, it is no refusal
        where = _address_in(ref) or context.base_url(submission.backend)
        at = f" ({where})" if where else ""
        job = submission.job_id
        raise NotKeptError(
            f"{submission.backend} accepted job {job} as {ref.operation_id}{at}, "
            f"which could not be recorded: {error or type(error).__name__}",
            hint=f"keep this line; media-agent jobs resume {job} looks again",
        ) from error
    context.pass_checkpoint("ref")


async def write_patiently(write: Callable[[], object], context: JobContext) -> None:
    """Write into the ledger, again and again: what is written is known nowhere else.

    When this is cancelled, it is tried once more; what becomes of that changes nothing.
    """
    try:
        await _retry(write, context)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):  # the cancellation is what is to be known
            await asyncio.to_thread(write)
        raise


async def _retry(write: Callable[[], object], context: JobContext) -> None:
    for pause in _WRITE_AGAIN:
        try:
            await asyncio.to_thread(write)
        except OwnershipLostError:
            raise
        except Exception:  # a lock, a full disk, no memory: not a word about the job
            _LOGGER.debug("written again in %s s", pause, exc_info=True)
            await context.sleep(pause)
        else:
            return
    await asyncio.to_thread(write)


def _address_in(ref: OperationRef) -> str | None:
    """Return the first address in a reference."""
    addresses = (each for each in ref.data.values() if isinstance(each, str) and "://" in each)
    return next(addresses, None)
