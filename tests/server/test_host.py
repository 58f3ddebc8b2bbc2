"""The clients of a server: each is closed, whatever becomes of the others."""

import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import StorageError
from media_agent.server.host import ClientHost

pytestmark = pytest.mark.anyio


class Client(VideoClient):
    """A client that may fail to close, and says whether it was."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__(settings=load_settings(default_backend="sandbox"))
        self.is_closed = False
        self._fails = fails
        self.jobs = 0

    def count_working(self) -> int:
        return self.jobs

    async def aclose(self) -> None:
        await super().aclose()
        self.is_closed = True
        if self._fails:
            raise StorageError("it cannot be closed")


@pytest.mark.parametrize("fails", [(True, False), (False, True)])
async def test_a_client_that_cannot_be_closed_keeps_no_other_open(fails: tuple[bool, bool]) -> None:
    old, new = (Client(fails=each) for each in fails)
    old.jobs = 1
    host = ClientHost(old)
    await host.replace(new)

    with pytest.raises(StorageError, match="it cannot be closed"):
        await host.aclose()

    assert old.is_closed
    assert new.is_closed
