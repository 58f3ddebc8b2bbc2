"""How far work is, by the messages of a ComfyUI server."""

from pydantic import JsonValue

from media_agent_hosted.providers.comfyui.progress import Progress

TITLES = {"1": "Load", "2": "Sample", "3": "Decode", "4": "Save"}


def tell(progress: Progress, kind: str, work: str = "abc", **data: JsonValue) -> float | None:
    progress.read({"type": kind, "data": {"prompt_id": work, **data}})
    return progress.fraction


def test_nodes_and_steps_add_up_and_never_go_back() -> None:
    progress = Progress("abc", TITLES)

    fractions = [
        tell(progress, "execution_start"),
        tell(progress, "execution_cached", nodes=["1"]),
        tell(progress, "executing", node="2"),
        tell(progress, "progress", node="2", value=5, max=10),
        tell(progress, "progress", node="2", value=2, max=10),  # a second pass of the same node
        tell(progress, "executing", node="3"),
        tell(progress, "executing", node="4"),
        tell(progress, "executing", node=None),
    ]

    assert fractions == [None, None, 0.25, 0.375, 0.375, 0.5, 0.75, 1.0]


def test_what_runs_is_said_in_words() -> None:
    progress = Progress("abc", TITLES)
    tell(progress, "executing", node="1")
    first = progress.message
    tell(progress, "progress", node="2", value=3, max=20)

    assert first == "node 1 of 4: Load"
    assert progress.message == "node 2 of 4: Sample, step 3 of 20"


def test_other_work_and_unheard_of_messages_are_left_alone() -> None:
    progress = Progress("abc", TITLES)
    tell(progress, "executing", work="other", node="3")
    tell(progress, "crystools.monitor", node="3")
    odd: list[JsonValue] = [None, [], {"type": "executing"}, {"type": "executing", "data": []}]
    for message in odd:
        progress.read(message)
    tell(progress, "progress", node=None, value="n/a", max=None)

    assert (progress.fraction, progress.message) == (None, None)


def test_a_node_of_another_workflow_breaks_nothing() -> None:
    progress = Progress("abc", {})

    assert tell(progress, "executing", node="9") is None
    assert tell(Progress("abc", TITLES), "executing", node="12:3") == 0.0
