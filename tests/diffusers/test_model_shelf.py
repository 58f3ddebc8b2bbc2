"""Named folders of weights survive, also when several processes name some at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from media_agent.errors import InvalidRequestError, StorageError
from media_agent.registry.model_folders import LocalModel, ModelFolders, check_name, name_of


def model(name: str, folder: str = "/weights", backend: str = "diffusers") -> LocalModel:
    return LocalModel(name=name, backend=backend, folder=Path(folder))


def test_what_was_added_is_there_for_the_next_process(tmp_path: Path) -> None:
    ModelFolders(tmp_path / "new").add(model("wan"))
    ModelFolders(tmp_path / "new").add(model("other", backend="acme"))

    shelf = ModelFolders(tmp_path / "new")
    assert [known.name for known in shelf.list()] == ["wan", "other"]
    assert shelf.list_folders("diffusers") == {"wan": Path("/weights")}


def test_the_same_model_twice_is_one_and_another_folder_needs_another_name(tmp_path: Path) -> None:
    shelf = ModelFolders(tmp_path)
    shelf.add(model("wan"))
    shelf.add(model("wan"))

    with pytest.raises(InvalidRequestError, match="the name wan is taken by /weights"):
        shelf.add(model("wan", "/others"))

    assert len(shelf.list()) == 1


def test_a_model_is_forgotten_by_its_name(tmp_path: Path) -> None:
    shelf = ModelFolders(tmp_path)
    shelf.add(model("wan"))

    with pytest.raises(InvalidRequestError, match="unknown model 'wam'") as caught:
        shelf.remove("wam")
    assert shelf.remove("wan") == model("wan")

    assert "did you mean wan?" in (caught.value.hint or "")
    assert shelf.list() == ()


@pytest.mark.parametrize("content", ["", "{", '{"models": [{"name": "No"}]}', '{"other": 1}'])
def test_a_damaged_list_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "models.json").write_text(content)

    with pytest.raises(StorageError, match=r"models\.json cannot be read: it is damaged"):
        ModelFolders(tmp_path).add(model("wan"))

    assert (tmp_path / "models.json").read_text() == content


def test_none_is_lost_when_many_are_added_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: ModelFolders(tmp_path).add(model(f"m{n}")), range(24)))

    assert {known.name for known in ModelFolders(tmp_path).list()} == {f"m{n}" for n in range(24)}


@pytest.mark.parametrize(
    ("folder", "name"),
    [("Wan2.1-T2V-1.3B-Diffusers", "wan2.1-t2v-1.3b-diffusers"), ("my model!", "my-model")],
)
def test_a_folder_gives_a_name_that_can_be_typed(folder: str, name: str) -> None:
    assert name_of(Path("/weights") / folder) == name


def test_a_name_that_cannot_be_typed_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="no model name can be made"):
        name_of(Path("/"))
    for name in ("", "a/b", "A", "-a", "a" * 65):
        with pytest.raises(InvalidRequestError, match="is not a model name"):
            check_name(name)
