"""Sequences of calls as hypothesis draws them, to jobs in every state; no reply may be a 500."""

from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as some
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    rule,
    run_state_machine_as_test,
)

from tests.server.fuzzed import SMALL

_PROMPTS = some.sampled_from(["a red circle", "x", "", " ", "\0", "😀" * 10, "/etc/passwd"])
_ACTIONS = some.sampled_from(
    ["finish", "cancel", "resume", "reconcile", "branch", "extend", "steer"]
)
_BODIES = some.fixed_dictionaries(
    {},
    optional={
        "prompt": _PROMPTS,
        "at": some.sampled_from([0, 1, "now", "next", 10**9, -1]),
        "duration": some.sampled_from([0.1, 1, 0, -1]),
        "take_over": some.booleans(),
        "label": some.text(max_size=5),
    },
)
_VIEWS = some.sampled_from(
    [
        "",
        "/record",
        "/files/0",
        "/live/index.m3u8",
        "/live/master.m3u8",
        "/live/init.mp4",
        "/live/0.m4s",
        "/live/9.m4s",
    ]
)


def try_sequences(base: str, *, count: int, steps: int = 20) -> None:
    """Make so many sequences of calls; a 500 fails, told with the shortest sequence to it."""
    with httpx.Client(base_url=base, timeout=60) as http:

        class Calls(RuleBasedStateMachine):
            jobs = Bundle("jobs")

            @rule(
                target=jobs,
                prompt=_PROMPTS,
                key=some.sampled_from([None, "a", "b"]),
                endless=some.booleans(),
                fails=some.sampled_from(["never", "submit", "chunk:0"]),
            )
            def make(self, prompt: str, key: str | None, endless: bool, fails: str) -> str:
                options = {"sandbox": {"fail_at": fails, "latency_seconds": 0.2}}
                length = {"num_frames": None, "endless": True} if endless else {}
                request = {**SMALL, **length, "prompt": prompt, "options": options}
                headers = {} if key is None else {"Idempotency-Key": key}
                reply = self._call("POST", "/v1/jobs", {"request": request}, headers)
                return str(reply.json().get("id", "none"))

            @rule(target=jobs, prompt=_PROMPTS)
            def make_video(self, prompt: str) -> str:
                reply = self._call("POST", "/v1/videos", {"prompt": prompt, "seconds": "1"})
                return str(reply.json().get("id", "none"))

            @rule(target=jobs, job=jobs, action=_ACTIONS, body=_BODIES)
            def act(self, job: str, action: str, body: dict[str, Any]) -> str:
                reply = self._call("POST", f"/v1/jobs/{job}/{action}", body)
                return str(reply.json().get("id", job))

            @rule(job=jobs, view=_VIEWS)
            def look(self, job: str, view: str) -> None:
                self._call("GET", f"/v1/jobs/{job}{view}")

            @rule(job=jobs, variant=some.sampled_from(["thumbnail", "spritesheet", "partial"]))
            def look_at_content(self, job: str, variant: str) -> None:
                self._call("GET", f"/v1/videos/{job}")
                self._call("GET", f"/v1/videos/{job}/content?variant={variant}")

            @rule(job=jobs, after=some.integers(-1, 9))
            def list_and_hear(self, job: str, after: int) -> None:
                self._call("GET", f"/v1/jobs?after={job}&limit=3")
                self._call("POST", f"/v1/jobs/{job}/cancel")
                self._call("GET", f"/v1/jobs/{job}/events?after={after}")

            @rule(job=consumes(jobs), route=some.sampled_from(["jobs", "videos"]))
            def delete(self, job: str, route: str) -> None:
                self._call("DELETE", f"/v1/{route}/{job}")

            def _call(
                self, method: str, path: str, body: Any = None, headers: Any = None
            ) -> httpx.Response:
                reply = http.request(method, path, json=body, headers=headers)
                assert reply.status_code != 500, f"{method} {path} {body}: {reply.text}"
                return reply

            def teardown(self) -> None:
                for job in http.get("/v1/jobs?status=in_progress&status=queued").json()["data"]:
                    http.post(f"/v1/jobs/{job['id']}/cancel")

        run_state_machine_as_test(
            Calls,
            settings=settings(
                max_examples=count,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, Phase.shrink],
            ),
        )
