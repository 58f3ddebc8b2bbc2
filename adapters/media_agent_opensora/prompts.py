"""The file of prompts that Open-Sora reads: one row, in a form that pandas reads as it was meant.

pandas takes a text that looks like a number, a truth value or an absent value for that, whether it
is in quotes or not. Such a prompt is refused: any word more makes it a text again.
"""

import csv
import re
from pathlib import Path

from media_agent.errors import InvalidRequestError

CLIP = "video"
"""The name of the row, and so of the file that is made of it."""

_NUMBER = re.compile(
    r"[+-]?(?:(?:\d[\d_,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?|0x[\da-f]+|inf(?:inity)?)", re.IGNORECASE
)
_NO_TEXT = frozenset(
    {"", "#n/a", "#n/a n/a", "#na", "-1.#ind", "-1.#qnan", "1.#ind", "1.#qnan", "-nan", "nan"}
    | {"<na>", "n/a", "na", "null", "none", "true", "false"}
)


def check_prompt(prompt: str | None, name: str) -> None:
    """Refuse a prompt that would be read as something else than text.

    Raises:
        InvalidRequestError: there is none, or it is a number or such a word.
    """
    if prompt is None:
        raise InvalidRequestError(f"Open-Sora needs a {name}", hint="describe what the video shows")
    text = prompt.strip()
    if text.lower() in _NO_TEXT or _NUMBER.fullmatch(text):
        raise InvalidRequestError(
            f"the {name} {text!r} is not read as text by Open-Sora",
            hint="describe it in a few words",
        )


def write_prompts(
    path: Path, prompt: str, *, negative: str | None = None, references: tuple[Path, ...] = ()
) -> None:
    """Write the file; a column without a value is left out, as an empty one would be no text.

    Raises:
        InvalidRequestError: the path of a reference has a `;`, at which the column is split.
    """
    row = {"text": prompt, "name": CLIP}
    if negative is not None:
        row["neg"] = negative
    if references:
        check_folder(path.parent)
        row["ref"] = ";".join(map(str, references))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerow(row)


def check_folder(folder: Path) -> None:
    """Refuse a folder whose files cannot be references.

    Raises:
        InvalidRequestError: its path has a `;`.
    """
    if ";" in str(folder):
        raise InvalidRequestError(
            f"Open-Sora cannot read files in {folder}: it splits paths at ;",
            hint="use a data folder without ; in its path: data_dir in the settings",
        )
