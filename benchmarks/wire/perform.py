"""Lets one SDK do what it is asked to: `perform NAME BASE_URL FOLDER`.

Before each intent it asks for `/__intent__/NUMBER`, so that whoever records knows what begins. It
prints the version of the SDK.
"""

import sys
import urllib.request
from importlib.metadata import version
from pathlib import Path
from urllib.error import HTTPError

from benchmarks.wire.intents import Given, load


def main() -> None:
    """Do everything in order; an SDK that fails ends it."""
    name, base_url, folder = sys.argv[1:]
    sdk = load(name)
    client = sdk.connect(base_url)
    given = Given(Path(folder))
    for number, intent in enumerate(sdk.intents):
        mark(f"{base_url}/__intent__/{number}")
        intent.do(client, given)
    print(version(sdk.package))


def mark(url: str) -> None:
    """Ask for what is not there."""
    try:
        urllib.request.urlopen(url, timeout=10).close()
    except HTTPError:
        return


if __name__ == "__main__":
    main()
