"""The page about hardware is current, covers every family, and has a source for every figure."""

from tests.project.test_documentation import load_tool


def test_the_page_is_current() -> None:
    tool = load_tool("hardware_page")
    page = (tool.FOLDER / "hardware.md").read_text("utf-8")

    assert page == tool.hardware_page(page), "run: make snapshots"


def test_every_family_has_a_row_and_every_row_a_family() -> None:
    from media_agent_diffusers.families.catalogue import find_families

    families = {row.family for row in load_tool("hardware_page").read_rows()}

    assert families == {*find_families(), "opensora", "magi"}


def test_every_figure_has_a_source() -> None:
    tool = load_tool("hardware_page")
    figures = [
        figure
        for row in tool.read_rows()
        for figure in (row.memory, *row.times.values())
        if figure is not None
    ]

    assert len(figures) > 20
    for figure in figures:
        is_ours = (tool.FOLDER / figure.source).is_file()
        assert is_ours or figure.source.startswith("https://"), figure
    assert {gpu for row in tool.read_rows() for gpu in row.times} <= set(tool.GPUS)


def test_the_figures_of_open_sora_are_those_of_its_backend() -> None:
    from media_agent_opensora.models import FPS, LARGE, LONGEST, SMALL

    rows = {row.model: row for row in load_tool("hardware_page").read_rows()}

    for resolution in (SMALL, LARGE):
        row = rows[f"Open-Sora 2.0, {resolution.name}"]
        assert row.memory.gb == resolution.memory_gb
        assert row.times["h100"].took == resolution.seconds[1]
        assert row.times["h100"].video == LONGEST / FPS
