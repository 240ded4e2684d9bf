# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of single registries, and logins from settings, login files and credential helpers.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
import threading
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url

__all__ = ["Credentials", "Login", "RegistrySettings"]

_DOCKER_HUB_KEYS = ("docker.io", "index.docker.io", "registry-1.docker.io")
_DOCKER_HUB_SERVER = "https://index.docker.io/v1/"
_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HELPER_TIMEOUT = 60
_MAX_AUTHFILE = 4 * 1024 * 1024


@dataclass(frozen=True)
class RegistrySettings:
    """What is special about one registry.

    ``ca_path`` is trusted besides the system's authorities. ``insecure`` allows unverified TLS, and plain HTTP where no
    TLS is spoken. ``mirrors`` are asked first, in this order; a path after the host goes before the repository.
    """

    host: str
    username: str = ""
    password: str = field(default="", repr=False)
    ca_path: str = ""
    client_cert: str = ""
    client_key: str = ""
    insecure: bool = False
    mirrors: t.Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = f"registries: {self.host}"
        try:
            good = Url.parse(f"https://{self.host}").target == "/" and "/" not in self.host
        except OciError:
            good = False
        if not good:
            raise OciError(
                "this is not the host of a registry", where=where, fix="Give the host alone, with its port if not 443."
            )
        if bool(self.username) != bool(self.password):
            raise OciError("username and password belong together", where=where, fix="Give both or neither.")
        if self.client_key and not self.client_cert:
            raise OciError("a client key without its certificate", where=where, fix="Give `client_cert` too.")

    @classmethod
    def from_option(cls, option: t.Mapping[str, t.Any]) -> RegistrySettings:
        """Settings out of one element of the module option `registries`."""
        given = {name: value for name, value in option.items() if value is not None}
        given["mirrors"] = tuple(given.get("mirrors", ()))
        return cls(**given)


@dataclass(frozen=True)
class Login:
    """A user and password, or an identity token that a token server changes into access tokens."""

    username: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """Value of an Authorization header that says this."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")


class Credentials:
    """Finds the login for a repository: settings first, then the login files. Safe for many threads."""

    def __init__(
        self,
        settings: t.Iterable[RegistrySettings] = (),
        authfile: t.Optional[str] = None,
        environment: t.Optional[t.Mapping[str, str]] = None,
    ) -> None:
        self._logins = {one.host: Login(one.username, one.password) for one in settings if one.username}
        self._environment = os.environ if environment is None else environment
        self._authfile = authfile
        self._lock = threading.Lock()
        self._files: t.Optional[t.List[_LoginFile]] = None
        self._helped: t.Dict[t.Tuple[str, str], t.Optional[Login]] = {}

    @classmethod
    def only(cls, logins: t.Mapping[str, Login]) -> Credentials:
        """These logins of registries, and none that this user has in files."""
        credentials = cls(environment={})
        credentials._logins, credentials._files = dict(logins), []
        return credentials

    def login(self, registry: str, repository: str = "") -> t.Optional[Login]:
        """The login for a repository of a registry; None when there is none, for anonymous access."""
        explicit = self._logins.get(registry)
        if explicit is not None:
            return explicit
        with self._lock:
            if self._files is None:
                self._files = self._read_files()
            for file in self._files:
                helper = file.helper(registry)
                found = self._ask(helper, registry) if helper else None
                found = found or file.login(registry, repository)
                if found is not None:
                    return found
        return None

    def _read_files(self) -> t.List[_LoginFile]:
        if self._authfile:
            return [_LoginFile.read(self._authfile)]
        return [_LoginFile.read(path) for path in _default_authfiles(self._environment) if os.path.isfile(path)]

    def _ask(self, helper: str, registry: str) -> t.Optional[Login]:
        key = (helper, registry)
        if key not in self._helped:
            self._helped[key] = _ask_helper(helper, registry, self._environment)
        return self._helped[key]


def _default_authfiles(environment: t.Mapping[str, str]) -> t.List[str]:
    paths = []
    if environment.get("REGISTRY_AUTH_FILE"):
        paths.append(environment["REGISTRY_AUTH_FILE"])
    if environment.get("XDG_RUNTIME_DIR"):
        paths.append(os.path.join(environment["XDG_RUNTIME_DIR"], "containers", "auth.json"))
    home = environment.get("HOME") or os.path.expanduser("~")
    return [*paths, os.path.join(home, ".docker", "config.json")]


class _LoginFile:
    """A login file as docker, podman and skopeo write it."""

    def __init__(self, path: str, document: t.Mapping[str, t.Any]) -> None:
        self._path = path
        self._auths = self._section(document, "auths")
        self._helpers = self._section(document, "credHelpers")
        self._store = document.get("credsStore") or ""

    @classmethod
    def read(cls, path: str) -> _LoginFile:
        try:
            with open(path, "rb") as file:
                raw = file.read(_MAX_AUTHFILE + 1)
            document = json.loads(raw.decode("utf-8")) if len(raw) <= _MAX_AUTHFILE else None
        except OSError as error:
            raise OciError(
                "the login file cannot be read", where=path, why=str(error.strerror), fix="Check `authfile`."
            ) from error
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise OciError("this is no login file", where=path, why="it is not a JSON object", fix="Log in again.")
        return cls(path, document)

    def _section(self, document: t.Mapping[str, t.Any], name: str) -> t.Dict[str, t.Any]:
        section = document.get(name) or {}
        if not isinstance(section, dict):
            raise OciError(f"`{name}` is not an object", where=self._path, fix="Log in again.")
        return section

    def helper(self, registry: str) -> str:
        """Name of the credential helper in charge of a registry; empty when there is none."""
        for key in _keys(registry):
            if self._helpers.get(key):
                return self._checked_helper(self._helpers[key])
        return self._checked_helper(self._store) if self._store else ""

    def _checked_helper(self, name: t.Any) -> str:
        if not isinstance(name, str) or not _HELPER_NAME.fullmatch(name):
            raise OciError(
                "this is not the name of a credential helper", where=self._path, why=repr(name), fix="Correct it."
            )
        return name

    def login(self, registry: str, repository: str) -> t.Optional[Login]:
        """The login of the longest key that the repository lies under."""
        by_key = {_normalised(key): (key, value) for key, value in self._auths.items()}
        parts = repository.split("/") if repository else []
        for length in range(len(parts), -1, -1):
            for host in _keys(registry):
                found = by_key.get("/".join([host, *parts[:length]]))
                login = self._entry(*found) if found else None
                if login is not None:
                    return login
        return None

    def _entry(self, key: str, value: t.Any) -> t.Optional[Login]:
        entry = value if isinstance(value, dict) else {}
        username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
        if entry.get("auth"):
            try:
                decoded = base64.b64decode(str(entry["auth"]), validate=True).decode("utf-8")
            except (binascii.Error, UnicodeDecodeError, ValueError) as error:
                raise OciError(
                    f"the login for {key} cannot be read",
                    where=self._path,
                    why="`auth` is not base64",
                    fix="Log in again.",
                ) from error
            username, _colon, password = decoded.partition(":")
        password = password.rstrip("\0")
        identity_token = str(entry.get("identitytoken") or "")
        if not identity_token and not (username and password):
            return None
        return Login(username, password, identity_token)


def _normalised(key: str) -> str:
    """A key of `auths` without scheme and without the path of old registry versions."""
    bare = re.sub(r"^https?://", "", key).rstrip("/")
    return re.sub(r"/v[12]$", "", bare)


def _keys(registry: str) -> t.Tuple[str, ...]:
    return _DOCKER_HUB_KEYS if registry in _DOCKER_HUB_KEYS else (registry,)


def _ask_helper(helper: str, registry: str, environment: t.Mapping[str, str]) -> t.Optional[Login]:
    program = f"docker-credential-{helper}"
    server = _DOCKER_HUB_SERVER if registry in _DOCKER_HUB_KEYS else registry
    fix = f"Run `echo {server} | {program} get` by hand."
    try:
        done = subprocess.run(
            [program, "get"],
            input=server.encode(),
            capture_output=True,
            timeout=_HELPER_TIMEOUT,
            check=False,
            env=dict(environment),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OciError(
            "the credential helper cannot be run", where=program, why=type(error).__name__, fix=fix
        ) from error
    if done.returncode != 0:
        if b"not found" in done.stdout.lower() + done.stderr.lower():
            return None
        raise OciError("the credential helper failed", where=program, why=f"it exited with {done.returncode}", fix=fix)
    try:
        answer = json.loads(done.stdout.decode("utf-8"))
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise OciError("the credential helper's answer cannot be read", where=program, fix=fix) from None
    return Login("", "", secret) if username == "<token>" else Login(username, secret)
