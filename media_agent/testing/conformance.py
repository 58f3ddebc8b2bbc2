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

_GROUPS = ("doubt", "film", "steering", "wire", "work")
pytest.register_assert_rewrite(
    "media_agent.testing.contract", *(f"media_agent.testing.{name}_contract" for name in _GROUPS)
)

from media_agent.backend.protocol import VideoBackend  # noqa: E402  # after the line above, or in vain
from media_agent.errors import InvalidRequestError  # noqa: E402
from media_agent.testing.contract import MakeBackend, RequestFactory  # noqa: E402
from media_agent.testing.doubt_contract import DoubtContract  # noqa: E402
from media_agent.testing.film_contract import FilmContract  # noqa: E402
from media_agent.testing.no_io import no_io  # noqa: E402
from media_agent.testing.steering_contract import SteeringContract  # noqa: E402
from media_agent.testing.wire_contract import Faults, WireContract  # noqa: E402
from media_agent.testing.work_contract import WorkContract  # noqa: E402
from media_agent_schemas.capabilities import Capabilities  # noqa: E402

__all__ = [
    "BackendConformance",
    "Faults",
    "MakeBackend",
    "RequestFactory",
    "ServiceConformance",
]


class BackendConformance(WorkContract, FilmContract, SteeringContract):
    """Everything that a backend promises; the tests here are about what it says of itself."""

    async def test_it_is_called_what_its_capabilities_say(
        self, backend: VideoBackend, limits: Capabilities
    ) -> None:
        """The name in the registry, in the capabilities and in references is one name."""
        assert limits.backend == backend.name

    async def test_every_model_that_it_lists_can_be_asked_for(self, backend: VideoBackend) -> None:
        """Each is known by its name, and the default comes first."""
        default = backend.capabilities()

        listed = [backend.capabilities(model).model for model in default.models]

        assert listed == list(default.models)
        assert not listed or listed[0] == default.model

    async def test_an_unknown_model_is_refused_by_its_name_or_taken_as_it_is(
        self, backend: VideoBackend
    ) -> None:
        """Never does another model answer in its place."""
        try:
            answer = backend.capabilities("no-such-model").model
        except InvalidRequestError as error:
            answer = error.message

        assert "no-such-model" in answer

    async def test_capabilities_and_estimates_are_data_and_ask_nobody(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """They open no file and no connection, and say the same when asked again."""
        request = request_factory()

        with no_io("capabilities"):
            said = [backend.capabilities(self.model) for _ in range(2)]
        with no_io("estimate"):
            guessed = [backend.estimate(request) for _ in range(2)]

        assert said[0] == said[1]
        assert guessed[0] == guessed[1]
        assert Capabilities.model_validate_json(said[0].model_dump_json()) == said[0]

    async def test_its_verification_is_declared(self, limits: Capabilities) -> None:
        """Live says when; anything else says what was checked."""
        verification = limits.verification

        assert verification.date is not None or verification.level != "live"

    async def test_one_that_asks_a_service_is_tested_with_its_faults(
        self, limits: Capabilities
    ) -> None:
        """What is paid for elsewhere needs more tests than what is computed here."""
        assert limits.resubmits or isinstance(self, ServiceConformance), (
            "declare resubmits if nothing is paid, or inherit ServiceConformance"
        )


class ServiceConformance(BackendConformance, WireContract, DoubtContract):
    """Everything that a backend promises which asks a service."""
