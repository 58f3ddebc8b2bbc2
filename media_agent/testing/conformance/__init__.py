"""The contract of a backend as named tests: inherit the class, give it a backend, run pytest.

    class TestAcme(BackendConformance):
        @pytest.fixture
        def make_backend(self, tmp_path: Path) -> MakeBackend:
            return lambda: AcmeBackend(BackendSettings(data_dir=tmp_path))

What a backend does not declare is not asked of it: such a test is skipped and says why. One that
asks a service inherits `ServiceConformance`, which also wants a simulator of that service. A test
that cannot be passed is overridden with `pytest.mark.xfail(reason=...)`, never left out.
"""

import pytest

_GROUPS = ("base", "doubt", "secrecy", "steering", "video", "wire", "work")
pytest.register_assert_rewrite(*(f"{__name__}.{group}_contract" for group in _GROUPS))

from media_agent.testing.conformance.base_contract import MakeBackend, RequestFactory  # noqa: E402
from media_agent.testing.conformance.suite import (  # noqa: E402  # it must follow the line above
    BackendConformance,
    ServiceConformance,
)
from media_agent.testing.conformance.wire_contract import Faults  # noqa: E402

__all__ = [
    "BackendConformance",
    "Faults",
    "MakeBackend",
    "RequestFactory",
    "ServiceConformance",
]
