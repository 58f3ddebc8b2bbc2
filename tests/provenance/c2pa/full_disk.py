"""Signs a file where no file may grow beyond so many bytes, and says what came of it."""

import resource
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from media_agent.errors import StorageError
from media_agent.provenance.c2pa.credentials import find_credentials
from media_agent.provenance.c2pa.sign import sign_file
from media_agent.provenance.c2pa.signing import Signing

if __name__ == "__main__":
    source, target, most = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    credentials = find_credentials(Signing("try", source.parent), datetime.now(UTC))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    try:
        sign_file(source, target, {}, (), credentials)
    except StorageError as error:
        print(error.message)
