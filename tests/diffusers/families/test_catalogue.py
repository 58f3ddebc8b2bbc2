"""A family is found by its file, and what it declares fits the pipelines of diffusers."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from media_agent_diffusers import families
from media_agent_diffusers.families.catalogue import (
    families_by_pipeline,
    find_families,
    tiny_builders,
)
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_diffusers.tiny import main as build

FAMILY = '''"""A family of one file."""
from media_agent_diffusers.families.family import Family

FAMILY = Family(pipelines=("AcmePipeline",), variant=lambda files: None, tiny={"acme": lambda: 1})
'''


@pytest.fixture
def added_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the path of a file that lies beside the families."""
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    find_families.cache_clear()
    yield tmp_path / "acme.py"
    find_families.cache_clear()


def test_a_file_beside_the_others_is_all_that_a_family_needs(
    added_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    added_file.write_text(FAMILY)

    assert "acme" in find_families()
    assert families_by_pipeline()["AcmePipeline"] is find_families()["acme"]
    assert "acme" in tiny_builders()
    with pytest.raises(SystemExit):
        build(["--help"])
    assert "acme" in capsys.readouterr().out


def test_a_file_that_declares_no_family_is_not_passed_over(added_file: Path) -> None:
    added_file.with_name("nothing.py").write_text('"""No family."""\n')

    with pytest.raises(AttributeError, match="FAMILY"):
        find_families()


def test_no_two_families_share_a_pipeline_or_a_name() -> None:
    found = find_families().values()

    pipelines = [name for family in found for name in family.pipelines]
    tiny = [name for family in found for name in family.tiny]
    assert len(pipelines) == len(set(pipelines))
    assert len(tiny) == len(set(tiny))


@pytest.mark.parametrize("name", tiny_builders())
def test_every_option_of_a_task_is_an_argument_of_its_pipeline(
    folder_of: Callable[[str], Path], name: str
) -> None:
    import diffusers

    variant = read_folder(folder_of(name)).variant

    for task in variant.tasks:
        parameters = inspect.signature(getattr(diffusers, task.pipeline).__call__).parameters
        ours = {"image_fit", "history", "flow_shift", "steps_per_stage"}  # in other words there
        options = {option.name for option in variant.options_of(task)} - ours
        assert options <= parameters.keys()
