"""What of our environment a program of the user's gets: what programs need, and no secret; pure."""

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated

from pydantic import Field

from media_agent.concealing import is_telling, looks_like_a_key

VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", examples=["MY_KEY"])]

_NAMES = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TMP", "TEMP", "TZ", "TERM"}
    | {"LANG", "LANGUAGE", "DISPLAY", "WAYLAND_DISPLAY"}
    | {"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONUNBUFFERED"}
    | {"VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}
    | {"HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "TORCH_HOME"}
)
_BEGINNINGS = ("LC_", "XDG_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "OMP_", "MKL_")


def build_environment(
    environment: Mapping[str, str], *, named: Iterable[str] = (), keys: Collection[str] = ()
) -> dict[str, str]:
    """Return the variables for a program: harmless ones, and those that its section names.

    `keys` are the variables that the settings name as keys: none of them goes along unnamed.
    """
    wanted = set(named)
    return {
        name: value
        for name, value in environment.items()
        if name in wanted or (_is_harmless(name, value) and name not in keys)
    }


def find_secrets(variables: Mapping[str, str], named: Iterable[str]) -> list[str]:
    """Return the values of the named variables that are secrets by their name or their look."""
    return [
        variables[name]
        for name in named
        if name in variables and (is_telling(name) or looks_like_a_key(variables[name]))
    ]


def _is_harmless(name: str, value: str) -> bool:
    is_usual = name in _NAMES or name.startswith(_BEGINNINGS)
    return is_usual and not is_telling(name) and not looks_like_a_key(value)
