"""Writes docs/reference/wire-equality.md from the recordings of SDKs (`make snapshots`).

Only what stands between two marks is written; the words around it are a person's.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "wire-equality.md"
WIRE = ROOT / "tests" / "hosted" / "wire"
START = "<!-- from here: tools/wire_page.py -->\n"
END = "<!-- to here -->\n"
_ONLY = {"ours": "only media-agent sends it", "sdk": "only the SDK sends it"}


def wire_page(page: str) -> str:
    """Return the page with its tables current."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise SystemExit(f"{PAGE.name} lacks the marks {START!r} and {END!r}")
    return "".join((before, START, "\n".join(_tables()), "\n", END, after))


def _tables() -> Iterator[str]:
    rules = yaml.safe_load((WIRE / "differences.yaml").read_text("utf-8"))
    recordings = sorted((WIRE / "recordings").glob("*.json"))
    read = {path.stem: json.loads(path.read_text("utf-8")) for path in recordings}
    yield "| backend | SDK | compared | differences |"
    yield "| --- | --- | --- | --- |"
    for name, said in read.items():
        asked = [each["kind"] for each in said["intents"]]
        kinds = ", ".join(dict.fromkeys(asked + (["poll", "result"] if said["waits"] else [])))
        count = len(rules["differences"].get(name, ()))
        sdk = f"`{said['sdk']}` {said['version']}"
        yield f"| `{said['provider']}` | {sdk} | {kinds} | {count or 'none'} |"
    yield "\n## Differences\n"
    yield "| backend | where | difference | why |"
    yield "| --- | --- | --- | --- |"
    for name, said in read.items():
        for rule in rules["differences"].get(name, ()):
            yield f"| `{said['provider']}` | {_place(rule)} | {_kind(rule)} | {rule['why']} |"
    yield "\n## Headers that are not compared\n"
    yield "| header | why |"
    yield "| --- | --- |"
    for header, why in rules["headers_left_out"].items():
        yield f"| `{header}` | {why} |"


def _place(rule: Mapping[str, Any]) -> str:
    call, _, place = rule["place"].partition(" ")
    where = f"`{place}` of `{call}`" if place else f"the call `{call}`"
    return f"{where} ({', '.join(rule['intents'])})" if "intents" in rule else where


def _kind(rule: Mapping[str, Any]) -> str:
    if rule.get("only") is not None:
        return _ONLY[rule["only"]]
    sdk, ours = (json.dumps(rule[name]) if name in rule else "a value" for name in ("sdk", "ours"))
    return f"SDK: `{sdk}`; media-agent: `{ours}`"


def main() -> None:
    """Write the page."""
    PAGE.write_text(wire_page(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
