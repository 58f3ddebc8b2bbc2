"""A stand-in for torchrun: its workers have sessions of their own and outlive it if it is killed.

torchrun --nproc_per_node N --standalone SCRIPT [ARGUMENT...]
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

flag, count, standalone, script, *arguments = sys.argv[1:]
assert flag == "--nproc_per_node", flag
assert standalone == "--standalone", standalone
pids = Path("pids")
pids.mkdir(exist_ok=True)
(pids / f"torchrun-{os.getpid()}").touch()


def start(rank):
    environment = {**os.environ, "RANK": str(rank), "WORLD_SIZE": count}
    return subprocess.Popen(
        [sys.executable, script, *arguments], env=environment, start_new_session=True
    )


def stop(number=None, frame=None):
    for worker in workers:
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGTERM)
    sys.exit(1)


workers = []
signal.signal(signal.SIGTERM, stop)
workers += [start(rank) for rank in range(int(count))]
while any(worker.poll() is None for worker in workers):
    if any(worker.poll() for worker in workers):
        break
    time.sleep(0.01)
codes = [worker.poll() for worker in workers]
if any(codes):
    print("torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ", file=sys.stderr)
    print(
        f"{script} FAILED\nRoot Cause (first observed failure): exitcode {codes}", file=sys.stderr
    )
    stop()
