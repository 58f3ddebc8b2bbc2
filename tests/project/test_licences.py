"""The licences of what an install brings are known and allowed; what is vendored is named."""

import importlib.util
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType

import av
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def licences() -> ModuleType:
    pytest.importorskip("packaging")
    spec = importlib.util.spec_from_file_location("licences", ROOT / "tools" / "licences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Package(Distribution):
    """A package whose metadata a test says."""

    def __init__(self, *lines: str) -> None:
        self._text = "\n".join(("Metadata-Version: 2.4", "Name: a", "Version: 1", *lines, "", ""))

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        return Path(str(path))


def test_every_licence_of_an_install_is_allowed(
    licences: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert licences.main() == 0

    said = capsys.readouterr().out
    assert "[server] adds" in said
    assert "NOT ALLOWED" not in said


@pytest.mark.parametrize(
    ("lines", "licence", "is_allowed"),
    [
        (["License-Expression: MIT AND (Apache-2.0)"], "MIT AND Apache-2.0", True),
        (["License-Expression: GPL-3.0-only OR MIT"], "GPL-3.0-only OR MIT", True),
        (["License-Expression: GPL-3.0-only AND MIT"], "GPL-3.0-only AND MIT", False),
        (["License: Apache 2.0 License"], "Apache-2.0", True),
        (["Classifier: License :: OSI Approved :: MIT License"], "MIT", True),
        (
            ["License: see LICENSE", "Classifier: License :: OSI Approved :: BSD License"],
            None,
            True,
        ),
        (["License: Proprietary"], "Proprietary", False),
    ],
)
def test_a_licence_is_read_however_it_is_written(
    licences: ModuleType, lines: list[str], licence: str | None, is_allowed: bool
) -> None:
    rules = licences.Rules.read()

    found = licences.licence_of(Package(*lines), rules)

    assert licence is None or found == licence
    assert rules.allow(found) is is_allowed


def test_a_package_that_says_no_licence_is_unknown(licences: ModuleType) -> None:
    assert licences.licence_of(Package(), licences.Rules.read()) is None


def test_what_the_wheels_of_pyav_bring_is_said(licences: ModuleType) -> None:
    brought = [name for name in ("libx264", "libx265") if name in av.codecs_available]
    notice = (ROOT / "NOTICE").read_text("utf-8")

    for name in brought:
        assert name in licences.Rules.read().brings["av"]
        assert name in notice


def test_every_vendored_file_has_its_licence_and_is_in_the_notice() -> None:
    notice = (ROOT / "NOTICE").read_text("utf-8")
    folders = [each for each in (ROOT / "media_agent").rglob("vendor") if each.is_dir()]
    assert folders

    for path in (path for folder in folders for path in folder.iterdir()):
        if path.suffix not in (".LICENSE", ".md"):
            licence = path.with_name(f"{path.name.partition('.')[0]}.LICENSE")
            assert licence.is_file(), path
            assert str(licence.relative_to(ROOT)) in notice
