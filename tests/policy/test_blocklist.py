"""Words on a blocklist: in every form, never as a part of another word."""

import pytest

from media_agent.errors import ConfigurationError
from media_agent.policy.blocklist import CODE, Blocklist, make_blocklist
from media_agent.policy.decisions import ALLOW, PolicyCall, PolicySettings, Refuse
from media_agent_schemas import Shot, VideoRequest

CALL = PolicyCall()


@pytest.mark.parametrize(
    "text",
    [
        "a killer in the dark",
        "KILLING time",
        "he kills",
        "the kill's end",
        "k\u0069\u200bll",  # a letter that is not seen
        "\uff4b\uff49\uff4c\uff4c",  # wide letters
        "two parties",
        "she partied",
        "a stripped wall",
        "stripping",
        "nude.",
        "nudes",
        "Stra\u00dfe, STRASSE",
        "naked bodies",
        "Naked -- body",
        "\u7537\u304c\u62f3\u9283\u3092\u6301\u3064",
    ],
)
def test_every_form_of_a_word_is_found(text: str) -> None:
    listed = ["kill", "party", "strip", "nude", "stra\u00dfe", "naked body", "\u62f3\u9283"]

    assert Blocklist(listed).find(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "a skilled painter in Scunthorpe, Essex",
        "an overkill of colours",
        "therapist",
        "naked trees, a body of water",
        "body naked",
        "the parted sea",
        "",
        "k i l l",
        "k1ll",
    ],
)
def test_a_part_of_another_word_is_not_found(text: str) -> None:
    assert Blocklist(["kill", "sex", "cunt", "rapist", "naked body"]).find(text) is None


def test_an_allowed_phrase_is_fine_and_the_word_elsewhere_is_not() -> None:
    blocklist = Blocklist(["kill", "killer"], allowed=["killer whale"])

    assert blocklist.find("two killer whales") is None
    hit = blocklist.find("two killer whales and a killer")
    assert hit is not None
    assert hit.written == "killer"


def test_without_forms_only_the_word_itself_is_found() -> None:
    blocklist = Blocklist(["kill"], forms=False)

    assert blocklist.find("killing") is None
    assert blocklist.find("Kill!") is not None


@pytest.mark.parametrize(
    ("request_", "place"),
    [
        (VideoRequest(prompt="a kill"), "prompt"),
        (
            VideoRequest(shots=(Shot(prompt="a cat", duration=1), Shot(prompt="killers"))),
            "shots[1].prompt",
        ),
        (
            VideoRequest(prompt="a cat", options={"x": {"style": ["fine", "kills"]}}),
            "options.x.style[1]",
        ),
        (VideoRequest(prompt="a cat", visible_label="Kill them"), "visible_label"),
    ],
)
def test_the_refusal_says_where_and_what(request_: VideoRequest, place: str) -> None:
    policy = make_blocklist(PolicySettings("words", {"words": ["kill"]}))

    answer = policy.before_plan(request_, CALL)

    assert isinstance(answer, Refuse)
    assert answer.code == CODE
    assert place in answer.reason
    assert "'kill'" in answer.reason


def test_what_is_not_to_be_shown_may_have_any_word() -> None:
    policy = make_blocklist(PolicySettings("words", {"words": ["blood"]}))

    asked = VideoRequest(prompt="a cat", negative_prompt="blood")

    assert policy.before_plan(asked, CALL) == ALLOW


def test_words_are_read_from_a_file_beside_the_settings(tmp_path) -> None:
    (tmp_path / "words.txt").write_text("# ours\nkill  # and more\n\nnaked body\n", "utf-8")
    settings = PolicySettings("words", {"words_file": "words.txt"}, folder=tmp_path)

    policy = make_blocklist(settings)

    assert isinstance(policy.before_plan(VideoRequest(prompt="naked bodies"), CALL), Refuse)
    assert policy.before_plan(VideoRequest(prompt="ours and more"), CALL) == ALLOW


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "the blocklist words has no words"),
        ({"words": ["!?"]}, "is no word"),
        ({"wrods": ["kill"]}, "policies.words.options.wrods"),
        ({"words_file": "nowhere.txt"}, "nowhere.txt"),
    ],
)
def test_a_faulty_list_is_an_error_that_says_where(tmp_path, options, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make_blocklist(PolicySettings("words", options, folder=tmp_path))
