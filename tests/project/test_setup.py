"""What `make` says on a machine that lacks something."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "setup_venv.py"


@pytest.fixture
def setup_venv() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_venv", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        ("WARNING: Retrying ... Temporary failure in name resolution", "could not reach"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no build for this Python"),
        ("ERROR: something nobody has seen", "pip failed"),
    ],
)
def test_a_failed_install_names_its_cause_and_where_the_log_is(
    setup_venv: ModuleType, log: str, cause: str
) -> None:
    message = setup_venv.explain(log)

    assert cause in message
    assert str(setup_venv.LOG) in message
    assert message.endswith(log)


def test_a_full_disk_is_refused_before_anything_is_downloaded(
    setup_venv: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**10, 9 * 10**9, 10**9))
    monkeypatch.setattr(setup_venv, "BIN", tmp_path / "not-there-yet")

    with pytest.raises(setup_venv.SetupError, match=r"3 GB of disk .* has 1\.0 GB"):
        setup_venv.check_machine()


def test_a_python_that_is_too_old_is_named(
    setup_venv: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))

    with pytest.raises(setup_venv.SetupError, match=r"3\.11 or newer is needed, this is 3\.9\.18"):
        setup_venv.check_machine()


def test_a_python_that_is_not_there_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tools").mkdir()
    shutil.copy(SCRIPT, tmp_path / "tools")

    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

    result = subprocess.run(
        ["make", "demo", "PYTHON=python9.99"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert result.returncode == 2
    assert "setup: there is no python9.99 on this machine" in result.stderr
    assert "Traceback" not in result.stderr
