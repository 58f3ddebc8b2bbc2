"""A script that plays the language model, so that the examples need no key.

It makes a video, waits for it in short calls, looks at its contact sheet and says that it is done.
"""

import json
from typing import Any

WISH = {"prompt": "a red circle moving right", "duration": 0.5, "size": "128x72", "seed": 7}

Call = tuple[str, dict[str, Any]]


def decide(answer: str | None) -> Call | str:
    """Return the next tool to call with its arguments, or the final text, by the last answer."""
    if answer is None:
        return "create_video", WISH
    said = json.loads(answer)
    if "status" not in said and "image" not in said:
        return f"I could not do it: {answer}"
    if "image" in said:
        return f"Here is your video: job {said['job_id']}, as its contact sheet shows."
    if not said["finished"]:
        return "wait_video", {"job_id": said["job_id"], "seconds": 5}
    if said["status"] != "completed":
        return f"It ended as {said['status']}: {said['next']}"
    return "get_video", {"job_id": said["job_id"], "contact_sheet": True}
