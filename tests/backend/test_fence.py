"""Whatever a plugin does, it harms nobody else, and is named with a way out."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from media_agent.backend.fence import MOST_MODELS, FencedBackend, PluginBrokeError, call_plugin
from media_agent.backend.hookspecs import hookimpl
from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.builtin.sandbox import SandboxBackend
from media_agent.cli import main
from media_agent.client import VideoClient
from media_agent.config.settings import Settings
from media_agent.errors import PluginError
from media_agent.registry.plugins import discover
from media_agent.registry.registry import Registry
from media_agent.routing.listing import list_all
from media_agent.tools import ToolBox
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.request import VideoRequest

pytestmark = pytest.mark.anyio

SOUND = """
from media_agent.backend.protocol import BackendSpec
from media_agent.backend.hookspecs import hookimpl
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import Estimate

class Backend:
    name = "NAME"
    def capabilities(self, model=None):
        return Capabilities(backend="NAME", model="one", models=("one",))
    def estimate(self, request):
        return Estimate(cost_usd=1.0)
    async def submit(self, request, *, key, resume=None):
        raise SystemExit(3)
    async def find(self, request, *, key, since):
        return None
    async def observe(self, ref):
        raise SystemExit(3)
        yield
    async def control(self, ref, command): ...
    async def cancel(self, ref): ...
    async def aclose(self): ...

def factory(settings):
    return Backend()

@hookimpl
def media_agent_backends():
    return [BackendSpec(name="NAME", factory=factory)]
"""
FAULTS = {  # what is written after the sound plugin, and what is said of it
    "exit_at_import": ("raise SystemExit(2)", "SystemExit: 2"),
    "cancelled_at_import": (
        "import asyncio; raise asyncio.CancelledError()",
        "it raised CancelledError",
    ),
    "closed_at_import": ("raise GeneratorExit()", "it raised GeneratorExit"),
    "recursive_at_import": ("def again(): again()\nagain()", "RecursionError"),
    "hook_of_none": (
        "@hookimpl\ndef media_agent_backends(): return None",
        "media_agent_backends returned None",
    ),
    "hook_of_a_number": ("@hookimpl\ndef media_agent_backends(): return 5", "returned 5"),
    "hook_that_breaks_midway": (
        "@hookimpl\ndef media_agent_backends():\n    yield 1 / 0",
        "ZeroDivisionError",
    ),
    "hook_of_one_twice": (
        "@hookimpl\ndef media_agent_backends(): return [BackendSpec('NAME', factory)] * 2",
        "is taken by itself",
    ),
    "name_of_another": (
        "@hookimpl\ndef media_agent_backends(): return [BackendSpec('magi', factory)]",
        "'magi' is taken by plugin magi",
    ),
    "catalogue_of_a_number": (
        "@hookimpl\ndef media_agent_backends(): return [BackendSpec('NAME', factory, 5)]",
        "its catalogue is 5",
    ),
    "factory_that_exits": ("def factory(settings): raise SystemExit(0)", "SystemExit: 0"),
    "factory_that_breaks": ("def factory(settings): return [][1]", "IndexError"),
    "factory_of_none": ("def factory(settings): return None", "None is not a VideoBackend"),
    "factory_of_half": (
        "def factory(settings):\n    Backend.submit = None\n    return Backend()",
        "it is missing submit",
    ),
    "factory_of_another": ("Backend.name = 'fal'", "says that its name is 'fal'"),
    "name_that_breaks": ("Backend.name = property(lambda self: 1 / 0)", "ZeroDivisionError"),
    "abilities_that_exit": (
        "def no(*given): raise SystemExit(5)\nBackend.capabilities = no",
        "capabilities() raised SystemExit: 5",
    ),
    "abilities_that_break": (
        "def no(*given): raise RuntimeError('a\\nb')\nBackend.capabilities = no",
        "capabilities() raised RuntimeError: a b",
    ),
    "abilities_of_none": (
        "Backend.capabilities = lambda *given: None",
        "capabilities() returned None, not Capabilities",
    ),
    "abilities_as_a_dict": (
        "Backend.capabilities = lambda *given: {'backend': 'NAME'}",
        "returned a value of type dict, not Capabilities",
    ),
    "abilities_later": (
        "def later(*given):\n    yield Capabilities(backend='NAME', model='one')\n"
        "Backend.capabilities = later",
        "returned a value of type generator, not Capabilities",
    ),
    "abilities_unchecked": (
        "Backend.capabilities = lambda *given: Capabilities.model_construct("
        "backend='NAME', model='one', durations=('long',))",
        "durations.0: it should be a valid number",
    ),
    "abilities_without_time": (
        "Backend.capabilities = lambda *given: Capabilities.model_construct("
        "backend='NAME', model='one', fps_values=(0.0,))",
        "fps_values.0: it should be greater than 0",
    ),
    "price_that_breaks": (
        "def no(*given): raise KeyError('price')\nBackend.estimate = no",
        "estimate() raised KeyError: 'price'",
    ),
    "price_that_exits": (
        "def no(*given): raise SystemExit\nBackend.estimate = no",
        "estimate() raised SystemExit",
    ),
    "price_as_a_number": (
        "Backend.estimate = lambda *given: 0.5",
        "returned a value of type float, not Estimate",
    ),
    "price_below_nothing": (
        "Backend.estimate = lambda *given: Estimate.model_construct(cost_usd=-1.0)",
        "cost_usd: it should be greater than or equal to 0",
    ),
}
SOME = ("exit_at_import", "hook_of_none", "factory_that_exits", "abilities_of_none")
SMALL = ("--size", "64x64", "--duration", "1")

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install packages, each with a plugin of its own that is faulty in the way it is named."""
    loaded = set(sys.modules)

    def into(name: str, source: str) -> None:
        place = tmp_path / "installed" / name
        facts = place / f"package_{name}-1.0.dist-info"
        facts.mkdir(parents=True)
        (place / f"module_{name}.py").write_text(source)
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: package-{name}\nVersion: 1")
        (facts / "entry_points.txt").write_text(f"[media_agent]\nof_{name} = module_{name}\n")
        monkeypatch.syspath_prepend(place)

    def all_of(*faults: str, source: str | None = None) -> None:
        for fault in faults:
            more = FAULTS[fault][0] if source is None else source
            into(fault, f"{SOUND}\n{more}".replace("NAME", fault))

    yield all_of
    for module in set(sys.modules) - loaded:
        if module.startswith("module_"):
            del sys.modules[module]


@hookimpl
def offer_nothing() -> list[BackendSpec]:
    """Stand in for the plugin whose hundreds of models take a while to list."""
    return []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_plugin_is_named_with_what_it_did_and_the_others_are_listed(
    install: Install, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent_hosted.plugin.media_agent_backends", offer_nothing)
    install(fault)

    listing = list_all(Registry.discover(), Settings(data_dir=tmp_path))

    assert {"magi/tiny", "sandbox/slate"} <= {each.name for each in listing.models}
    assert not any(each.name.startswith(fault) for each in listing.models if "twice" not in fault)
    (problem,) = listing.faults
    assert f"of_{fault}" in problem
    assert FAULTS[fault][1] in problem
    assert "update, repair or uninstall the package" in problem
    assert problem in listing.problems


@pytest.mark.parametrize(
    ("capabilities", "said"),
    [
        ("size_range={'minimum': 'wide'}", "size_range"),
        ("max_duration=float('nan')", "max_duration"),
        ("modes=('mime',)", "modes.0"),
        ("options=({'name': 'x'},)", "options.0"),
    ],
)
def test_what_a_plugin_says_unchecked_is_checked(
    install: Install, capabilities: str, said: str, tmp_path: Path
) -> None:
    made = f"Capabilities.model_construct(backend='NAME', model='one', {capabilities})"
    install("acme", source=f"Backend.capabilities = lambda *given: {made}")

    (problem,) = list_all(Registry.discover(), Settings(data_dir=tmp_path)).faults

    assert "capabilities() returned an invalid Capabilities" in problem
    assert said in problem


def test_a_backend_that_says_it_is_another_is_listed_under_its_own_name(
    install: Install, tmp_path: Path
) -> None:
    capabilities = "Capabilities(backend='fal', model='one', models=('one',))"
    install("acme", source=f"Backend.capabilities = lambda *given: {capabilities}")

    listing = list_all(Registry.discover(), Settings(data_dir=tmp_path))

    names = {each.name for each in listing.models}
    assert "acme/one" in names
    assert "fal/one" not in names


def test_one_faulty_model_does_not_hide_the_sound_ones_beside_it(
    install: Install, tmp_path: Path
) -> None:
    install(
        "acme",
        source="def some(self, model=None):\n"
        "    if model == 'two': raise RuntimeError('no two')\n"
        "    models = ('one', 'two', 'six')\n"
        "    return Capabilities(backend='NAME', model=model or 'one', models=models)\n"
        "Backend.capabilities = some",
    )

    listing = list_all(Registry.discover(), Settings(data_dir=tmp_path))

    assert {"acme/one", "acme/six"} <= {each.name for each in listing.models}
    assert "capabilities('two') raised RuntimeError: no two" in listing.faults[0]


def test_the_list_has_the_faults_and_stays_json(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(*SOME, "price_that_breaks")

    assert main(["backends", "--json"]) == 0

    problems = " ".join(json.loads(capsys.readouterr().out)["problems"])
    assert all(FAULTS[fault][1] in problems for fault in (*SOME, "price_that_breaks"))


def test_a_plan_names_the_faults_and_chooses_among_the_others(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(*SOME, "price_that_breaks")

    assert main(["plan", "a red circle"]) == 0

    said = capsys.readouterr().out
    assert said.startswith("selected magi/tiny: ")
    assert all(FAULTS[fault][1] in said for fault in SOME)


def test_a_routed_video_is_made_and_the_faults_are_told(
    install: Install,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    install(*SOME, "price_that_breaks")
    flags = ["--allow", "sandbox", *SMALL, "--out", str(tmp_path / "fox.mp4"), "--json"]

    assert main(["generate", "a fox", *flags]) == 0

    assert json.loads(capsys.readouterr().out)["status"] == "completed"
    assert all(FAULTS[fault][1] in caplog.text for fault in SOME)


def test_a_video_of_a_named_backend_is_made_beside_a_broken_plugin(
    install: Install, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    install("exit_at_import")
    flags = ["--backend", "sandbox", *SMALL, "--out", str(tmp_path / "fox.mp4")]

    assert main(["generate", "a fox", *flags]) == 0

    assert "plugin of_exit_at_import is left out" in caplog.text


def test_a_faulty_backend_asked_for_by_name_says_what_it_did(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("abilities_that_exit")

    assert main(["generate", "a fox", "--backend", "abilities_that_exit"]) == 20

    said = capsys.readouterr().err
    assert "plugin of_abilities_that_exit: backend abilities_that_exit" in said
    assert "uninstall the package" in said


async def test_the_tools_of_an_agent_name_the_faults_as_data(
    install: Install, tmp_path: Path
) -> None:
    install(*SOME, "price_that_breaks")

    async with VideoClient(settings=Settings(data_dir=tmp_path)) as client:
        answer = await ToolBox(client).call("plan_video", {"prompt": "a red circle"})
        listed = [
            await ToolBox(client).call("list_video_backends", {"search": each}) for each in SOME
        ]

    problems = json.dumps([each["problems"] for each in listed])
    assert answer["chosen"]["model"] == "magi/tiny"
    assert answer["refused"]["count"] > len(SOME)
    assert all(json.dumps(FAULTS[each][1])[1:-1] in problems for each in SOME)


@pytest.mark.parametrize("command", [["init"], ["config", "check"]])
def test_the_commands_about_settings_name_the_faults(
    install: Install,
    command: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    install(*SOME, "price_that_breaks")
    monkeypatch.chdir(tmp_path)

    assert main(command) == 0

    said = capsys.readouterr().out
    assert all(FAULTS[fault][1] in said for fault in (*SOME, "price_that_breaks"))


NOISE = """
import os, sys, threading
print("plain noise")
sys.__stdout__.write("deep noise")
os.write(1, b"deeper noise")
os.system("echo foreign noise")
threading.Thread(target=print, args=("late noise",)).start()
def factory(settings):
    print("factory noise")
    return Backend()
"""


def test_what_a_plugin_prints_in_any_way_is_not_among_what_a_command_says(
    install: Install, tmp_path: Path
) -> None:
    install("acme", source=NOISE)
    path = os.pathsep.join([str(tmp_path / "installed" / "acme"), *filter(None, sys.path)])

    ended = subprocess.run(
        [sys.executable, "-m", "media_agent.cli", "backends", "--json"],
        env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": ""},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "data" in json.loads(ended.stdout)
    for kind in ("plain", "deep", "deeper", "foreign", "late", "factory"):
        assert f"{kind} noise" in ended.stderr


LOUD = """
print("NOISE of the import")
_facts = Backend.capabilities
def _loud(self, model=None):
    print("NOISE of the facts")
    return _facts(self, model)
Backend.capabilities = _loud
"""


def test_a_plugin_that_prints_in_this_process_spoils_no_json(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("acme", source=LOUD)

    main(["backends", "--json"])

    said = capsys.readouterr()
    assert "data" in json.loads(said.out)
    assert "NOISE of the import" in said.err
    assert "NOISE of the facts" in said.err


def test_ctrl_c_is_the_users_and_passes_the_fence() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call_plugin("it", interrupted, object)


def test_an_error_that_cannot_even_say_itself_is_named_by_its_kind() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError

    def fail() -> None:
        raise MuteError

    with pytest.raises(PluginError, match="acme raised MuteError"):
        call_plugin("acme", fail, object)


async def test_an_exit_while_it_works_is_an_error_of_that_job_alone(
    install: Install, tmp_path: Path
) -> None:
    install("acme", source="async def aclose(self): raise SystemExit\nBackend.aclose = aclose")
    backend = Registry.discover().create("acme", BackendSettings(data_dir=tmp_path))
    assert isinstance(backend, FencedBackend)

    with pytest.raises(PluginBrokeError, match=r"backend acme: submit\(\) raised SystemExit: 3"):
        await backend.submit(VideoRequest(prompt="a fox"), key="k")
    with pytest.raises(PluginBrokeError, match=r"observe\(\) raised SystemExit: 3"):
        async for _ in backend.observe(OperationRef(backend="acme", operation_id="1")):
            pass
    assert await backend.find(VideoRequest(prompt="a"), key="k", since=datetime.now(UTC)) is None
    await backend.aclose()


async def test_work_behind_the_fence_can_be_cancelled(install: Install, tmp_path: Path) -> None:
    install(
        "acme",
        source="import asyncio\nasync def wait(self, *given, **named): await asyncio.sleep(60)\n"
        "Backend.submit = wait",
    )
    backend = Registry.discover().create("acme", BackendSettings(data_dir=tmp_path))

    work = asyncio.create_task(backend.submit(VideoRequest(prompt="a fox"), key="k"))
    await asyncio.sleep(0)
    work.cancel()

    with pytest.raises(asyncio.CancelledError):
        await work


def test_a_plugin_that_loads_slowly_is_named(caplog: pytest.LogCaptureFixture) -> None:
    ticks = iter(range(0, 1000, 3))

    discover(clock=lambda: next(ticks))

    assert "plugin hosted: loading it took 3.0 s, and every command waits for it" in caplog.text


def test_a_plugin_that_is_quick_is_not_named(caplog: pytest.LogCaptureFixture) -> None:
    ticks = iter(range(1000))

    discover(clock=lambda: next(ticks))

    assert "every command waits" not in caplog.text


def test_names_that_callers_make_up_do_not_fill_the_memory(tmp_path: Path) -> None:
    class AnyModel(SandboxBackend):
        def capabilities(self, model: str | None = None) -> Capabilities:
            return super().capabilities().model_copy(update={"model": model or "one"})

    settings = BackendSettings(data_dir=tmp_path)
    backend = FencedBackend("acme", "sandbox", lambda: AnyModel(settings))
    names = [f"model-{number}" for number in range(MOST_MODELS + 10)]

    said = [backend.capabilities(name).model for name in names]

    assert said == names
    assert len(backend._checked) == 10
