import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_agent_magi.world.captions import (
    LONGEST_CAPTION,
    WORDS,
    caption,
    is_unseen,
    parse,
    plain_caption,
    tokenize,
    unknown_words,
)
from media_agent_magi.world.scene import Description, all_descriptions

descriptions = st.sampled_from(all_descriptions())


@settings(deadline=None)  # a busy machine is not a failure
@given(descriptions, st.integers(0, 2**32), st.booleans())
def test_a_drawn_caption_is_understood_as_what_it_describes(
    description: Description, seed: int, unseen: bool
) -> None:
    text = caption(description, random.Random(seed), unseen=unseen)

    assert parse(text) == description
    assert is_unseen(text) == unseen
    assert unknown_words(text) == []
    assert len(tokenize(text)) <= LONGEST_CAPTION


def test_every_word_of_the_vocabulary_is_used_and_no_other() -> None:
    rng = random.Random(0)

    used = {
        word
        for _ in range(20)
        for description in all_descriptions()
        for word in tokenize(caption(description, rng))
    }

    assert used == set(WORDS)
    assert len(WORDS) == len(set(WORDS))


def test_captions_of_the_same_thing_differ() -> None:
    rng = random.Random(0)

    drawn = {caption(Description("gray", "circle", "red", "up-left"), rng) for _ in range(50)}

    assert len(drawn) > 40


def test_a_wording_is_kept_from_training_whatever_its_punctuation() -> None:
    rng = random.Random(0)

    text = caption(Description("gray", "circle", "red", "up-left"), rng, unseen=True)

    assert is_unseen(text.upper().replace(" ", ", "))


def test_the_plain_caption_is_understood() -> None:
    for description in all_descriptions():
        assert parse(plain_caption(description)) == description


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("A RED circle, moving RIGHT; on a black background!", ("black", "circle", "red", "right")),
        ("triangle green", ("black", "triangle", "green", "still")),
        ("on GREY: cyan square up and to the left", ("gray", "square", "cyan", "up-left")),
        ("downwards left, magenta, square, navy", ("navy", "square", "magenta", "down-left")),
        ("the blue circle is not moving on white", ("white", "circle", "blue", "still")),
        ("a splendid blue circle", ("black", "circle", "blue", "still")),
        ("on a white background a red circle", ("white", "circle", "red", "still")),
        ("white, circle, red", ("white", "circle", "red", "still")),
    ],
)
def test_a_prompt_is_understood_whatever_its_order(text: str, meant: tuple[str, ...]) -> None:
    assert parse(text) == Description(*meant)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no shape named; say one of circle, square, triangle"),
        ("a circle moving left", "no colour named"),
        ("a red circle and a red square", "more than one shape: circle, square"),
        ("a red and blue circle", "more than one colour: red, blue"),
        ("a red circle on a white black background", "more than one background: white, black"),
        ("a red circle moving left and right", "moving left and right at once"),
        ("a still red circle moving upwards", "still and moving up at once"),
        ("a red circle on a blue background", "there is no blue background"),
        ("a grey circle, red, left", "there is no gray circle"),
    ],
)
def test_a_prompt_that_makes_no_sense_here_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_unknown_words_are_named_once_in_order() -> None:
    assert unknown_words("A purple dragon, a PURPLE circle moving-up") == ["purple", "dragon"]
