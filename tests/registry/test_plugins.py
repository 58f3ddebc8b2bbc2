import sys
from importlib.metadata import EntryPoint

import pytest

from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.errors import (
    BackendUnavailableError,
    ConfigurationError,
    InvalidRequestError,
    PluginError,
)
from media_agent.registry.plugins import BrokenPlugin, Discovery, discover
from media_agent.registry.registry import Registry

GOOD = """
from media_agent.backend.protocol import BackendSpec
from media_agent.backend.hookspecs import hookimpl

@hookimpl
def media_agent_backends():
    return [BackendSpec(name={name!r}, factory=lambda settings: (__name__, settings))]
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Write a module and return the entry point that a package with it would have."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(name, source):
        module = f"fake_plugin_{name}_{tmp_path.name}"
        (tmp_path / f"{module}.py").write_text(source)
        written.append(module)
        return EntryPoint(name=name, value=module, group="media_agent")

    yield write
    for module in written:
        sys.modules.pop(module, None)


def test_the_backends_of_a_plugin_are_found(plugin):
    found = discover([plugin("acme", GOOD.format(name="acme"))])

    assert list(found.specs) == ["acme"]
    assert found.broken == ()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_library_anywhere", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit('good bye')", "SystemExit"),
        ("", "no hook media_agent_backends"),
        (
            "from media_agent.backend.hookspecs import hookimpl\n"
            "@hookimpl\ndef media_agent_backends(): return ['acme']",
            "not a BackendSpec",
        ),
        (
            "from media_agent.backend.hookspecs import hookimpl\n"
            "@hookimpl\ndef media_agent_backends(): raise KeyError('x')",
            "KeyError",
        ),
        (
            "from media_agent.backend.hookspecs import hookimpl\n"
            "@hookimpl\ndef media_agent_backends(surprise): return []",
            "surprise",
        ),
        (
            "from media_agent.backend.hookspecs import hookimpl\n"
            "@hookimpl\ndef media_agent_backend(): 1",
            "media_agent_backend",
        ),
        (GOOD.format(name="acme").replace("factory=", "choose_files=3, factory="), "choose_files"),
        (GOOD.format(name="Acme/One"), "Acme/One"),
        (GOOD.format(name=""), "''"),
    ],
)
def test_a_broken_plugin_is_reported_and_harms_no_other(plugin, source, reason):
    entry_points = [plugin("broken", source), plugin("good", GOOD.format(name="good"))]

    found = discover(entry_points)

    assert list(found.specs) == ["good"]
    assert [broken.plugin for broken in found.broken] == ["broken"]
    assert reason in found.broken[0].reason


def test_a_missing_module_is_reported():
    found = discover([EntryPoint("gone", "no_such_module_anywhere", "media_agent")])

    assert "no_such_module_anywhere" in found.broken[0].reason


def test_the_second_of_two_backends_with_one_name_is_reported(plugin):
    entry_points = [plugin("b", GOOD.format(name="acme")), plugin("a", GOOD.format(name="acme"))]

    found = discover(entry_points)

    assert found.specs["acme"].factory(None)[0].startswith("fake_plugin_a")
    assert found.broken == (BrokenPlugin("b", "backend name 'acme' is taken by plugin a"),)


def test_a_broken_plugin_is_an_error_as_data():
    error = BrokenPlugin("acme", "it melted").to_error()

    assert error.code == "plugin"
    assert "acme" in error.message
    assert "it melted" in error.message


def spec(name, factory):
    return Discovery({name: BackendSpec(name=name, factory=factory)})


class Acme:
    """A backend that only has a name, and the settings it was given."""

    name = "acme"

    def __init__(self, settings):
        self.settings = settings

    def __getattr__(self, member):
        return lambda *given, **named: None


def test_a_backend_is_made_with_the_settings_it_is_given(tmp_path):
    settings, made = BackendSettings(data_dir=tmp_path), []

    def factory(given):
        made.append(given)
        return Acme(given)

    backend = Registry(spec("acme", factory)).create("acme", settings)

    assert backend.name == "acme"
    assert made == [settings]


def test_an_unknown_backend_is_answered_with_the_nearest_name(tmp_path):
    registry = Registry(spec("sandbox", lambda given: given))

    with pytest.raises(InvalidRequestError, match="'sandbx'") as caught:
        registry.create("sandbx", BackendSettings(data_dir=tmp_path))

    assert "did you mean sandbox?" in (caught.value.hint or "")


def test_a_backend_whose_plugin_is_broken_says_why(tmp_path):
    registry = Registry(Discovery({}, (BrokenPlugin("acme", "no module named acme_sdk"),)))

    with pytest.raises(InvalidRequestError, match="no module named acme_sdk"):
        registry.create("acme", BackendSettings(data_dir=tmp_path))


@pytest.mark.parametrize("error", [ImportError("no acme_sdk"), ModuleNotFoundError("acme_sdk")])
def test_a_backend_that_lacks_a_library_is_unavailable_and_only_its_author_knows_which(
    tmp_path, error
):
    def fail(settings):
        raise error

    with pytest.raises(BackendUnavailableError, match=str(error)) as caught:
        Registry(spec("acme", fail)).create("acme", BackendSettings(data_dir=tmp_path))

    assert "media-agent[" not in str(caught.value.hint)
    assert "the installation notes of plugin acme" in str(caught.value.hint)


@pytest.mark.parametrize(
    "error", [ValueError("bad weights"), KeyError("place"), SystemExit("no"), OSError(2, "gone")]
)
def test_a_backend_that_breaks_when_it_is_made_is_a_fault_of_its_plugin(tmp_path, error):
    def fail(settings):
        raise error

    with pytest.raises(PluginError, match=type(error).__name__) as caught:
        Registry(spec("acme", fail)).create("acme", BackendSettings(data_dir=tmp_path))

    assert "the factory of backend acme" in caught.value.message
    assert caught.value.hint


def test_a_typed_error_of_a_factory_stays_what_it_is(tmp_path):
    def fail(settings):
        raise ConfigurationError("acme needs base_url")

    with pytest.raises(ConfigurationError, match="base_url"):
        Registry(spec("acme", fail)).create("acme", BackendSettings(data_dir=tmp_path))


def test_the_installed_backends_are_found():
    registry = Registry.discover()

    assert {"magi", "sandbox"} <= set(registry.names())
    assert registry.broken == ()
