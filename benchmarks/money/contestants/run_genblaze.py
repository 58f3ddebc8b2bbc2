"""genblaze's SoraProvider, as documented: `invoke`, and `resume` after a restart."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlparse

from diary import AT_ONCE, DEADLINE_SECONDS, POLL_SECONDS, Diary, arguments, prompt_of
from genblaze_core.models.enums import Modality
from genblaze_core.models.step import Step
from genblaze_openai.provider import SoraProvider


def main() -> None:
    """Make all videos that are left; its address comes from OPENAI_BASE_URL."""
    _, diary = arguments()
    files = diary.folder / "files"
    provider = SoraProvider(api_key="money-bench", poll_interval=POLL_SECONDS, output_dir=files)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(partial(make, provider, diary), diary.left))


def make(provider: SoraProvider, diary: Diary, number: int) -> None:
    """Make one video, and note what came of it."""
    step = Step(
        provider=provider.name,
        model="sora-2",
        modality=Modality.VIDEO,
        prompt=prompt_of(number),
        params={"seconds": 4},
    )
    config = {
        "timeout": DEADLINE_SECONDS,
        "on_submit": lambda step_id, name: diary.note_id(number, str(name)),
    }
    try:
        known = diary.ids.get(number)
        if known is None:
            step = provider.invoke(step, config)
        else:
            step = provider.resume(known, step, config)
        if not step.assets:
            diary.note_result(number, f"{step.status}: {step.error}")
            return
        shutil.copy(Path(unquote(urlparse(step.assets[0].url).path)), diary.path(number))
        diary.note_result(number, "completed")
    except Exception as error:  # noqa: BLE001  # what a program would show
        diary.note_result(number, f"error: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
