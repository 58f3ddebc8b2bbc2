"""The command that shows a job in the browser, playing while it is made."""

from functools import partial
from threading import Thread
from typing import TYPE_CHECKING

from media_agent.cli.arguments import Flag
from media_agent.cli.commands.servers.serve import check_installed
from media_agent.cli.screen import flush, write_stderr, write_stdout
from media_agent.cli.store import find_job

if TYPE_CHECKING:
    from media_agent.config.settings import Settings

_CONSOLE_BROWSERS = frozenset({"www-browser", "links", "elinks", "lynx", "w3m"})
_SOON = 2.0  # seconds in which a running server of this machine answers


def watch(job_id: str, /, *, no_browser: Flag = False) -> int:
    """Open a job in the browser: its video plays while it is made, and can be steered.

    Uses the server that runs as the settings say, or starts one for this machine until Ctrl-C.

    Args:
        job_id: As shown by jobs list; or the beginning of one, or last.
        no_browser: Only print the address.
    """
    from media_agent.config.settings import load_settings

    job = find_job(job_id)
    settings = load_settings()
    address = find_server(settings, job)
    if address is not None:
        _show(address, job, no_browser=no_browser)
        return 0
    check_installed()
    from media_agent.server.run import serve

    def show(address: str) -> None:  # beside the server, which must answer the browser meanwhile
        shown = partial(_show, f"{address}/", job, no_browser=no_browser)
        Thread(target=shown, daemon=True).start()

    serve(settings, host="127.0.0.1", port=0, say=write_stderr, on_ready=show)
    return 0


def find_server(settings: "Settings", job: str) -> str | None:
    """Return the address of the server of the settings, if it runs and has this job."""
    import httpx

    from media_agent.storage.addresses import is_loopback

    host = settings.server.host
    if not is_loopback(host):
        host = "localhost"  # it listens to others, and to this machine
    address = f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}/"
    try:
        reply = httpx.get(f"{address}v1/jobs/{job}", timeout=_SOON, trust_env=False)
        told = reply.json()
    except (httpx.HTTPError, ValueError):
        return None
    if not isinstance(told, dict):
        return None
    wants_key = reply.status_code == 401 and "media_agent" in told  # the page asks for it
    return address if wants_key or told.get("id") == job else None


def _show(address: str, job: str, *, no_browser: bool) -> None:
    import webbrowser

    page = f"{address}#/jobs/{job}"
    write_stdout(page)
    flush()
    if no_browser:
        return
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    if getattr(browser, "name", None) not in _CONSOLE_BROWSERS:  # these play nothing
        browser.open(page)
