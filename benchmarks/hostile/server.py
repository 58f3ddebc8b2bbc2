"""The hostile upstream: one process that survives our kills, and writes down what it accepted.

It reads cases as JSON lines on a control socket and opens two ports for each, the service and its
file host. What happens goes to EVIDENCE/INDEX.jsonl, a line each, written before the reply is sent.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from pathlib import Path

from catalogue import ODDITIES
from exchange import Case, Exchange, Reply
from oddity import Oddity
from protocols import Place, Work, new_work, read_form


class Upstream:
    """One case: its ports, what it accepted, its evidence."""

    def __init__(self, case: Case, video: bytes, evidence: Path) -> None:
        self.case, self.video = case, video
        self.evidence = evidence / f"{case.index.replace('/', '-')}.jsonl"
        self.evidence.write_text("")
        self.turns: Counter[str] = Counter()
        self.first: dict[str, float] = {}

    async def open(self) -> dict[str, str]:
        """Listen; return the two addresses."""
        service = await asyncio.start_server(self._service, "127.0.0.1", 0)
        files = await asyncio.start_server(self._files, "127.0.0.1", 0)
        self.servers = (service, files)
        base = f"http://127.0.0.1:{service.sockets[0].getsockname()[1]}"
        host = f"http://localhost:{files.sockets[0].getsockname()[1]}"
        self.place = Place(self.case, base, host, self.video)
        return {"base": base, "files": host}

    def close(self) -> None:
        """Listen no more."""
        for server in self.servers:
            server.close()

    async def _service(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._talk(reader, writer, is_foreign=False)

    async def _files(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._talk(reader, writer, is_foreign=True)

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_foreign: bool
    ) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, path = head.split(" ", 2)[:2]
            lines = [line.partition(":") for line in head.split("\r\n")[1:] if line]
            headers = {name.lower(): text.strip() for name, _, text in lines}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            if is_foreign and any(self.case.key in text for text in headers.values()):
                self.note("leak", path=path)
            step, work, reply = self._answer(method, path, headers, body)
            await self._send(writer, reply, step)
            self.note("answered", step=step, work=work and work.id, status=reply.status)
        except (OSError, asyncio.IncompleteReadError):
            self.note("gone")
        except Exception as error:  # noqa: BLE001  # told to the judge: a fault of this instrument
            self.note("fault", error=repr(error))
        finally:
            writer.close()

    def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[str, Work | None, Reply]:
        step, number = self.place.step_of(method, path)
        work = self.place.work(number)
        self.turns[step] += 1
        began = self.first.setdefault(step, time.monotonic())
        if step == "poll" and work is not None:
            work.polls += 1
        fresh = None
        if step == "submit":
            form = dict(self.case.oddities).get("id", "w{nonce}x{count}")
            number = form.format(nonce=self.case.nonce, count=len(self.place.works))
            work = fresh = new_work(number, read_form(headers.get("content-type", ""), body))
        is_done = work is not None and work.polls > self.case.pace
        exchange = Exchange(
            case=self.case,
            step=step,
            turn=self.turns[step],
            waited=time.monotonic() - began,
            accepts=step == "submit",
            reply=self.place.reply(step, work, number or "", is_done=is_done),
            base=self.place.base,
            files=self.place.files,
            is_done=is_done,
            takes_gzip="gzip" in headers.get("accept-encoding", "gzip"),
        )
        self.note(step, method=method, path=path, turn=exchange.turn, done=is_done)
        for name, value in self.case.oddities:
            if _can_act(ODDITIES[name], exchange):
                ODDITIES[name].act(exchange, value)
        if fresh is not None and exchange.accepts:
            self.place.works.append(fresh)
            self.note("accepted", work=fresh.id, ours=self.case.nonce in fresh.prompt)
        return step, work, exchange.reply

    async def _send(self, writer: asyncio.StreamWriter, reply: Reply, step: str) -> None:
        await asyncio.sleep(reply.delay)
        if reply.drops:
            return
        content = reply.content(self.case.key)
        writer.write(reply.early + reply.head(len(content)))
        if reply.cut is not None:
            content = content[: int(len(content) * reply.cut)]
        pieces = 20 if reply.slow or reply.transfer == "chunked" else 1
        size = max(1, -(-len(content) // pieces))
        for start in range(0, len(content), size):
            piece = content[start : start + size]
            if reply.transfer == "chunked":
                piece = b"%x\r\n%s\r\n" % (len(piece), piece)
            writer.write(piece)
            await writer.drain()
            if reply.slow and start == 0:
                self.note("sending", step=step)
            await asyncio.sleep(reply.slow / pieces)
        if reply.transfer == "chunked":
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    def note(self, what: str, **facts: object) -> None:
        """Write evidence down."""
        with self.evidence.open("a") as file:
            file.write(json.dumps({"at": time.time(), "what": what, **facts}) + "\n")


def _can_act(oddity: Oddity, exchange: Exchange) -> bool:
    """Whether there is still a reply of the documents to be odd about."""
    reply = exchange.reply
    is_lost = not isinstance(reply.data, dict) and exchange.step in ("submit", "poll", "result")
    return oddity.slot not in ("fields", "address") or not (reply.is_replaced or is_lost)


async def serve(control: Path, video: bytes, evidence: Path) -> None:
    """Open and close cases, as the driver says on the control socket."""
    cases: dict[str, Upstream] = {}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = json.loads(await reader.readline())
        answer: dict[str, str] = {}
        if "open" in said:
            case = Case.load(said["open"])
            cases[case.index] = Upstream(case, video, evidence)
            answer = await cases[case.index].open()
        else:
            cases.pop(said["close"]).close()
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(talk, control)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve until the driver ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("control", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("evidence", type=Path)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.control, arguments.video.read_bytes(), arguments.evidence))


if __name__ == "__main__":
    main()
