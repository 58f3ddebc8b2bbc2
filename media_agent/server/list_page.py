"""A page of a list in the shape of OpenAI's API: its ends, and whether there is more."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel


def answer_page(shown: Sequence[BaseModel | Mapping[str, Any]], *, has_more: bool) -> JSONResponse:
    """Return a page of what has an `id`; pass its `last_id` as `after` for the next one."""
    data = [each.model_dump(mode="json") if isinstance(each, BaseModel) else each for each in shown]
    return JSONResponse(
        {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
            "has_more": has_more,
        }
    )
