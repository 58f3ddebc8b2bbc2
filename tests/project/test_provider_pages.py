"""The page of each hosted provider says what its facts say."""

from media_agent_hosted.plugin import provider_specs
from tests.project.test_documentation import REFERENCE, load_tool


def test_the_page_of_every_provider_is_current() -> None:
    tool = load_tool("provider_page")

    stale = [
        name
        for name, backend in tool.backends().items()
        if not (page := REFERENCE / f"{name}.md").exists()
        or tool.page_of(backend, page.read_text("utf-8")) != page.read_text("utf-8")
    ]

    assert "fal" in tool.backends()
    assert stale == [], "run: make snapshots"


def test_a_page_that_is_not_there_is_begun_and_then_left_alone() -> None:
    tool = load_tool("provider_page")
    backend = tool.backends()["fal"]

    page = tool.page_of(backend, "")

    assert page.startswith("# The backend `fal`")
    assert all(f"`{model}`" in page for model in backend.models.by_id)
    assert {spec.key_variables for spec in provider_specs() if spec.name == "fal"} == {("FAL_KEY",)}
    assert 'key_env = "FAL_KEY"' in page
    assert tool.page_of(backend, f"{page}\nwords\n") == f"{page}\nwords\n"
