"""The files of the page, how browsers may keep them, and what the page may do."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import media_agent.server.page
from media_agent.server.page.page import find_version

STATIC = Path(media_agent.server.page.__file__).parent / "static"
SCRIPTS = sorted(STATIC.rglob("*.js"))
_IMPORTED = re.compile(r"""(?:from|import\()\s*["']([^"']+)["']""")


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/", "/assets/{version}/main.js"])
async def test_the_page_may_load_nothing_from_elsewhere_and_run_nothing_inline(
    http: httpx.AsyncClient, path: str
) -> None:
    reply = await http.get(path.format(version=find_version()))

    policy = dict(
        each.split(" ", 1) for each in reply.headers["content-security-policy"].split("; ")
    )
    assert reply.status_code == 200
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert not re.search(r"unsafe|https?:|\*|data:", reply.headers["content-security-policy"])
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"


@pytest.mark.anyio
async def test_the_page_names_its_files_relative_to_itself_so_that_a_prefix_works(
    http: httpx.AsyncClient,
) -> None:
    html = (await http.get("/")).text

    named = re.findall(r'(?:src|href)="([^"#]+)"', html)
    assert named
    for each in named:
        assert each.startswith(f"assets/{find_version()}/")
        assert (await http.get("/" + each)).status_code == 200
    assert not re.search(r"<style|style=|\son\w+=|<script(?! type=\"module\" src=)", html)


@pytest.mark.anyio
async def test_every_file_is_kept_for_ever_under_its_version_and_checked_under_another(
    http: httpx.AsyncClient,
) -> None:
    kept = await http.get(f"/assets/{find_version()}/page.css")
    old = await http.get("/assets/0123456789ab/page.css")
    page = await http.get("/")

    assert "immutable" in kept.headers["cache-control"]
    assert old.status_code == 200
    assert old.headers["cache-control"] == page.headers["cache-control"] == "no-cache"
    again = await http.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("main.js", "text/javascript"),
        ("vendor/hls.light.min.mjs", "text/javascript"),
        ("page.css", "text/css"),
        ("icon.svg", "image/svg+xml"),
    ],
)
async def test_files_have_the_type_that_browsers_insist_on(
    http: httpx.AsyncClient, name: str, media_type: str
) -> None:
    reply = await http.head(f"/assets/{find_version()}/{name}")

    assert reply.headers["content-type"].split(";")[0] == media_type
    assert int(reply.headers["content-length"]) == (STATIC / name).stat().st_size
    assert reply.content == b""


@pytest.mark.anyio
@pytest.mark.parametrize(
    "name",
    ["..%2fpage.py", "%2e%2e/page.py", "vendor/README.md", "", "lib", "/etc/passwd"],
)
async def test_only_files_of_the_page_are_served(http: httpx.AsyncClient, name: str) -> None:
    reply = await http.get(f"/assets/{find_version()}/{name}")

    assert reply.status_code == 404


def _list_imports() -> Iterator[tuple[Path, str]]:
    for script in SCRIPTS:
        for name in _IMPORTED.findall(script.read_text(encoding="utf-8")):
            yield script, name


def test_every_module_that_is_imported_is_there() -> None:
    imported = list(_list_imports())

    assert len(imported) > 20
    for script, name in imported:
        assert name.startswith("."), f"{script.name} imports {name} from elsewhere"
        assert (script.parent / name).is_file(), f"{script.name} imports {name}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_module_makes_markup_out_of_text(script: Path) -> None:
    source = script.read_text(encoding="utf-8")

    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", source)
    assert "http://" not in source
    assert "https://" not in source
