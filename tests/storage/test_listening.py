"""A server of ours begins to listen, or says why it cannot."""

import pytest

from media_agent.cli import main
from media_agent.errors import ConfigurationError
from media_agent.storage.listening import listen


def test_a_port_that_is_taken_is_said_with_the_way_out() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(ConfigurationError, match="in use") as said:
        listen("127.0.0.1", taken.getsockname()[1])

    assert "--port" in str(said.value.hint)
    with pytest.raises(ConfigurationError):
        listen("no-such-host.invalid", 0)


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_what_is_no_port_is_said(port: int) -> None:
    with pytest.raises(ConfigurationError, match=f"port {port} is not within 0 to 65535"):
        listen("127.0.0.1", port)


@pytest.mark.parametrize("command", [["serve"], ["mcp", "--http"]])
def test_both_servers_say_it(command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with listen("127.0.0.1", 0) as taken:
        code = main([*command, "--port", str(taken.getsockname()[1])])

    said = capfd.readouterr().err
    assert code != 0
    assert "cannot listen on 127.0.0.1:" in said
    assert "serving" not in said
