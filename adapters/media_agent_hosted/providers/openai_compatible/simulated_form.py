"""Forms as the simulated servers read them, and what they find wrong with them."""

import email
import email.policy
import re
from collections.abc import Mapping
from email.message import MIMEPart
from http import HTTPStatus
from urllib.parse import parse_qsl

from pydantic import JsonValue

from media_agent.testing.simulator.server import Answer, Call

Fields = dict[str, JsonValue]

_NUMBERS: Mapping[str, tuple[float, float]] = {
    "num_inference_steps": (1, 200),
    "guidance_scale": (0, 20),
    "guidance_scale_2": (0, 20),
    "true_cfg_scale": (0, 20),
    "boundary_ratio": (0, 1),
    "num_frames": (1, 1e9),
    "fps": (1e-9, 1e9),
    "seed": (-(2**63), 2**63 - 1),
}  # limits of vLLM-Omni's form


def form_fields(call: Call, *, takes_json: bool) -> Fields:
    """Return the fields of a multipart form, or of a JSON body where it is taken."""
    kind = call.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        head = f"Content-Type: {kind}\r\n\r\n".encode()
        form = email.message_from_bytes(head + call.body, policy=email.policy.HTTP)
        return {_name(part): _value(part) for part in form.iter_parts()}
    if takes_json:
        return call.json()
    if kind.startswith("application/x-www-form-urlencoded"):
        return {**dict(parse_qsl(call.body.decode()))}
    return {}


def sglang_fault(fields: Fields) -> Answer | None:
    """Return SGLang's complaint about a form, None if it takes it."""
    fault = fastvideo_fault(fields)
    if fault is not None:
        return fault
    if "size" in fields and re.fullmatch(r"0*[1-9]\d*x0*[1-9]\d*", str(fields["size"])) is None:
        return Answer(400, {"detail": "size must be formatted as positive WIDTHxHEIGHT"})
    if int(str(fields.get("num_frames", 1))) < 1:
        return Answer(400, {"detail": "num_frames must be positive"})
    return None


def fastvideo_fault(fields: Fields) -> Answer | None:
    """Return FastVideo's complaint about a form; it takes any size and number of frames."""
    if not fields.get("prompt"):
        return Answer(400, {"detail": "prompt is required"})
    for name in ("seconds", "fps", "num_frames", "seed"):
        if name in fields and re.fullmatch(r"-?\d+", str(fields[name])) is None:
            said = "Input should be a valid integer, unable to parse string as an integer"
            return _invalid(name, said, fields[name])
    return None


def vllm_fault(fields: Fields, served: str) -> Answer | None:
    """Return vLLM-Omni's complaint about a form, None if it takes it."""
    if not fields.get("prompt"):
        return _vllm_invalid("prompt", "Field required")
    for name, pattern in (("size", r"\d+x\d+"), ("seconds", r"[1-9]\d*")):
        if name in fields and re.fullmatch(pattern, str(fields[name])) is None:
            return _vllm_invalid(name, f"String should match pattern '^{pattern}$'")
    for name, (least, most) in _NUMBERS.items():
        if name in fields and not _is_within(fields[name], least, most):
            return _vllm_invalid(name, f"Input should be a number from {least:g} to {most:g}")
    model = fields.get("model", served)
    if model != served:
        said = f"Model mismatch: request specifies '{model}' but server is running '{served}'."
        return Answer(400, vllm_error(400, said))
    return None


def vllm_error(status: int, said: str, param: str | None = None) -> Fields:
    """Return an error in the envelope of vLLM's application, which vLLM-Omni is served by."""
    kind = HTTPStatus(status).phrase
    return {"error": {"message": said, "type": kind, "param": param, "code": status}}


def _vllm_invalid(name: str, said: str) -> Answer:
    detail = {"loc": ("body", name), "msg": said}
    return Answer(400, vllm_error(400, f"1 validation error:\n  {detail}", f"body.{name}"))


def _name(part: MIMEPart) -> str:
    return str(part.get_param("name", "", header="content-disposition"))


def _value(part: MIMEPart) -> JsonValue:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    if part.get_filename() is None:
        return content.decode()
    return {
        "name": part.get_filename(),
        "type": part.get_content_type(),
        "size_bytes": len(content),
    }


def _invalid(name: str, said: str, value: JsonValue) -> Answer:
    fault: Fields = {"type": "value_error", "loc": ["body", name], "msg": said, "input": value}
    return Answer(422, {"detail": [fault]})


def _is_within(value: JsonValue, least: float, most: float) -> bool:
    try:
        return least <= float(str(value)) <= most
    except ValueError:
        return False
