"""Names of videos for which nobody gave one."""

import os
from pathlib import Path

import pytest

from media_agent.cli.default_place import choose_default_place, name_words
from media_agent.errors import InvalidRequestError
from media_agent.storage.destination import reserve
from media_agent_schemas import Plan, Policy, VideoRequest


def plan(prompt: str, **values: object) -> Plan:
    request = VideoRequest.model_validate({"prompt": prompt, "seed": 7} | values)
    return Plan(backend="a", model="b", policy=Policy.ADJUST, request=request)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A red circle, moving!", "a-red-circle-moving"),
        ("一只猫在月球上跳舞", "一只猫在月球上跳舞"),
        ("Ein Fuchs läuft über Schnee", "ein-fuchs-läuft-über-schnee"),
        ("Кот на Луне", "кот-на-луне"),
        ("قطة على القمر", "قطة-على-القمر"),
        ("चाँद पर बिल्ली", "चाँद-पर-बिल्ली"),
        ("แมวบนดวงจันทร์", "แมวบนดวงจันทร์"),
        ("می\u200cرود", "میرود"),
        ("a\u0308pfel", "äpfel"),
        ("Ｆｕｌｌ width", "full-width"),
        ("../../etc/passwd", "etc-passwd"),
        ("a/b\\c\0d\ne:f*g", "a-b-c-d-e-f-g"),
        ("a\u202egpj.exe", "agpj-exe"),
        ("🦊🌕", ""),
        ("\ud800x", "x"),
        ("", ""),
    ],
)
def test_a_name_has_the_letters_of_every_script_and_nothing_that_is_unsafe(
    prompt: str, name: str
) -> None:
    assert name_words(prompt) == name


@pytest.mark.parametrize("letter", ["a", "字", "𠀀", "😀", "ไ", "बि"])
def test_names_fit_however_long_the_prompt(letter: str, folder: Path) -> None:
    long = plan(letter * 900, seed=2**31 - 1, n=9)
    for _ in range(12):
        place = choose_default_place(long)
        place.touch()

    assert place.name.endswith(f"-{2**31 - 1}-12.mp4")
    assert len(os.fsencode(place.name)) < 220


def test_a_taken_name_gets_the_next_free_number(folder: Path) -> None:
    places = []
    for _ in range(3):
        places.append(choose_default_place(plan("a cat")))
        places[-1].touch()

    assert [place.name for place in places] == ["a-cat-7.mp4", "a-cat-7-2.mp4", "a-cat-7-3.mp4"]
    assert all(place.parent == Path("out") for place in places)


def test_the_numbers_of_several_videos_of_one_request_are_taken_too(folder: Path) -> None:
    folder.mkdir()
    (folder / "a-cat-7-2.mp4").touch()

    assert choose_default_place(plan("a cat", n=2)).name == "a-cat-7-3.mp4"
    assert choose_default_place(plan("a cat")).name == "a-cat-7.mp4"


def test_a_name_that_another_run_writes_to_is_taken(folder: Path) -> None:
    folder.mkdir()

    with reserve(folder / "a-cat-7.mp4"):
        assert choose_default_place(plan("a cat")).name == "a-cat-7-2.mp4"


def test_what_may_be_replaced_keeps_its_name(folder: Path) -> None:
    choose_default_place(plan("a cat")).touch()

    assert choose_default_place(plan("a cat"), overwrite=True).name == "a-cat-7.mp4"


def test_a_folder_that_takes_no_file_is_refused_at_once(folder: Path) -> None:
    folder.mkdir(mode=0o500)

    with pytest.raises(InvalidRequestError, match="read-only"):
        choose_default_place(plan("a cat"))
