# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import Credentials, Login, RegistrySettings


def auth(user: str, password: str) -> t.Dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def credentials(path: pathlib.Path, document: t.Any, *settings: RegistrySettings, **environment: str) -> Credentials:
    file = path / "auth.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return Credentials(settings, str(file), environment)


def helper(path: pathlib.Path, name: str, script: str) -> str:
    """A credential helper; gives the PATH to run it with."""
    program = path / f"docker-credential-{name}"
    program.write_text(f'#!/bin/sh\nread server\necho "$1 $server" >> {path}/asked\n{script}\n')
    program.chmod(0o755)
    return f"{path}:/usr/bin:/bin"


HUB = {"https://index.docker.io/v1/": auth("hub", "h")}
LOGINS = [
    ({"auths": {"r.example": auth("a", "b:c")}}, "r.example", "x/y", Login("a", "b:c")),
    ({"auths": {"https://r.example/v2/": auth("a", "b")}}, "r.example", "x", Login("a", "b")),
    ({"auths": {"r.example:5000": auth("a", "b")}}, "r.example", "x", None),
    ({"auths": {"r.example": {"username": "a", "password": "b"}}}, "r.example", "x", Login("a", "b")),
    ({"auths": {"r.example": {}}}, "r.example", "x", None),
    ({"auths": HUB}, "docker.io", "library/x", Login("hub", "h")),
    ({"auths": {"docker.io": auth("hub", "h")}}, "docker.io", "library/x", Login("hub", "h")),
    (
        {"auths": {"r.example": auth("a", "b"), "r.example/team": auth("t", "u")}},
        "r.example",
        "team/x",
        Login("t", "u"),
    ),
    (
        {"auths": {"r.example": auth("a", "b"), "r.example/team": auth("t", "u")}},
        "r.example",
        "teams/x",
        Login("a", "b"),
    ),
    ({"auths": {"r.example": {**auth("a", ""), "identitytoken": "I"}}}, "r.example", "x", Login("a", "", "I")),
    ({}, "r.example", "x", None),
]


@pytest.mark.parametrize(("document", "registry", "repository", "expected"), LOGINS)
def test_login_from_file(
    tmp_path: pathlib.Path, document: t.Any, registry: str, repository: str, expected: t.Optional[Login]
) -> None:
    assert credentials(tmp_path, document).login(registry, repository) == expected


def test_settings_beat_the_file(tmp_path: pathlib.Path) -> None:
    own = RegistrySettings("r.example", username="own", password="p")
    assert credentials(tmp_path, {"auths": {"r.example": auth("a", "b")}}, own).login("r.example") == Login("own", "p")


@pytest.mark.parametrize("section", [{"credHelpers": {"r.example": "mine"}}, {"credsStore": "mine"}])
def test_helper_is_asked_once(tmp_path: pathlib.Path, section: t.Dict[str, t.Any]) -> None:
    path = helper(tmp_path, "mine", """echo '{"ServerURL":"x","Username":"u","Secret":"s"}'""")
    found = credentials(tmp_path, {**section, "auths": {"r.example": auth("a", "b")}}, PATH=path)
    assert [found.login("r.example", name) for name in ("x", "y")] == [Login("u", "s")] * 2
    assert (tmp_path / "asked").read_text() == "get r.example\n"


def test_helper_gives_an_identity_token_and_is_asked_for_the_hub_by_its_old_name(tmp_path: pathlib.Path) -> None:
    path = helper(tmp_path, "mine", """echo '{"Username":"<token>","Secret":"s"}'""")
    found = credentials(tmp_path, {"credHelpers": {"docker.io": "mine"}}, PATH=path)
    assert found.login("docker.io") == Login("", "", "s")
    assert (tmp_path / "asked").read_text() == "get https://index.docker.io/v1/\n"


def test_helper_without_a_login_leaves_it_to_the_file(tmp_path: pathlib.Path) -> None:
    path = helper(tmp_path, "mine", "echo credentials not found in native keychain; exit 1")
    found = credentials(tmp_path, {"credsStore": "mine", "auths": {"r.example": auth("a", "b")}}, PATH=path)
    assert found.login("r.example") == Login("a", "b")
    assert found.login("other.example") is None


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo s3cret; exit 3", "docker-credential-mine: the credential helper failed: it exited with 3. Run `echo"),
        ("echo s3cret", "docker-credential-mine: the credential helper's answer cannot be read. Run `echo"),
    ],
)
def test_helper_that_fails_is_told_without_its_output(tmp_path: pathlib.Path, script: str, told: str) -> None:
    found = credentials(tmp_path, {"credsStore": "mine"}, PATH=helper(tmp_path, "mine", script))
    with pytest.raises(OciError) as caught:
        found.login("r.example")
    assert str(caught.value).startswith(told)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("[]", "this is no login file: it is not a JSON object"),
        ("{", "this is no login file: it is not a JSON object"),
        ('{"auths": []}', None),
        ('{"auths": [1]}', "`auths` is not an object"),
        ('{"auths": {"r.example": {"auth": "%%%"}}}', "the login for r.example cannot be read: `auth` is not base64"),
        ('{"credsStore": "../evil"}', "this is not the name of a credential helper: '../evil'"),
    ],
)
def test_bad_files_are_told(tmp_path: pathlib.Path, document: str, told: t.Optional[str]) -> None:
    found = credentials(tmp_path, document)
    if told is None:
        assert found.login("r.example") is None
        return
    with pytest.raises(OciError) as caught:
        found.login("r.example")
    assert str(caught.value).startswith(f"{tmp_path}/auth.json: {told}")


def test_default_files_in_their_order(tmp_path: pathlib.Path) -> None:
    places = {"env.json": "env", "run/containers/auth.json": "run", "home/.docker/config.json": "home"}
    for place, user in places.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        logins = {
            f"{name}.example": auth(user, "p") for name in ("env", "run", "home")[list(places).index(place) :][:1]
        }
        (tmp_path / place).write_text(json.dumps({"auths": {"all.example": auth(user, "p"), **logins}}))
    environment = {
        "REGISTRY_AUTH_FILE": f"{tmp_path}/env.json",
        "XDG_RUNTIME_DIR": f"{tmp_path}/run",
        "HOME": f"{tmp_path}/home",
    }
    found = Credentials((), None, environment)
    users = [found.login(f"{name}.example") for name in ("all", "env", "run", "home")]
    assert [login.username if login else None for login in users] == ["env", "env", "run", "home"]
    assert Credentials((), None, {"HOME": f"{tmp_path}/none"}).login("all.example") is None


def test_named_file_has_to_be_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OciError, match="the login file cannot be read: No such file"):
        Credentials((), f"{tmp_path}/none", {}).login("r.example")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"host": "https://r.example"}, "registries: https://r.example: this is not the host of a registry"),
        ({"host": "r.example", "username": "u"}, "username and password belong together"),
        ({"host": "r.example", "client_key": "k"}, "a client key without its certificate"),
    ],
)
def test_bad_settings_are_told(values: t.Dict[str, str], told: str) -> None:
    with pytest.raises(OciError) as caught:
        RegistrySettings(**t.cast("t.Dict[str, t.Any]", values))
    assert told in str(caught.value)


def test_settings_out_of_a_module_option_show_no_password() -> None:
    option = {
        "host": "r.example",
        "username": "u",
        "password": "pw-1",
        "ca_path": None,
        "insecure": False,
        "mirrors": ["m"],
    }
    made = RegistrySettings.from_option(option)
    assert made == RegistrySettings("r.example", "u", "pw-1", mirrors=("m",))
    assert "pw-1" not in repr(made) + repr(Login("u", "pw-1", "pw-1"))
