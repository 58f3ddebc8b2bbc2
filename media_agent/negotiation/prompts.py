"""What each model does to prompts, in one place: length, words it knows, negatives, rewriting."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import JsonValue

from media_agent.negotiation.draft import NegotiationDraft
from media_agent_schemas.request import VideoRequest


@dataclass(frozen=True, slots=True)
class PromptRules:
    """What the capabilities do not say about prompts: whether the provider rewrites them."""

    rewrites: bool = False
    option: str | None = None
    """The option of the backend that controls rewriting; None: there is none."""
    off: JsonValue = False
    """Its value for leaving prompts as they are."""


AS_WRITTEN = PromptRules()


def resolve_prompts(
    draft: NegotiationDraft, rules: PromptRules = AS_WRITTEN, *, allow_unknown_words: bool = False
) -> None:
    """Settle everything about words: nothing is cut, and nothing is rewritten unasked."""
    _check_lengths(draft)
    _check_vocabulary(draft, allow_unknown_words)
    _resolve_negative(draft)
    _resolve_rewriting(draft, rules)


def find_unknown_words(prompts: Iterable[str], vocabulary: Iterable[str]) -> list[str]:
    """Return the words and symbols outside the vocabulary, each once, in order.

    Punctuation separates words and says nothing; a symbol (an emoji, a sign) counts as a word.
    """
    known = {word.lower() for word in vocabulary}
    found = dict.fromkeys(word for prompt in prompts for word in _split_words(prompt))
    return [word for word in found if word not in known]


def count_words(prompt: str) -> int:
    """Return how many words and symbols a prompt has; 0: it says nothing at all."""
    return len(_split_words(prompt))


def _check_lengths(draft: NegotiationDraft) -> None:
    limits = (
        (draft.capabilities.max_prompt_characters, len, "characters"),
        (draft.capabilities.max_prompt_words, count_words, "words"),
    )
    for prompt in _list_prompts(draft.request):
        for longest, measure, unit in limits:
            if longest is not None and measure(prompt) > longest:
                said = f"{measure(prompt)} {unit}; the limit is {longest}"
                draft.refuse("prompt", prompt, said)


def _check_vocabulary(draft: NegotiationDraft, allow_unknown_words: bool) -> None:
    if draft.capabilities.closed_vocabulary is None:
        return
    prompts = _list_prompts(draft.request)
    known = ", ".join(sorted(draft.capabilities.closed_vocabulary))
    unknown = find_unknown_words(prompts, draft.capabilities.closed_vocabulary)
    if unknown and allow_unknown_words:
        draft.warnings.append(
            f"{draft.model} does not know these words: {_join_words(unknown)}; "
            "the video may show something else"
        )
    elif unknown:
        draft.refuse("prompt words", _join_words(unknown), f"not in its vocabulary: {known}")
    elif not all(count_words(prompt) for prompt in prompts):
        draft.refuse("prompt", "no words", f"use words of its vocabulary: {known}")


def _resolve_negative(draft: NegotiationDraft) -> None:
    asked, capabilities = draft.request.negative_prompt, draft.capabilities
    longest = capabilities.max_negative_prompt_characters
    if asked is None:
        return
    if capabilities.negative_prompt is False:
        draft.resolved["negative_prompt"] = None
        draft.change("negative_prompt", asked, None, f"{draft.model} does not support this")
    elif longest is not None and len(asked) > longest:
        reason = f"{len(asked)} characters; the limit is {longest}"
        draft.refuse("negative_prompt", asked, reason)


def _resolve_rewriting(draft: NegotiationDraft, rules: PromptRules) -> None:
    """Switch rewriting off unless the caller has set its option."""
    if not rules.rewrites or not _list_prompts(draft.request):
        return
    backend = draft.capabilities.backend
    option = rules.option
    if option is None or option not in {spec.name for spec in draft.capabilities.options}:
        draft.warnings.append(f"{draft.model} may rewrite the prompt before it is used")
        return
    given = draft.request.options.get(backend, {})
    if option not in given:
        options: dict[str, JsonValue] = {**given, option: rules.off}
        draft.resolved["options"] = {backend: options}
        reason = "the prompt is sent to the model as written"
        draft.note(f"option {option}", None, rules.off, reason)


def _list_prompts(request: VideoRequest) -> list[str]:
    if request.prompt is not None:
        return [request.prompt]
    return [shot.prompt for shot in request.shots]


def _join_words(words: list[str]) -> str:
    shown = [word if len(word) <= 30 else f"{word[:27]}..." for word in words[:20]]
    more = "" if len(words) <= 20 else f" and {len(words) - 20} more"
    return ", ".join(shown) + more


def _split_words(prompt: str) -> list[str]:
    tokens = re.findall(r"\w+|[^\w\s]", prompt.lower())
    return [
        token
        for token in tokens
        if len(token) > 1 or token.isalnum() or unicodedata.category(token).startswith("S")
    ]
