"""Make a video with OpenAI's own client, served by `media-agent serve`.

Start the server in another terminal, then run this (`pip install openai` installs the client).

    media-agent serve
    python examples/openai_client.py "a red circle moving right" --model magi/tiny --out a.mp4

If the connection breaks, the client repeats its call, and the server knows the repetition: it is
the same video, made and paid for once.
"""

import argparse
import warnings

import openai

BASE_URL = "http://127.0.0.1:8000/v1"


def main() -> None:
    """Create a video, wait for it, download it and its contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompt")
    parser.add_argument("--model", help="default: the server's default backend")
    parser.add_argument("--seconds", default="2")
    parser.add_argument("--out", default="openai.mp4")
    parser.add_argument("--base-url", default=BASE_URL)
    parser.add_argument("--api-key", default="none", help="a key of the server, if it needs one")
    asked = parser.parse_args()

    warnings.simplefilter("ignore", DeprecationWarning)  # OpenAI's own service ended
    client = openai.OpenAI(api_key=asked.api_key, base_url=asked.base_url)
    video = client.videos.create_and_poll(
        prompt=asked.prompt,
        model=asked.model or openai.omit,
        seconds=asked.seconds,
        extra_body={"media_agent": {"policy": "adjust", "label": "example"}},
    )
    if video.status != "completed":
        raise SystemExit(f"{video.id} failed: {video.error}")
    client.videos.download_content(video.id).write_to_file(asked.out)
    sheet = client.videos.download_content(video.id, variant="spritesheet")
    sheet.write_to_file(f"{asked.out}.jpg")
    print(f"{video.id}: {video.seconds} s, {video.size}, made by {video.model}, in {asked.out}")


if __name__ == "__main__":
    main()
