"""The body of a call: JSON, multipart or a form; files go to disk as they come.

Clients write the fields of an object in a form as `name[field]`, and a list as `name[]`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser

from media_agent.errors import InvalidRequestError
from media_agent.server.context import ServerContext

_MOST_FILES = 16
_MOST_FIELDS = 200
_DEEPEST = 8
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_STEP = re.compile(r"\[([^\[\]]*)\]")
_JSON_FIELDS = frozenset(
    {"extra_body", "extra_params", "image_reference", "input_reference", "media_agent", "video"}
)
"""Fields whose text in a form may be JSON: only they can be objects."""

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | UploadFile | None"
Fields: TypeAlias = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Body:
    """What was sent; its files are closed with it."""

    fields: Fields
    form: FormData | None = None

    async def aclose(self) -> None:
        """Let the files go."""
        if self.form is not None:
            await self.form.close()


async def read_body(request: Request, server: ServerContext) -> Body:
    """Return the fields of a call.

    Raises:
        InvalidRequestError: it is of another kind, or malformed; how large it may be is checked as
            it comes, on every route.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return Body(_parse_json(await request.body()))
    if kind == "multipart/form-data":
        form = await _read_multipart(request, server.settings.server.max_json_bytes)
    elif kind == "application/x-www-form-urlencoded":
        form = await _parse(FormParser(request.headers, request.stream(), max_fields=_MOST_FIELDS))
    else:
        raise InvalidRequestError(
            f"the body has the type {kind or 'none'!r}",
            hint="send application/json or multipart/form-data",
        )
    try:
        _check_is_form(form)
        return Body(_nest(form), form)
    except InvalidRequestError:
        await form.close()
        raise


def _check_is_form(form: FormData) -> None:
    """Find out JSON that curl sent as a form, as it does unless it is told otherwise.

    Raises:
        InvalidRequestError: it is.
    """
    if next(iter(form), "").lstrip().startswith("{"):
        raise InvalidRequestError(
            "the body is JSON, but its Content-Type is that of a form",
            hint='send the header "Content-Type: application/json"',
        )


async def _read_multipart(request: Request, most_text: int) -> FormData:
    parser = MultiPartParser(
        request.headers,
        request.stream(),
        max_files=_MOST_FILES,
        max_fields=_MOST_FIELDS,
        max_part_size=most_text,
    )
    return await _parse(parser)


async def _parse(parser: MultiPartParser | FormParser) -> FormData:
    try:
        return await parser.parse()
    except (MultiPartException, ValueError, LookupError) as error:
        raise InvalidRequestError(f"the form cannot be read: {error}") from None


def _parse_json(body: bytes) -> Fields:
    try:
        fields = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from None
    if not isinstance(fields, dict):
        raise InvalidRequestError("the body is not a JSON object", hint='such as {"prompt": "..."}')
    return fields


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")


def _nest(form: FormData) -> Fields:
    """Return the fields of a form as the objects and lists that their names stand for.

    Raises:
        InvalidRequestError: a name is malformed, or a field is given in two ways.
    """
    fields: Fields = {}
    for name, value in form.multi_items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise InvalidRequestError(f"the form has a field of the impossible name {name!r:.100}")
        steps = [match[1], *_STEP.findall(match[2])]
        if len(steps) > _DEEPEST:
            raise InvalidRequestError(f"the field {name!r:.100} is nested too deep")
        _put(fields, steps, _decode(match[1], value) if len(steps) == 1 else value, name)
    return fields


def _put(fields: Fields, steps: list[str], value: Value, name: str) -> None:
    here = fields
    is_list = steps[-1] == ""
    *outer, last = steps[:-1] if is_list else steps
    for step in outer:
        inner = here.setdefault(step, {})
        if not isinstance(inner, dict) or step == "":
            raise InvalidRequestError(f"the field {name!r:.100} is given in two ways")
        here = inner
    if last not in here:
        here[last] = [value] if is_list else value
        return
    earlier = here[last]
    here[last] = [*earlier, value] if isinstance(earlier, list) else [earlier, value]


def _decode(name: str, value: str | UploadFile) -> Value:
    """Return the value of a field, read as JSON where it may be an object and looks like one."""
    if name not in _JSON_FIELDS or not isinstance(value, str) or value.lstrip()[:1] not in "[{":
        return value
    try:
        read: Value = json.loads(value, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{name} is not valid JSON: {error}") from None
    return read


def list_uploads(fields: Mapping[str, Value]) -> list[UploadFile]:
    """Return all files within some fields, in order."""
    found: list[UploadFile] = []
    pending: list[Value] = list(fields.values())
    while pending:
        value = pending.pop(0)
        if isinstance(value, UploadFile):
            found.append(value)
        elif isinstance(value, list):
            pending[:0] = value
        elif isinstance(value, dict):
            pending[:0] = list(value.values())
    return found


def digest_of(file: BinaryIO) -> str:
    """Return the digest of a file that is open, from its beginning."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # a spooled one
