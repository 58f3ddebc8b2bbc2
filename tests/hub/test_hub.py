"""A model comes whole or not at all: resumed, verified, and refused before anything is written."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from media_agent.errors import (
    BackendAuthenticationError,
    BackendUnavailableError,
    ConfigurationError,
    InvalidRequestError,
    PluginError,
    StorageError,
)
from media_agent.hub.client import HUB, Hub
from media_agent.hub.download import Download
from media_agent.hub.plan import FetchPlan, part_of, plan_fetch
from tests.hub.hub_server import COMMIT, REPOSITORY, TOKEN, HubServer, serving

pytestmark = pytest.mark.anyio

WEIGHTS = "transformer/model.safetensors"
SMALL = "transformer/config.json"


@pytest.fixture
def hub_server() -> Iterator[HubServer]:
    files = {
        "model_index.json": b'{"_class_name": "X"}',
        SMALL: b"{}",
        WEIGHTS: bytes(range(256)) * 4096,
        "README.md": b"# words",
        "samples/one/more/video.mp4": b"video",
        "../outside.json": b"{}",
    }
    with serving(HubServer(files)) as server:
        yield server


def choose(folder: Path, variant: str | None) -> tuple[str, ...]:
    assert json.loads((folder / "model_index.json").read_bytes())["_class_name"] == "X"
    assert (folder / WEIGHTS).read_bytes() == b""
    assert not (folder / "samples").exists()
    return "model_index.json", SMALL, WEIGHTS


async def plan(server: HubServer, folder: Path, **options: str) -> FetchPlan:
    return await plan_fetch(
        Hub(server.address), REPOSITORY, folder=folder, choose=choose, **options
    )


def list_files(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in paths}


class Sleeper:
    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


async def download(server: HubServer, folder: Path) -> list[float]:
    sleeper = Sleeper()
    await Download(Hub(server.address), await plan(server, folder), sleep=sleeper).run()
    return sleeper.slept


async def test_a_plan_says_what_would_come_and_writes_nothing(
    hub_server: HubServer, tmp_path: Path
) -> None:
    found = await plan(hub_server, tmp_path / "models" / "x")

    said = found.as_json()
    assert (said["commit"], said["licence"], said["gated"]) == (COMMIT, "apache-2.0", False)
    assert [file.name for file in found.files] == ["model_index.json", SMALL, WEIGHTS]
    assert found.total_bytes == found.missing_bytes == 2**20 + 2 + 20
    assert found.free_bytes is not None
    assert list_files(tmp_path) == set()
    assert hub_server.asked(WEIGHTS) == []


async def test_the_chosen_files_come_and_no_others(hub_server: HubServer, tmp_path: Path) -> None:
    await download(hub_server, tmp_path / "x")

    assert list_files(tmp_path / "x") == {"model_index.json", SMALL, WEIGHTS}
    assert (tmp_path / "x" / WEIGHTS).read_bytes() == hub_server.files[WEIGHTS]


async def test_a_connection_that_is_cut_is_continued(hub_server: HubServer, tmp_path: Path) -> None:
    hub_server.cut[WEIGHTS] = [300_000, 200_000]

    await download(hub_server, tmp_path / "x")

    assert (tmp_path / "x" / WEIGHTS).read_bytes() == hub_server.files[WEIGHTS]
    assert hub_server.asked(WEIGHTS) == [None, "bytes=300000-", "bytes=500000-"]


async def test_a_later_run_continues_what_an_earlier_one_left(
    hub_server: HubServer, tmp_path: Path
) -> None:
    first = await plan(hub_server, tmp_path / "x")
    part = part_of(tmp_path / "x", first.repository.files[WEIGHTS])
    part.parent.mkdir(parents=True)
    part.write_bytes(hub_server.files[WEIGHTS][:700_000])

    assert (await plan(hub_server, tmp_path / "x")).missing_bytes == first.total_bytes - 700_000
    await download(hub_server, tmp_path / "x")

    assert hub_server.asked(WEIGHTS) == ["bytes=700000-"]
    assert (tmp_path / "x" / WEIGHTS).read_bytes() == hub_server.files[WEIGHTS]
    assert not part.exists()


async def test_a_server_without_ranges_sends_all_again(
    hub_server: HubServer, tmp_path: Path
) -> None:
    hub_server.ranges, hub_server.cut[WEIGHTS] = False, [300_000]

    await download(hub_server, tmp_path / "x")

    assert (tmp_path / "x" / WEIGHTS).read_bytes() == hub_server.files[WEIGHTS]


@pytest.mark.parametrize("name", [WEIGHTS, SMALL])
async def test_a_wrong_checksum_is_fetched_again_from_the_start(
    hub_server: HubServer, tmp_path: Path, name: str
) -> None:
    found = await plan(hub_server, tmp_path / "x")
    before = len(hub_server.asked(name))
    hub_server.damaged[name] = 1

    await Download(Hub(hub_server.address), found).run()

    assert (tmp_path / "x" / name).read_bytes() == hub_server.files[name]
    assert hub_server.asked(name)[before:] == [None, None]


@pytest.mark.parametrize("name", [WEIGHTS, SMALL])
async def test_a_checksum_that_stays_wrong_leaves_no_file(
    hub_server: HubServer, tmp_path: Path, name: str
) -> None:
    found = await plan(hub_server, tmp_path / "x")
    hub_server.damaged[name] = 9

    with pytest.raises(StorageError, match=f"{name} of {REPOSITORY} came with another checksum"):
        await Download(Hub(hub_server.address), found).run()

    assert not (tmp_path / "x" / name).exists()
    assert not part_of(tmp_path / "x", found.repository.files[name]).exists()


async def test_files_that_are_there_are_verified_and_repaired(
    hub_server: HubServer, tmp_path: Path
) -> None:
    await download(hub_server, tmp_path / "x")
    weights = tmp_path / "x" / WEIGHTS
    weights.write_bytes(b"\1" + weights.read_bytes()[1:])
    hub_server.requests.clear()

    await download(hub_server, tmp_path / "x")

    assert weights.read_bytes() == hub_server.files[WEIGHTS]
    assert hub_server.asked(WEIGHTS) == [None]
    assert hub_server.asked(SMALL) == [None]  # for the plan


async def test_a_busy_hub_is_asked_again_after_what_it_says(
    hub_server: HubServer, tmp_path: Path
) -> None:
    found, sleeper = await plan(hub_server, tmp_path / "x"), Sleeper()
    hub_server.busy = 2

    await Download(Hub(hub_server.address), found, sleep=sleeper).run()

    assert sleeper.slept == [7.0, 7.0]


async def test_a_connection_that_brings_nothing_is_given_up(
    hub_server: HubServer, tmp_path: Path
) -> None:
    found, sleeper = await plan(hub_server, tmp_path / "x"), Sleeper()
    hub_server.cut[WEIGHTS] = [1000] + [0] * 20

    with pytest.raises(BackendUnavailableError, match=r"model.safetensors broke off again"):
        await Download(Hub(hub_server.address), found, sleep=sleeper).run()

    assert len(sleeper.slept) == 5
    assert part_of(tmp_path / "x", found.repository.files[WEIGHTS]).stat().st_size == 1000


async def test_a_disk_that_is_too_small_is_named_before_anything_comes(
    hub_server: HubServer, tmp_path: Path
) -> None:
    found = await plan(hub_server, tmp_path / "x")
    small = FetchPlan(found.repository, found.folder, found.files, free_bytes=1000)

    with pytest.raises(StorageError, match=r"1048598 bytes are to be fetched, and 1000 are free"):
        await Download(Hub(hub_server.address), small).run()

    assert not (tmp_path / "x").exists()


async def test_a_gated_model_without_a_token_says_where_its_terms_are(
    hub_server: HubServer, tmp_path: Path
) -> None:
    hub_server.gated = True

    with pytest.raises(BackendAuthenticationError, match="is gated, and there is no token") as said:
        await plan(hub_server, tmp_path)

    assert f"https://huggingface.co/{REPOSITORY}" in (said.value.hint or "")


@pytest.mark.parametrize("token", [TOKEN, "hf_of_another_account"])
async def test_the_token_goes_to_its_own_origin_and_not_to_the_store(
    hub_server: HubServer, tmp_path: Path, token: str
) -> None:
    hub_server.gated = True
    hub = Hub(hub_server.address, SecretStr(token), token_origin=hub_server.address)

    async def fetch() -> None:
        found = await plan_fetch(hub, REPOSITORY, folder=tmp_path / "x", choose=choose)
        await Download(hub, found).run()

    if token == TOKEN:
        await fetch()
    else:
        with pytest.raises(BackendAuthenticationError, match="has no access to it"):
            await fetch()

    hosts = {host for host, _, _, sent in hub_server.requests if sent is not None}
    assert hosts == {hub_server.address.removeprefix("http://")}
    assert token == TOKEN or not (tmp_path / "x").exists()


async def test_another_hub_gets_no_token(hub_server: HubServer, tmp_path: Path) -> None:
    hub = Hub(hub_server.address, SecretStr(TOKEN))

    await plan_fetch(hub, REPOSITORY, folder=tmp_path, choose=choose)

    assert not hub.has_token
    assert Hub(HUB, SecretStr(TOKEN)).has_token
    assert {sent for _, _, _, sent in hub_server.requests} == {None}


@pytest.mark.parametrize(
    ("name", "revision", "said"),
    [
        ("acme/nothing", "main", "has no model 'acme/nothing', or it is private"),
        (REPOSITORY, "v9", "has no such revision"),
        ("https://huggingface.co/acme/x", "main", "is no name of a repository"),
        ("../etc", "main", "is no name of a repository"),
        ("a/b/c", "main", "is no name of a repository"),
    ],
)
async def test_what_the_hub_does_not_have_is_named(
    hub_server: HubServer, tmp_path: Path, name: str, revision: str, said: str
) -> None:
    hub = Hub(hub_server.address)

    with pytest.raises(InvalidRequestError, match=said):
        await plan_fetch(hub, name, folder=tmp_path, choose=choose, revision=revision)


async def test_a_hub_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    hub = Hub("http://127.0.0.1:1")

    with pytest.raises(BackendUnavailableError, match=r"127\.0\.0\.1 cannot be reached"):
        await plan_fetch(hub, REPOSITORY, folder=tmp_path, choose=choose)


def test_offline_by_its_variable_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(BackendUnavailableError, match="HF_HUB_OFFLINE is set"):
        Hub.of_environment()


def test_an_endpoint_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "hf-mirror")

    with pytest.raises(ConfigurationError, match="HF_ENDPOINT is no address"):
        Hub.of_environment()


async def test_a_file_that_is_not_there_cannot_be_chosen(
    hub_server: HubServer, tmp_path: Path
) -> None:
    hub = Hub(hub_server.address)

    with pytest.raises(PluginError, match=r"does not have: ../etc/passwd"):
        await plan_fetch(
            hub, REPOSITORY, folder=tmp_path, choose=lambda path, variant: ("../etc/passwd",)
        )


async def test_a_name_that_leads_outside_is_no_file(hub_server: HubServer, tmp_path: Path) -> None:
    found = await plan(hub_server, tmp_path / "x")

    assert "../outside.json" not in found.repository.files
