"""The settings on our pages are sound."""

import re
from pathlib import Path

import pytest

from media_agent.setup.check import check

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to"
BLOCKS = [
    pytest.param(text, id=f"{page.stem}-{number}")
    for page in (HOW_TO / "configure.md", HOW_TO / "declare-a-backend.md")
    for number, text in enumerate(
        re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.M)
    )
]


@pytest.mark.parametrize("text", BLOCKS)
def test_the_settings_on_our_pages_have_no_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    for variable in ("FAL_KEY", "FAL_KEY_TEAM", "MY_FAL_KEY", "ACME_KEY"):
        monkeypatch.setenv(variable, "k")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".fal-spare.key").write_text("k")
    file = tmp_path / "media-agent.toml"
    file.write_text(text)

    report = check(file)

    assert [finding.text for finding in report.findings if finding.is_fault] == []


@pytest.mark.parametrize("text", [block for block in BLOCKS if "kind" in str(block.values[0])])
def test_a_declaration_on_our_pages_takes_at_most_25_lines(text: str) -> None:
    assert len(text.splitlines()) <= 25
