"""Small videos and certificates for tests of signatures."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import SecretStr

from media_agent.provenance.c2pa.credentials import Credentials, find_credentials
from media_agent.provenance.c2pa.development import make_certificate
from media_agent.provenance.c2pa.manifest import GENERATED, Ingredient
from media_agent.provenance.c2pa.sign import sign_file
from media_agent.provenance.c2pa.signing import Signing
from media_agent.testing.simulator.videos import write_video

CREATED = {"action": "c2pa.created", "digitalSourceType": GENERATED}


def make_video(path: Path, level: int = 90) -> Path:
    write_video(path, np.full((8, 32, 32, 3), level, np.uint8), fps=4)
    return path


def development(folder: Path) -> Credentials:
    return find_credentials(Signing(policy="try", folder=folder), datetime.now(UTC))


def manifest_of(generator: str, *actions: dict[str, Any]) -> dict[str, Any]:
    return {
        "claim_generator_info": [{"name": generator, "version": "1"}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [*actions]}}],
    }


def sign_as(
    generator: str, source: Path, target: Path, folder: Path, *, of: Path | None = None
) -> Path:
    """Sign a video as another program would, made `of` another file or of nothing."""
    ingredients = () if of is None else (Ingredient("input", "inputTo", of),)
    sign_file(source, target, manifest_of(generator, CREATED), ingredients, development(folder))
    return target


def certificate_of(folder: Path, *, days_ago: float = 0) -> tuple[Path, SecretStr]:
    """Write a certificate that is valid for a year from so many days ago; return it and its key."""
    pem, root = make_certificate(datetime.now(UTC) - timedelta(days=days_ago))
    chain, _, key = pem.partition(b"-----BEGIN PRIVATE KEY-----")
    path = folder / "own.pem"
    path.write_bytes(chain)
    (folder / "root.pem").write_bytes(root)
    return path, SecretStr("-----BEGIN PRIVATE KEY-----" + key.decode())
