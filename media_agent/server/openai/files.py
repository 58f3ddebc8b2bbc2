"""The routes of /v1/files: inputs that are sent once and used in several calls."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from media_agent.errors import InvalidRequestError
from media_agent.ledger.serving.uploads import Upload
from media_agent.server.context import CallerHere, Server
from media_agent.server.file_response import answer_file
from media_agent.server.list_page import answer_page
from media_agent.server.openai.body import read_body
from media_agent.server.openai.create_fields import NewFile
from media_agent.server.openai.inputs.file_store import (
    StoredFile,
    find_file,
    remove_file,
    store_file,
)
from media_agent.server.openai.wire import File, FileDeleted, FileDetails, FileList
from media_agent.server.operation.openapi import new_router
from media_agent.validation import in_words

router = new_router("files")

FileId = Annotated[str, Path(description="The id of a file, as it was answered.", max_length=100)]
_LISTED = 1000


@router.post("/v1/files", response_model=File)
async def create(request: Request, server: Server, caller: CallerHere) -> JSONResponse:
    """Keep a file, to be given as `file_id` in calls."""
    body = await read_body(request, server)
    try:
        file, said = _read(body.fields)
        expires = said.expires_after
        upload = await store_file(
            server,
            caller,
            file.file,
            filename=file.filename or "file",
            purpose=said.purpose,
            expires_after=None if expires is None else timedelta(seconds=expires.seconds),
        )
    finally:
        await body.aclose()
    return _answer(upload)


@router.get("/v1/files", response_model=FileList)
async def list_files(
    server: Server,
    caller: CallerHere,
    purpose: Annotated[str | None, Query(description="Only these.")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Files of a page.")] = _LISTED,
    after: Annotated[str | None, Query(description="The last one of the page before.")] = None,
    order: Annotated[Literal["asc", "desc"], Query(description="By time.")] = "desc",
) -> JSONResponse:
    """List the files of the caller."""
    found = await server.host.read(
        lambda ledger: ledger.uploads.list(
            caller=caller.only,
            purpose=purpose,
            after=after,
            limit=limit + 1,
            oldest_first=order == "asc",
        )
    )
    page = [view_file(each) for each in found[:limit]]
    return answer_page(page, has_more=len(found) > limit)


@router.get("/v1/files/{file_id}", response_model=File)
async def retrieve(file_id: FileId, server: Server, caller: CallerHere) -> JSONResponse:
    """Return what is known of a file."""
    return _answer((await find_file(server, caller, file_id)).facts)


@router.delete("/v1/files/{file_id}", response_model=FileDeleted)
async def delete(file_id: FileId, server: Server, caller: CallerHere) -> JSONResponse:
    """Delete a file; videos that were made with it stay as they are."""
    await remove_file(server, caller, file_id)
    return JSONResponse(FileDeleted(id=file_id).model_dump(mode="json"))


@router.get(
    "/v1/files/{file_id}/content",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {}}, "description": "The bytes as sent."},
        206: {"description": "The parts that Range names."},
        304: {"description": "It is the file that If-None-Match names."},
        416: {"description": "The file has no such part."},
    },
)
async def get_content(
    file_id: FileId, server: Server, caller: CallerHere, request: Request
) -> Response:
    """Return the bytes of a file."""
    found: StoredFile = await find_file(server, caller, file_id)
    kind = "application/octet-stream"
    return await answer_file(request, found.path, file_id, found.facts.sha256, media_type=kind)


def view_file(upload: Upload) -> File:
    """Return what a client of OpenAI's API sees of a file."""
    over = upload.expires_at
    return File(
        id=upload.id,
        bytes=upload.size_bytes,
        created_at=int(upload.created_at.timestamp()),
        expires_at=None if over is None else int(over.timestamp()),
        filename=upload.filename,
        purpose=upload.purpose,
        media_agent=FileDetails(sha256=upload.sha256),
    )


def _answer(upload: Upload) -> JSONResponse:
    return JSONResponse(view_file(upload).model_dump(mode="json"))


def _read(fields: Mapping[str, Any]) -> tuple[UploadFile, NewFile]:
    given = dict(fields)
    file = given.pop("file", None)
    if not isinstance(file, UploadFile):
        raise InvalidRequestError(
            "there is no file in the call", hint="send multipart/form-data with a part named file"
        )
    try:
        return file, NewFile.model_validate(given)
    except ValidationError as error:
        raise InvalidRequestError(in_words(error, NewFile)) from None
