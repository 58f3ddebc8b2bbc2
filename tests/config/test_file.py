"""Where settings come from: project file, user's file, keys kept elsewhere; and on which line."""

import logging
import os
import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr

from media_agent.client import VideoClient
from media_agent.config.file import find_project_file, read_file
from media_agent.config.settings import load_settings, look_at_sources
from media_agent.errors import ConfigurationError, UnsupportedRequestError
from media_agent.setup.check import check
from media_agent_schemas.plan import Policy
from media_agent_schemas.request import RoutingPreference, VideoRequest

SECRET = "sk-very-secret-4711"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a project folder of our own, with a user's folder of our own."""
    monkeypatch.delenv("MEDIA_AGENT_CONFIG")
    monkeypatch.delenv("MEDIA_AGENT_DATA_DIR")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    folder = tmp_path / "project"
    (folder / "deep" / "down").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """The user's own file, not yet written."""
    path = tmp_path / "user" / "media-agent" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def test_the_nearest_project_file_upwards_is_read(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "media-agent.toml").write_text('default_backend = "far"')
    monkeypatch.chdir(project / "deep" / "down")
    assert load_settings().default_backend == "far"

    (project / "deep" / "media-agent.toml").write_text('default_backend = "near"')
    assert load_settings().default_backend == "near"


def test_the_project_overrides_the_user_key_by_key(project: Path, user: Path) -> None:
    user.write_text('default_backend = "mine"\n[backends.fal]\nmodel = "user"\nkey = "k"\n')
    (project / "media-agent.toml").write_text('[backends.fal]\nmodel = "project"\n')

    settings = load_settings()

    assert settings.default_backend == "mine"
    assert settings.backends["fal"].model == "project"
    assert settings.backends["fal"].key is not None


def test_a_named_file_stands_alone(
    project: Path, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.write_text('default_backend = "user"')
    (project / "media-agent.toml").write_text('policy = "strict"')
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", "other.toml")

    settings = load_settings()

    assert (settings.default_backend, settings.policy) == ("magi/tiny", Policy.ADJUST)


def test_a_project_file_of_another_user_is_not_read(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project / "media-agent.toml"
    file.write_text("")
    monkeypatch.setattr(os, "getuid", lambda: file.stat().st_uid + 1000)
    if file.stat().st_uid == 0:  # what root wrote may be read by anybody
        os.chown(file, 4711, -1)

    with pytest.raises(ConfigurationError, match="belongs to another user") as caught:
        load_settings()

    assert f"MEDIA_AGENT_CONFIG={file}" in (caught.value.hint or "")


def test_relative_paths_count_from_the_file_that_says_them(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = 'data_dir = "data"\n[backends.fal]\nkey_file = "fal.key"\n'
    (project / "media-agent.toml").write_text(text)
    (project / "fal.key").write_text(f"{SECRET}\n")
    (project / "fal.key").chmod(0o600)
    monkeypatch.chdir(project / "deep")

    given = load_settings().backend_settings("fal")

    assert given.data_dir == project / "data"
    assert given.folder == project
    assert given.key is not None
    assert given.key.get_secret_value() == SECRET


def test_a_key_is_found_in_the_variable_before_the_file(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '[backends.fal]\nkey_env = "FAL_KEY"\nkey_file = "fal.key"\n'
    (project / "media-agent.toml").write_text(text)
    (project / "fal.key").write_text("from-file")
    (project / "fal.key").chmod(0o600)
    monkeypatch.delenv("FAL_KEY", raising=False)

    from_file = load_settings().backend_settings("fal").key
    monkeypatch.setenv("FAL_KEY", "from-variable")
    from_variable = load_settings().backend_settings("fal").key

    assert from_file is not None
    assert from_variable is not None
    assert from_file.get_secret_value() == "from-file"
    assert from_variable.get_secret_value() == "from-variable"


@pytest.mark.parametrize("said", ["", "  ", "\n\t"])
def test_a_variable_that_says_nothing_but_blanks_is_no_key(
    project: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    text = '[backends.a]\nkey_env = "A_KEY"\n[backends.b]\nkey_env = "A_KEY"\nkey_file = "b.key"\n'
    (project / "media-agent.toml").write_text(text)
    (project / "b.key").write_text(" from-file \n")
    monkeypatch.setenv("A_KEY", said)

    settings = load_settings()

    assert settings.backend_settings("a").key is None
    assert settings.backend_settings("a").key_problem == "the variable A_KEY is not set"
    assert settings.backend_settings("b").key == SecretStr("from-file")


def test_a_key_file_is_read_and_warned_of_once(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = "abcd"
    sections = (f'[backends.{name}]\nkey_file = "{name}.key"\n' for name in names)
    (project / "media-agent.toml").write_text("".join(sections))
    for name in names:
        (project / f"{name}.key").write_text(SECRET)
        (project / f"{name}.key").chmod(0o644)
    settings = load_settings()

    found = [settings.backend_settings(name) for name in names]

    assert [each.key for each in found] == [SecretStr(SECRET)] * 4
    assert len([record for record in caplog.records if "chmod 600" in record.message]) == 4


def test_a_key_file_that_is_corrected_is_read_again(project: Path) -> None:
    (project / "media-agent.toml").write_text('[backends.a]\nkey_file = "a.key"\n')
    settings = load_settings()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        settings.backend_settings("a")

    (project / "a.key").write_text(SECRET)

    assert settings.backend_settings("a").key == SecretStr(SECRET)


def test_a_key_file_that_others_can_read_is_warned_of(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (project / "media-agent.toml").write_text('[backends.sandbox]\nkey_file = "the.key"\n')
    (project / "the.key").write_text(SECRET)
    (project / "the.key").chmod(0o644)

    with caplog.at_level(logging.WARNING):
        load_settings().backend_settings("sandbox")
    report = check()

    assert "chmod 600" in caplog.text
    assert SECRET not in caplog.text
    assert report.is_sound
    assert "the.key is readable by other users" in report.findings[0].text
    assert "media-agent.toml:2: " in report.findings[0].text


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_key_file_without_a_key_is_named(project: Path, content: str | None) -> None:
    (project / "media-agent.toml").write_text('[backends.fal]\nkey_file = "fal.key"\n')
    if content is not None:
        (project / "fal.key").write_text(content)

    with pytest.raises(ConfigurationError, match=r"fal\.key (cannot be read|is empty)"):
        load_settings().backend_settings("fal")


def test_routes_budget_and_policy_are_read(project: Path) -> None:
    (project / "media-agent.toml").write_text(
        'policy = "strict"\n'
        "[budget]\nmax_cost_usd = 1\nmax_cost_usd_per_day = 10.5\n"
        "[routes.draft]\nprefer = 'cheapest'\nallow = ['magi']\nlocal_only = true\n"
        "[routes.final]\nmodel = 'fal/x'\nmax_cost_usd = 2\n"
    )

    settings = load_settings()

    assert settings.policy is Policy.STRICT
    assert (settings.budget.max_cost_usd, settings.budget.max_cost_usd_per_day) == (1, 10.5)
    assert settings.routes["draft"].prefer is RoutingPreference.CHEAPEST
    assert settings.routes["draft"].allow == ("magi",)
    assert settings.routes["final"].model == "fal/x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n\nnonsense = 1", ":3: nonsense: unknown key"),
        ('[backends.fal]\n\nkeey = "SECRET"', ":3: backends.fal.keey: unknown key; did"),
        ('[backends.fal]\nkey_env = "SECRET"', ":2: backends.fal.key_env: it should be like MY_"),
        ('[backends.fal]\nkey = ["SECRET"]', ":2: backends.fal.key:"),
        ('[backends.fal]\noptions = {a = 1}\nkind = ""', ":3: backends.fal.kind:"),
        ('[backends."Fal"]\nmodel = "x"', ":1: backends.Fal: its name should be in lower case"),
        ('backends.fal.base_url = "https://me:SECRET@fal.run"', "no user name or password"),
        ('backends.fal.base_url = "fal.run"', ":1: backends.fal.base_url: it should be like http"),
        ("[routes.draft]\nprefer = 'chepest'", ":2: routes.draft.prefer: it should be"),
        ("[routes.draft]\nmodel = 'x'\nallow = ['y']", ":1: routes.draft: a route with a model"),
        ("[budget]\nmax_cost_usd = -1", ":2: budget.max_cost_usd:"),
        ("[budget]\nmax_cost = 1", "did you mean max_cost_usd?"),
        ("policy = 'adust'", ":1: policy: it should be"),
        ("a = 1\n[backends.fal", ":2: not valid TOML"),
        ("a = 'SECRET\n", ":1: not valid TOML"),
        ("a = 1\na = 2", ":2: not valid TOML"),
        ("a = 1\nb = [1,\n2,\n", ":2: not valid TOML"),
        ('\na = """SECRET\n\n', ":2: not valid TOML"),
    ],
)
def test_a_fault_is_named_with_file_and_line_and_without_values(
    project: Path, text: str, said: str
) -> None:
    file = project / "media-agent.toml"
    file.write_text(text.replace("SECRET", SECRET))

    with pytest.raises(ConfigurationError) as caught:
        load_settings()

    assert said in str(caught.value)
    assert str(file) in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "more",
    [
        'default_backend = "KEY"\n[backends.fal]\n',
        '[backends.fal]\nmodel = "KEY"\n',
        '[routes.a]\nmodel = "KEY"\n[backends.fal]\n',
        '[routes.a]\nallow = ["sandbox", "KEY"]\n[backends.fal]\n',
    ],
)
def test_a_key_that_stands_at_a_second_place_is_not_said(project: Path, more: str) -> None:
    text = more + 'key = "KEY"\n'
    (project / "media-agent.toml").write_text(text.replace("KEY", "ferry-lamp-moon-17"))

    said = [finding.text for finding in check().findings if finding.is_fault]

    assert any("[key]" in each for each in said)
    assert "ferry-lamp" not in str(said)


def test_a_file_may_begin_with_a_byte_order_mark(project: Path) -> None:
    (project / "media-agent.toml").write_text('policy = "strict"\n', encoding="utf-8-sig")

    assert load_settings().policy is Policy.STRICT


def test_all_faults_are_named_at_once(project: Path) -> None:
    (project / "media-agent.toml").write_text("one = 1\ntwo = 2\n")

    with pytest.raises(ConfigurationError) as caught:
        load_settings()

    assert [fault.place for fault in caught.value.faults] == [("one",), ("two",)]


def test_a_fault_is_named_where_it_counts(project: Path, user: Path) -> None:
    (project / "media-agent.toml").write_text("\n")
    user.write_text("\npolicy = 'x'")

    with pytest.raises(ConfigurationError, match=r"config\.toml:2: policy"):
        load_settings()


LINES = """# the first line

data_dir = "a"
backends.fal.model = "x"

[backends.mine]
kind = "command"
options.command = [
  "a",   # [not.a.table]
  "b",
]
options.text = '''
[nor.this]
key = 1
'''
options.last = {deep = {down = 1}}

[routes]
[routes.draft]
allow = ["a"]
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("data_dir", 3),
        ("backends.fal.model", 4),
        ("backends.mine", 6),
        ("backends.mine.kind", 7),
        ("backends.mine.options.command", 8),
        ("backends.mine.options.text", 12),
        ("backends.mine.options.last.deep.down", 16),
        ("routes.draft.allow", 20),
        ("routes.draft.unknown", 19),
        ("nor.this.key", None),
    ],
)
def test_every_place_has_its_line(tmp_path: Path, place: str, line: int | None) -> None:
    path = tmp_path / "lines.toml"
    path.write_text(LINES)

    file = read_file(path)

    assert file is not None
    assert file.line(place.split(".")) == line


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_policy_of_the_settings_holds_unless_another_is_asked(
    project: Path, tmp_path: Path
) -> None:
    request = VideoRequest(prompt="a cat", model="sandbox", fps=500)
    settings = load_settings(policy="strict", data_dir=tmp_path / "data")

    async with VideoClient(settings=settings) as client:
        with pytest.raises(UnsupportedRequestError, match="500"):
            await client.plan(request)
        adjusted = await client.plan(request, policy=Policy.ADJUST)

    assert adjusted.request.fps == 120


DEEP = {
    "lists": "a = " + "[" * 3000 + "]" * 3000,
    "tables": "a = " + "{a = " * 3000 + "1" + "}" * 3000,
    "names": ".".join("a" * 500) + " = 1",
    "some levels": "[backends.fal.options]\na = " + "[" * 80 + "]" * 80,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
def test_what_lies_in_each_other_too_deeply_is_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deep.toml"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match=r"deep\.toml cannot be read: .* too deeply"):
        read_file(path)


def test_a_deep_variable_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS", "[" * 50_000 + "]" * 50_000)

    with pytest.raises(ConfigurationError, match=r"environment cannot be read: .* too deeply"):
        load_settings()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"policy = 'adj\0ust'", r":1: not valid TOML: (illegal|found invalid) character"),
        (b"threads = " + b"9" * 5000, "a number in it is too long"),
        (b"# no end\n" * 200_000, "more than 1048576 bytes"),
        ("policy = 'adjust'".encode("utf-16"), "it is not UTF-8 text"),
        ("policy = 'é'".encode("latin-1"), "it is not UTF-8 text"),
    ],
)
def test_a_file_of_another_kind_is_said_in_a_sentence(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "other.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=said):
        read_file(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    with pytest.raises(ConfigurationError, match="not a regular file"):
        read_file(path)


def test_the_lines_of_a_long_list_are_found_at_once(tmp_path: Path) -> None:
    path = tmp_path / "long.toml"
    path.write_text("allow = [\n" + '"a"\n,\n' * 2000 + "]\npolicy = 'adjust'\n")

    file = read_file(path)

    assert file is not None
    assert (file.line(["allow"]), file.line(["policy"])) == (1, 4003)


def test_a_path_cannot_hold_the_character_nul(project: Path) -> None:
    (project / "media-agent.toml").write_text(
        'data_dir = "a\\u0000b"\n[backends.fal]\nkey_file = "a\\u0000b"\n'
    )

    with pytest.raises(ConfigurationError, match=r":1: data_dir: .* NUL.*:3: .*key_file: .* NUL"):
        load_settings()


def test_a_key_file_is_small(project: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 100_000)
    (project / "media-agent.toml").write_text(f'[backends.fal]\nkey_file = "{tmp_path / "key"}"\n')

    with pytest.raises(ConfigurationError, match="more than 65536 bytes"):
        load_settings().backend_settings("fal")


def test_what_is_no_text_is_said(tmp_path: Path) -> None:
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read_file(path)


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    assert read_file(tmp_path / "none.toml") is None
    assert find_project_file(tmp_path) is None


def test_it_can_be_told_where_a_setting_is_made(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "media-agent.toml").write_text('policy = "strict"\ndefault_backend = "a"')
    monkeypatch.setenv("MEDIA_AGENT_DEFAULT_BACKEND", "b")

    sources = look_at_sources(data_dir="x")

    assert sources.place(["policy"]) == f"{project / 'media-agent.toml'}:1"
    assert sources.place(["default_backend"]) == "MEDIA_AGENT_DEFAULT_BACKEND"
    assert sources.place(["data_dir"]) == "argument data_dir"
    assert sources.place(["budget", "max_cost_usd"]) == "default"


@pytest.mark.parametrize("folder", ["Kq93ldkAbQz83kd92ldP4", "9dbyqvxz4ahw1r2zcy3p9wq8vjmk0l5d-x"])
def test_a_path_in_an_error_is_told_as_it_is(tmp_path: Path, folder: str) -> None:
    file, key = tmp_path / folder / "config.toml", tmp_path / folder / "key"
    file.parent.mkdir()
    file.write_text(f'[backends.fal]\nkey_file = "{key}"\n')

    with pytest.raises(ConfigurationError, match=f"the key file {key} cannot be read"):
        load_settings(config=file).backend_settings("fal")


@pytest.mark.parametrize(
    "line",
    [
        'key_file = "{}"',
        'kind = "{}"',
        'base_url = "https://api.example.com/{}"\nkind = "{}"',
        'options = {{ "{}" = 1 }}',
        'options = {{ poll_seconds = "{}" }}',
    ],
)
def test_a_key_at_a_wrong_place_is_in_no_error(project: Path, line: str) -> None:
    key = "hf_PLANTEDabcdefghijklmnop0123456789"
    (project / "media-agent.toml").write_text("[backends.fal]\n" + line.format(key, key))

    report = check()

    assert not report.is_sound
    assert not [finding.text for finding in report.findings if key in finding.text]
