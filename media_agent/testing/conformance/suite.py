"""All promises of a backend as two classes of tests."""

import pytest

from media_agent.backend.protocol import VideoBackend
from media_agent.errors import InvalidRequestError
from media_agent.testing.conformance.base_contract import RequestFactory
from media_agent.testing.conformance.doubt_contract import DoubtContract
from media_agent.testing.conformance.no_io import no_io
from media_agent.testing.conformance.secrecy_contract import SecrecyContract
from media_agent.testing.conformance.steering_contract import SteeringContract
from media_agent.testing.conformance.video_contract import VideoContract
from media_agent.testing.conformance.wire_contract import WireContract
from media_agent.testing.conformance.work_contract import WorkContract
from media_agent_schemas.capabilities import Capabilities


class BackendConformance(WorkContract, VideoContract, SteeringContract):
    """Everything that a backend promises; the tests here are about what it declares."""

    async def test_it_is_called_what_its_capabilities_say(
        self, backend: VideoBackend, capabilities: Capabilities
    ) -> None:
        """The name in the registry, in the capabilities and in references is one name."""
        assert capabilities.backend == backend.name

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

    async def test_limits_in_frames_can_be_reached_and_not_passed(
        self, capabilities: Capabilities, request_factory: RequestFactory
    ) -> None:
        """Its own frame rule allows a number between the fewest and the most, at any rate."""
        least, most = capabilities.min_frames or 1, capabilities.max_frames
        if most is None:
            pytest.skip("it names no most frames")
        rates = {capabilities.default_fps, *capabilities.fps_values[:2]} - {None}

        for fps in rates or {None}:
            planned = [
                request_factory(num_frames=each, fps=fps).num_frames for each in (least, most)
            ]
            assert all(frames is not None and least <= frames <= most for frames in planned), (
                planned
            )

    async def test_its_verification_is_declared(self, capabilities: Capabilities) -> None:
        """Live says when; anything else says what was checked."""
        verification = capabilities.verification

        assert verification.date is not None or verification.level != "live"

    async def test_one_that_asks_a_service_is_tested_with_its_faults(
        self, capabilities: Capabilities
    ) -> None:
        """What is paid for elsewhere needs more tests than what is computed here."""
        assert capabilities.resubmits or isinstance(self, ServiceConformance), (
            "declare resubmits if nothing is paid, or inherit ServiceConformance"
        )


class ServiceConformance(BackendConformance, WireContract, SecrecyContract, DoubtContract):
    """Everything that a backend promises which asks a service."""
