"""The video so far, played by a real browser while it grows."""

import json
import queue
import shutil
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby

import numpy as np
import pytest

from media_agent.video.growing import Video

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)

PAGE = """<!DOCTYPE html><video muted src="video.mp4"></video><script>
const video = document.querySelector("video")
let said = Promise.resolve()
const say = (event) => {
  const body = JSON.stringify({
    event, time: video.currentTime, width: video.videoWidth, height: video.videoHeight,
    color: color(), error: video.error && video.error.message})
  said = said.then(() => fetch("said", {method: "POST", body}))  // one after the other
}
const color = () => {
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d")
  canvas.width = canvas.height = 1
  pen.drawImage(video, 0, 0, 1, 1)
  return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3)
}
video.playbackRate = 2
for (const event of ["timeupdate", "ended", "error"])
  video.addEventListener(event, () => say(event))
video.play()  // the attribute autoplay would wait until the whole video seems to be coming
</script>"""


class GrowingVideo:
    """Serves a video over HTTP as it grows, and hears what the page says of it."""

    def __init__(self, path):
        self.path = path
        self.said = queue.Queue()
        self.sent = 0
        self._changed = threading.Condition()
        self._is_finished = False

    def grew(self, *, is_finished=False):
        with self._changed:
            self._is_finished = is_finished
            self._changed.notify_all()

    def parts(self):
        """Yield bytes of the file as they come, until it is finished and sent whole."""
        with self.path.open("rb") as file:
            while True:
                with self._changed:
                    is_last = self._is_finished
                    part = file.read()
                    if not part and not is_last:
                        self._changed.wait(30)
                if part:
                    yield part
                elif is_last:
                    return

    @contextmanager
    def served(self):
        video = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                is_video = self.path == "/video.mp4"
                self.send_response(200)
                self.send_header("Content-Type", "video/mp4" if is_video else "text/html")
                self.end_headers()
                for part in video.parts() if is_video else [PAGE.encode()]:
                    self.wfile.write(part)

            def do_POST(self):
                video.said.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            self.grew(is_finished=True)
            server.shutdown()
            server.server_close()


@contextmanager
def browser(url, folder):
    command = [
        BROWSER,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-extensions",
        "--autoplay-policy=no-user-gesture-required",
        f"--user-data-dir={folder / 'profile'}",
        url,
    ]
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def second(number):
    """A second of video that is one flat color with a little noise, so that it has some size."""
    noise = np.random.default_rng(number).integers(-20, 20, (24, 120, 160, 3))
    return (np.array([(200, 40, 40), (40, 200, 40), (40, 40, 200)])[number % 3] + noise).astype(
        np.uint8
    )


@pytest.mark.chromium
@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
def test_a_browser_plays_the_video_while_it_grows(tmp_path):
    seen = []
    with Video(tmp_path, fps=24) as video:
        for number in range(2):
            video.add(second(number))
        growing = GrowingVideo(video.part_path)
        with growing.served() as url, browser(url, tmp_path):
            for number in range(2, 5):  # a browser holds back up to 32 kB: it needs some lead
                while not seen or seen[-1]["time"] < number - 1.5:
                    seen.append(growing.said.get(timeout=60))
                    assert seen[-1]["event"] == "timeupdate", seen[-1]
                video.add(second(number))
                growing.grew()
            growing.grew(is_finished=True)
            while seen[-1]["event"] != "ended":
                seen.append(growing.said.get(timeout=60))

    assert {(each["width"], each["height"]) for each in seen} == {(160, 120)}
    assert seen[-1]["time"] == pytest.approx(5.0, abs=0.1)
    shown = [int(np.argmax(each["color"])) for each in seen if each["event"] == "timeupdate"]
    seconds = iter([0, 1, 2, 0, 1])
    assert set(shown) == {0, 1, 2}
    assert all(color in seconds for color, _ in groupby(shown))  # in this order
