"""Cuts the cable between a worker and Postgres for a minute, with network namespaces (root, Linux).

The worker lives in a namespace of its own and works on a job. After the cut another one takes the
job over, not before the worker stopped by itself; when the cable is back, the worker is refused.

    sudo python -m benchmarks.cut_cable
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import SecretStr

from media_agent.errors import MediaAgentError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.owner import SAFE_SECONDS, STALE_SECONDS
from media_agent.ledger.state import OwnershipLostError
from tests.ledger.samples import NOW, job, progress
from tests.postgres import PostgresServer, find_binaries

SPACE, HERE, THERE = "cut-cable", "cut-here", "cut-there"
SERVER, WORKER = "10.99.7.1", "10.99.7.2"
CUT_SECONDS = 66.0
MARGIN_SECONDS = 10.0


def main() -> int:
    """Run it, and return 1 where a promise was broken."""
    binaries = find_binaries()
    if binaries is None:
        sys.exit("Postgres is not installed")
    with (
        cable(),
        TemporaryDirectory() as folder,
        PostgresServer(binaries, listen="*", hosts="10.99.7.0/24") as server,
    ):
        url = server.new_database()
        address = url.get_secret_value().replace("127.0.0.1", SERVER)
        ledger = Ledger(Path(folder) / "here", url=url)
        ledger.jobs.create(job())
        command = ["ip", "netns", "exec", SPACE, sys.executable, "-m", "benchmarks.cut_cable"]
        worker = subprocess.Popen([*command, address], stdout=subprocess.PIPE, text=True)
        assert worker.stdout is not None
        print(worker.stdout.readline().strip())
        cut = time.monotonic()
        ip("link", "set", HERE, "down")
        while ledger.owners.is_claimed("one"):
            time.sleep(0.2)
        taken = time.monotonic() - cut
        print(f"taken over {taken:.1f} s after the cut", flush=True)
        with ledger.owners.claim("one"):
            time.sleep(max(0.0, CUT_SECONDS - taken))
            ip("link", "set", HERE, "up")
            said, _ = worker.communicate(timeout=120)
        print(said.strip())
        ledger.close()
    stopped = float(said.split("stopped by itself after")[1].split()[0])
    is_fenced = "OwnershipLostError" in said
    is_late = STALE_SECONDS - 3 <= taken <= STALE_SECONDS + MARGIN_SECONDS
    print(
        f"fenced: {is_fenced}; taken late enough: {is_late}; stopped {taken - stopped:.1f} s before"
    )
    return 0 if is_fenced and is_late and stopped < taken else 1


def work(address: str) -> None:
    """Be the worker: write as long as it may, and say when it may not."""
    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "there", url=SecretStr(address), busy_seconds=2.0)
        with ledger.owners.claim("one", force=True):
            print("the worker has the job", flush=True)
            began, stopped = time.monotonic(), None
            while True:
                if stopped is None and not ledger.owners.is_safe():
                    stopped = time.monotonic() - began
                    print(f"stopped by itself after {stopped:.1f} s", flush=True)
                try:
                    ledger.events.append("one", progress(1), NOW)
                except OwnershipLostError as error:
                    print(f"OwnershipLostError: {error}", flush=True)
                    return
                except MediaAgentError:
                    if time.monotonic() - began > SAFE_SECONDS * 4:
                        return
                time.sleep(0.5)


@contextmanager
def cable() -> Iterator[None]:
    """Lay a cable into a namespace."""
    ip("netns", "add", SPACE)
    try:
        ip("link", "add", HERE, "type", "veth", "peer", "name", THERE)
        ip("link", "set", THERE, "netns", SPACE)
        ip("addr", "add", f"{SERVER}/24", "dev", HERE)
        ip("link", "set", HERE, "up")
        ip("-n", SPACE, "addr", "add", f"{WORKER}/24", "dev", THERE)
        ip("-n", SPACE, "link", "set", THERE, "up")
        yield
    finally:
        with suppress(subprocess.CalledProcessError):
            ip("netns", "del", SPACE)


def ip(*arguments: str) -> None:
    """Run the command of that name."""
    subprocess.run(["ip", *arguments], check=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        work(sys.argv[1])
    else:
        sys.exit(main())
