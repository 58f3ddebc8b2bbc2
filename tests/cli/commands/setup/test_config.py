"""The commands that check and show the settings."""

import json
from pathlib import Path

import pytest

from media_agent.cli import main

SECRET = "sk-very-secret-4711"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the project file of a folder of our own."""
    monkeypatch.delenv("MEDIA_AGENT_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    return tmp_path / "media-agent.toml"


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    """Return the exit code and the lines of `config check`."""
    code = main(["config", "check", *arguments])
    return code, capsys.readouterr().out.splitlines()


def test_sound_settings_are_said_to_be(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text('default_backend = "sandbox"\n')

    assert checked(capsys) == (0, [f"no errors in {file}"])


def test_without_any_file_the_defaults_hold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_DEFAULT_BACKEND", "sandbox")

    assert checked(capsys) == (0, ["no settings file; defaults apply"])


def test_an_unknown_option_hides_no_other_error_of_its_backend(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(
        '[backends.a]\nkind = "command"\n[backends.a.options]\n'
        'timout = 3\ncommand = ["x", "{output}", "{promt}"]'
    )

    code, lines = checked(capsys)

    assert code == 19
    assert "options.timout: unknown key; did you mean timeout?" in lines[0]
    assert "there is no placeholder {promt}; did you mean prompt?" in lines[1]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('x = 1\n[backends.a]\nkind = "sandbx"', ":3: backends.a.kind: unknown kind 'sandbx'"),
        ('[backends.a]\nkind = "sandbox"\nkey_env = "NO_KEY"', ":3: backends.a.key_env: the var"),
        ('[backends.a]\nkind = "sandbox"\nkey_file = "no"', ":3: backends.a.key_file: the key"),
        ('[backends.a]\nkind = "sandbox"\nmodel = "slat"', ":3: backends.a.model: a has no"),
        (
            '[backends.sandbox.options]\nfail = 1\nfault = "x"',
            ":2: backends.sandbox.options.fail: sandbox has no such option; did you mean fail_at?",
        ),
        (
            '[backends.a]\nkind = "command"\n[backends.a.options]\ncommand = ["x", "{output}"]',
            ":3: backends.a.options: the prompt is not used",
        ),
        (
            '[backends.a]\nkind = "http"\nbase_url = "https://x.test"\n[backends.a.options]\nsub=1',
            ":5: backends.a.options.sub: unknown key",
        ),
        ('[routes.b]\nallow = [\n "sandbox",\n "sandbx"]', ":2: routes.b.allow: unknown backend"),
        ('[routes.b]\ndeny = ["sandbox/x"]', ":2: routes.b.deny: sandbox has no model 'x'"),
        ('[routes.b]\nmodel = "sandbx"', ":2: routes.b.model: unknown backend 'sandbx'; did"),
        ('default_backend = "sandbx"', ":1: default_backend: unknown backend 'sandbx'"),
        ("policy = 1", ":1: policy: it should be"),
        ("[budget\nmax_cost_usd = 1", ":1: not valid TOML"),
    ],
)
def test_a_fault_is_named_with_its_line(
    file: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    if "default_backend" not in text and "x = 1" not in text:
        text = f'{text}\n[backends.zzz]\nkind = "sandbox"'
    text = text.removeprefix("x = 1")
    file.write_text(text)

    code, lines = checked(capsys)

    assert code == 19
    assert [line for line in lines if f"{file}{said}" in line] != []


def test_all_faults_are_listed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text('default_backend = "x"\n[backends.a]\nkind = "b"\n[routes.c]\nmodel = "d"\n')

    _, lines = checked(capsys)

    assert sorted(line.split(":")[1] for line in lines) == ["1", "3", "5"]


def test_a_variable_that_sets_nothing_is_warned_of(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('default_backend = "sandbox"')
    monkeypatch.setenv("MEDIA_AGENT_QUALTY", "strict")

    code, lines = checked(capsys)

    assert code == 0
    assert "did you mean MEDIA_AGENT_QUALITY?" in lines[0]


def test_a_key_in_a_header_is_warned_of_and_never_shown(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(f"""default_backend = "sandbox"
[backends.own]
kind = "http"
base_url = "https://videos.test"
[backends.own.options]
submit = "POST /videos"
poll = "GET /videos/{{id}}"
result = "url"
done = ["done"]
failed = ["failed"]
sizes = ["64x48"]
fps = [24]
durations = [5]
body = {{text = "{{prompt}}"}}
[backends.own.options.headers]
Accept-Language = "en"
Authorization = "Bearer {SECRET}"
""")

    code, lines = checked(capsys)
    assert main(["config", "show"]) == 0
    shown = capsys.readouterr().out

    assert (code, len([line for line in lines if "looks like a key" in line])) == (0, 1)
    assert any(f"{file}:17: Authorization looks like a key" in line for line in lines)
    assert SECRET not in "".join(lines) + shown
    assert f'headers.Authorization = "[key]" ({file}:17)' in shown


def test_a_file_that_others_can_read_is_told_of_once_however_many_keys_it_has(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = (f'[backends.{name}]\nkey = "{SECRET}"\n' for name in ("fal", "xai", "kling"))
    file.write_text("".join(sections))
    file.chmod(0o644)

    _, lines = checked(capsys)

    assert sum("key_env or key_file" in line for line in lines) == 3
    assert sum("chmod 600" in line for line in lines) == 1


def test_a_key_that_stands_in_the_file_is_warned_of_and_never_shown(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(f'default_backend = "sandbox"\n[backends.fal]\nkey = "{SECRET}"\n')
    file.chmod(0o644)

    code, lines = checked(capsys)
    assert main(["config", "show"]) == 0
    shown = capsys.readouterr().out

    assert code == 0
    assert any(f"{file}:3" in line and "key_env or key_file" in line for line in lines)
    assert any("chmod 600" in line for line in lines)
    assert SECRET not in "".join(lines) + shown
    assert f'backends.fal.key = "[key]" ({file}:3)' in shown


def test_another_file_can_be_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.toml").write_text("nonsense = 1")

    assert checked(capsys, "other.toml")[0] == 19
    assert checked(capsys, "missing.toml") == (19, ["missing.toml: no such file"])


def test_malformed_values_hide_no_other_fault(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_THREADS", "many")
    file.write_text("""default_backend = "broken"
polici = "strict"
[budget]
max_cost_usd = -1
[backends.a]
kind = "sandbx"
bogus = 1
[backends.broken]
base_url = "ftp://x"
kind = "fal"
[backends.b]
kind = "sandbox"
options = {fail = 1}
[routes.c]
model = "sandbox"
allow = ["sandbox"]
[routes.d]
allow = ["sandbx"]
""")

    code, lines = checked(capsys)

    assert code == 19
    at = {line.split(" ")[0].removeprefix(f"{file}:").rstrip(":") for line in lines}
    assert at == {"MEDIA_AGENT_THREADS", "2", "4", "6", "7", "9", "13", "14", "18"}


def test_programs_get_every_finding_with_its_place(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('default_backend = "sandbx"\npolicy = "lax"\n')
    monkeypatch.setenv("MEDIA_AGENT_QUALTY", "strict")
    monkeypatch.setenv("MEDIA_AGENT_THREADS", "many")

    assert main(["config", "check", "--json"]) == 19

    report = json.loads(capsys.readouterr().out)
    assert report["files"] == [str(file)]
    found = {(each["key"] or each["variable"]): each for each in report["data"]}
    default = {"level": "error", "file": str(file), "line": 1, "variable": None}
    assert found["default_backend"].items() >= default.items()
    assert found["default_backend"]["message"].startswith("unknown backend 'sandbx'; did")
    assert found["policy"]["line"] == 2
    assert found["threads"]["variable"] == "MEDIA_AGENT_THREADS"
    assert found["threads"]["file"] is None
    assert found["MEDIA_AGENT_QUALTY"]["level"] == "warning"


def test_programs_get_the_line_of_what_is_no_toml(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("a = 1\n[b\n")

    assert main(["config", "check", "--json"]) == 19

    [finding] = json.loads(capsys.readouterr().out)["data"]
    assert (finding["file"], finding["line"]) == (str(file), 2)
    assert finding["message"].startswith("not valid TOML")


def test_the_settings_are_shown_with_where_each_is_made(
    file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file.write_text('\ndefault_backend = "sandbox"\n')

    assert main(["config", "show"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert main(["config", "show", "--json"]) == 0
    as_json = json.loads(capsys.readouterr().out)

    assert f'default_backend = "sandbox" ({file}:2)' in shown
    assert f'data_dir = "{tmp_path}/data" (MEDIA_AGENT_DATA_DIR)' in shown
    assert as_json["policy"] == {"value": "adjust", "from": "default"}


LOOKS = "hf_PLANTEDabcdefghijklmnop0123456789"
ELSEWHERE = {
    "typed at key_env": f'[backends.fal]\nkey_env = "{LOOKS}"\n',
    "typed at key_env, of no known look": '[backends.fal]\nkey_env = "hunter2Hunter2"\n',
    "an address": '[backends.fal]\nbase_url = "https://videos.test/v1?key=hunter2Hunter2"\n',
    "options": '[backends.fal.options]\nkey = "hunter2Hunter2"\n',
    "the name of an option": f'[backends.fal.options]\n{LOOKS} = "x"\n',
    "a kind": f'[backends.fal]\nkind = "{LOOKS}"\n',
    "a model": f'default_backend = "{LOOKS}"\n',
    "a command": """
        [backends.own]
        kind = "command"
        [backends.own.options]
        command = ["x", "--token", "hunter2Hunter2", "--key=hunter2Hunter2", "{output}", "{prompt}"]
        sizes = ["64x36"]
        fps = [24]
        durations = [5]
    """,
    "auth and body": """
        [backends.own]
        kind = "http"
        base_url = "https://videos.test"
        [backends.own.options]
        submit = "POST /x"
        body = {prompt = "{prompt}", api_token = "hunter2Hunter2"}
        auth = "X-Api-Key: hunter2Hunter2"
        poll = "GET /x/{id}"
        done = ["d"]
        failed = ["f"]
        content = "/x/{id}"
        sizes = ["64x36"]
        fps = [24]
        durations = [5]
    """,
}


@pytest.mark.parametrize("text", ELSEWHERE.values(), ids=ELSEWHERE.keys())
@pytest.mark.parametrize("words", [["config", "check"], ["config", "show"], ["plan", "a cat"]])
def test_a_key_is_printed_by_no_command_wherever_it_stands(
    file: Path, capsys: pytest.CaptureFixture[str], text: str, words: list[str]
) -> None:
    file.write_text(text)

    main(words)

    said = "".join(capsys.readouterr())
    assert said
    assert LOOKS not in said
    assert "hunter2" not in said


def test_ordinary_values_are_shown_as_they_are(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = "Wan-AI/Wan2.2-T2V-A14B-Diffusers"
    file.write_text(f"""
[backends.fal]
key_env = "FAL_KEY"
model = "{model}"
base_url = "https://videos.test/v1"
""")

    assert main(["config", "show"]) == 0

    shown = capsys.readouterr().out
    assert f'backends.fal.model = "{model}"' in shown
    assert 'backends.fal.key_env = "FAL_KEY"' in shown
    assert 'backends.fal.base_url = "https://videos.test/v1"' in shown


def test_a_policy_that_cannot_be_asked_is_a_fault_with_its_line(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(
        'default_backend = "sandbox"\n[policies.words]\nkind = "bloklist"\n\n'
        '[policies.consent.options]\nroles = ["face"]\n'
    )

    code, lines = checked(capsys)

    assert code == 19
    assert any(f"{file}:2: policies.words" in each for each in lines), lines
    assert any("did you mean blocklist?" in each for each in lines)
    assert any(f"{file}:6: policies.consent.options.roles" in each for each in lines)
