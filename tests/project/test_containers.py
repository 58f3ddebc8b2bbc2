"""What the images, the compose file and the conda environment name exists in the project."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from media_agent.cli.app import build_app
from media_agent.config.settings import Settings
from media_agent.config.sources import PREFIX

ROOT = Path(__file__).resolve().parents[2]
CONTAINERS = ROOT / "containers"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DOCKERFILE = (CONTAINERS / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((CONTAINERS / "compose.yaml").read_text(encoding="utf-8"))
CONDA: dict[str, Any] = yaml.safe_load((CONTAINERS / "environment.yml").read_text(encoding="utf-8"))


def extras_of_the_image() -> set[str]:
    (named,) = re.findall(r"^ARG EXTRAS=(\S+)$", DOCKERFILE, flags=re.MULTILINE)
    return set(named.split(","))


def test_the_image_installs_extras_that_exist() -> None:
    extras = PROJECT["project"]["optional-dependencies"]

    assert extras_of_the_image() <= set(extras)


def test_conda_installs_the_same_extras_as_the_image() -> None:
    (pip,) = (each["pip"] for each in CONDA["dependencies"] if isinstance(each, dict))
    (named,) = re.findall(r"^--editable \.\.\[(.+)\]$", "\n".join(pip), flags=re.MULTILINE)

    assert set(named.split(",")) == extras_of_the_image()


def test_the_image_copies_all_that_the_wheel_is_built_from() -> None:
    copied = set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, flags=re.MULTILINE))
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

    assert copied == {Path(package).parts[0] for package in packages}


def test_the_builder_is_sent_what_the_image_copies() -> None:
    sent = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), flags=re.MULTILINE))
    copied = {
        name
        for names in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
        for name in names.split()
    }

    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize("service", sorted(set(COMPOSE["services"]) - {"postgres"}))
def test_the_compose_file_sets_what_is_a_setting(service: str) -> None:
    for variable in COMPOSE["services"][service]["environment"]:
        section, *names = variable.removeprefix(PREFIX).lower().split("__")
        field = Settings.model_fields[section]
        for name in names:
            assert field.annotation is not None
            field = field.annotation.model_fields[name]


@pytest.mark.parametrize("service", sorted(set(COMPOSE["services"]) - {"postgres"}))
def test_the_compose_file_starts_what_the_command_line_takes(service: str) -> None:
    (default,) = re.findall(
        r"^CMD (\[.+\])$", DOCKERFILE.split("ENTRYPOINT")[1], flags=re.MULTILINE
    )
    words = COMPOSE["services"][service].get("command", json.loads(default))
    words = [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", word) for word in words]

    command, _, _ = build_app().parse_args(words, exit_on_error=False, print_error=False)

    assert command.__name__ == words[0]


def test_no_password_stands_in_the_compose_file() -> None:
    said = (CONTAINERS / "compose.yaml").read_text(encoding="utf-8")
    said = re.sub(r"^#.*$", "", said, flags=re.MULTILINE)

    assert said.count("PASSWORD") == 3  # the name of a variable, and where it is put in, twice
    assert said.count("${POSTGRES_PASSWORD:?") == 2
