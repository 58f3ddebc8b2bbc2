"""What callers elsewhere see: no path of this machine."""

import pytest

from media_agent.server.access.caller import Caller
from media_agent.server.jobs.public import view_job
from media_agent.wording import hide_paths
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import Artifact, ArtifactKind
from tests.ledger.samples import job


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("wrote /home/me/a.mp4: disk full", "wrote a.mp4: disk full"),
        ("~/x/y.toml has it (/tmp/a)", "y.toml has it (a)"),
        ("https://example.com/a/b.mp4 is image/png at $1/s", None),
        ("see GET /v1/jobs/abc/events and/or ask", None),
    ],
)
def test_a_text_names_files_without_their_folders(said: str, shown: str | None) -> None:
    assert hide_paths(said) == (said if shown is None else shown)


def test_a_caller_elsewhere_sees_addresses_where_this_machine_sees_paths() -> None:
    files = (
        Artifact(path="/data/jobs/one/video.mp4"),
        Artifact(kind=ArtifactKind.CONTACT_SHEET, path="/data/jobs/one/sheet.png"),
    )
    ref = OperationRef(backend="b", operation_id="op", data={"folder": "/data/work/one"})
    warned = ("kept in /data/work/one/video.part.mp4",)
    kept = job().model_copy(
        update={"artifacts": files, "record_path": "/data/r.json", "ref": ref, "warnings": warned}
    )

    here = view_job(kept, Caller("me", frozenset(), is_remote=False))
    elsewhere = view_job(kept, Caller("me", frozenset()))

    assert here["artifacts"][0]["path"] == "/data/jobs/one/video.mp4"
    assert "/data" not in str(elsewhere)
    uris = [each["uri"] for each in elsewhere["artifacts"]]
    assert uris == ["/v1/videos/one/content", "/v1/jobs/one/files/1"]
    assert elsewhere["warnings"] == ["kept in video.part.mp4"]
    assert elsewhere["links"]["record"] == "/v1/jobs/one/record"
