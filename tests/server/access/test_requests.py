"""No caller on another machine names a file of this one, wherever in a request."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from media_agent.errors import ForbiddenError, InvalidRequestError, TooLargeError
from media_agent.server.access import inputs
from media_agent.server.access.caller import LOCAL_CALLER, Caller
from media_agent.server.access.requests import admit_request, check_names, check_request
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import VideoRequest

pytestmark = pytest.mark.anyio

ALICE = Caller("alice", frozenset({"videos:write"}))
BOSS = replace(ALICE, scopes=frozenset({"admin"}), sees_all=True)


def with_input(**source: object) -> VideoRequest:
    medium = MediaInput.model_validate({"role": "first_frame", **source})
    return VideoRequest(prompt="a fox", inputs=(medium,))


def with_option(value: JsonValue) -> VideoRequest:
    return VideoRequest(prompt="a fox", options={"fal": {"extra": value}})


@pytest.mark.parametrize("caller", [ALICE, BOSS])
@pytest.mark.parametrize(
    "request_",
    [
        with_input(path="/etc/passwd"),
        with_input(path="a.png"),
        with_input(url="https://cdn.example/a.png", own_id="video-of-somebody-else"),
        VideoRequest(prompt="a fox", model="/models/wan"),
        VideoRequest(prompt="a fox", model="diffusers/../../models"),
        VideoRequest(prompt="a fox", model="~/models/wan"),
    ],
    ids=str,
)
async def test_a_request_that_names_a_file_is_refused(
    request_: VideoRequest, caller: Caller, tmp_path: Path
) -> None:
    with pytest.raises(ForbiddenError) as error:
        await admit_request(request_, caller, tmp_path, max_bytes=1000)

    assert "/etc" not in str(error.value)
    check_request(request_, LOCAL_CALLER)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        " /etc/passwd",
        "~/.ssh/id_rsa",
        "~root/x",
        "./a",
        "../a",
        "a/../../b",
        "a/..",
        "..",
        "C:\\Windows\\win.ini",
        "c:/windows",
        "\\\\server\\share",
        "..\\a",
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "$HOME/a",
        "%USERPROFILE%\\a",
    ],
)
@pytest.mark.parametrize("depth", ["value", "list", "object", "name"])
async def test_an_option_that_is_written_as_a_path_is_refused_at_any_depth(
    path: str, depth: str, tmp_path: Path
) -> None:
    value: dict[str, JsonValue] = {
        "value": path,
        "list": [1, [path]],
        "object": {"a": {"b": path}},
        "name": {path: 1},
    }

    with pytest.raises(ForbiddenError):
        await admit_request(with_option(value[depth]), ALICE, tmp_path, max_bytes=1000)
    await check_names(None, {"fal": {"extra": value[depth]}}, LOCAL_CALLER)


@pytest.mark.parametrize(
    "value",
    [
        "fast",
        "16:9",
        "16/9",
        "style:0.8,other:1",
        "1.5",
        "a.safetensors",
        "org/model",
        0.5,
        None,
        "",
    ],
)
async def test_other_options_pass(value: JsonValue, tmp_path: Path) -> None:
    asked = with_option(value)

    assert await admit_request(asked, ALICE, tmp_path, max_bytes=1000) == asked


async def test_an_address_within_an_option_is_public(tmp_path: Path) -> None:
    asked = with_option({"image": ["http://10.0.0.1/a.png"]})

    with pytest.raises(InvalidRequestError, match="public"):
        await admit_request(asked, ALICE, tmp_path, max_bytes=1000)


async def write_four_bytes(url: str, folder: Path, *, max_bytes: int) -> Path:
    path = folder / f"{url[-5:]}-{max_bytes}"
    path.write_bytes(b"1234")
    return path


async def test_the_inputs_of_a_request_share_one_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = VideoRequest(inputs=with_input(url="https://cdn.example/a.png").inputs * 2)
    monkeypatch.setattr(inputs, "fetch_input", write_four_bytes)

    admitted = await admit_request(two, ALICE, tmp_path, max_bytes=8)

    assert [str(each.path)[-2:] for each in admitted.inputs] == ["-8", "-4"]
    with pytest.raises(TooLargeError, match="the 7 bytes allowed together"):
        await admit_request(two, ALICE, tmp_path, max_bytes=7)


async def test_an_input_by_its_address_becomes_a_file_and_a_local_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = with_input(url="https://cdn.example/a.png")

    monkeypatch.setattr(inputs, "fetch_input", write_four_bytes)

    admitted = await admit_request(asked, ALICE, tmp_path, max_bytes=7)

    assert admitted.inputs[0].path == str(tmp_path / "a.png-7")
    assert admitted.inputs[0].url is None
    assert admitted.inputs[0].role is InputRole.FIRST_FRAME
    assert await admit_request(asked, LOCAL_CALLER, tmp_path, max_bytes=7) is asked


async def test_a_request_has_so_many_inputs_at_most(tmp_path: Path) -> None:
    asked = VideoRequest(inputs=(MediaInput(role=InputRole.SUBJECT, data=b"x"),) * 33)

    with pytest.raises(InvalidRequestError, match="at most 32"):
        await admit_request(asked, ALICE, tmp_path, max_bytes=1000)


def test_a_new_field_of_a_request_that_may_name_a_file_is_thought_of_here() -> None:
    telling = ("path", "file", "folder", "dir", "output", "url", "uri", "source", "place")

    found = {name for name in field_names() if any(word in name.split(".")[1] for word in telling)}

    assert found == {"MediaInput.path", "MediaInput.url", "VideoRequest.join_source"}


def field_names() -> Iterator[str]:
    schema = VideoRequest.model_json_schema()
    for name, each in ({"VideoRequest": schema} | schema["$defs"]).items():
        yield from (f"{name}.{field}" for field in each.get("properties", {}))
