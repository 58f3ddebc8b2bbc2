"""What is wrong with data, in words that say what would be right."""

import pytest
from pydantic import JsonValue, ValidationError

from media_agent.validation import in_words
from media_agent_schemas import VideoRequest


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"aspect_ratio": "16/9"}, "aspect_ratio: it should be width:height, such as 16:9"),
        ({"n": 0}, "n: it should be greater than or equal to 1"),
    ],
)
def test_a_fault_says_what_it_should_be(fields: dict[str, JsonValue], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        VideoRequest.model_validate({"prompt": "a fox", **fields})

    assert in_words(caught.value, VideoRequest) == said
