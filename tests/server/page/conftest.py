"""The page in a real browser, at a real server over the sandbox."""

import shutil
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from media_agent.config.settings import load_settings
from tests.server.serving import serving

CHROMIUM = shutil.which("chromium")
expect.set_options(timeout=60_000)  # of a machine that is busy


@pytest.fixture(scope="module")  # while it is open no other loop can run in this thread
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all visits, whose jobs have prompts of their own."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MEDIA_AGENT_CONFIG", str(folder / "none.toml"))
        settings = load_settings(default_backend="sandbox", data_dir=folder / "data")
    with serving(settings) as address:
        yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab; what scripts break in it, or what the policy of the page forbids, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(60_000)
    page = context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on(
        "console",
        lambda said: broken.append(said.text) if "Content Security" in said.text else None,
    )
    page.on("dialog", lambda dialog: broken.append(dialog.message))
    yield page
    context.close()
    assert not broken


def wait_until(is_true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait; the policy of the page forbids the browser's own wait for an expression."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)
