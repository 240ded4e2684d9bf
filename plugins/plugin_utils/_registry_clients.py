# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What container engines have to be told so that they take images from mirrors: settings, and the files of each engine.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import base64
import json
import re
import typing as t
from dataclasses import dataclass, field

import yaml
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

CONTAINERD_HOSTS = "/etc/containerd/certs.d"
K0S_HOSTS = "/etc/k0s/certs.d"
DOCKER_CONFIG = "/etc/docker/daemon.json"
CONTAINERS_LOGINS = "/root/.config/containers/auth.json"
CRIO_LOGINS = "/etc/crio/sealer-auth.json"
HUB = "docker.io"
EDIT = "# Written by sealer.cluster: change its variables instead."

File = dict[str, t.Any]

_HOST = r"(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_PLACE = re.compile(rf"(?P<url>(?:https?://)?{_HOST})(?:/(?P<path>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*))?/?")
_REGISTRY = re.compile(_HOST)
_PLUGINS = {2: '"io.containerd.grpc.v1.cri"', 3: '"io.containerd.cri.v1.images"'}
_OPTIONS = frozenset(
    {
        "mirrors",
        "registries",
        "path_registries",
        "airgap",
        "ca_certificate",
        "ca_path",
        "username",
        "password",
        "dial_timeout",
        "k0s_config_version",
    }
)


@dataclass(frozen=True)
class Place:
    """Where images are: a server, and what stands in front of their repositories there."""

    url: str
    path: str = ""

    @classmethod
    def parse(cls, text: t.Any, where: str) -> Place:
        """A place written as ``[https://]HOST[:PORT][/PATH]``."""
        found = _PLACE.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ClusterError(
                f"{text!r} is not where a registry is", where=where, fix="Write it as [https://]HOST[:PORT][/PATH]."
            )
        url = found["url"] if "://" in found["url"] else f"https://{found['url']}"
        return cls(url, found["path"] or "")

    @property
    def host(self) -> str:
        """Host and port."""
        return self.url.partition("://")[2]

    @property
    def plain(self) -> bool:
        """Whether it is spoken to without TLS."""
        return self.url.startswith("http:")

    def below(self, *parts: str) -> Place:
        """The place with these further down the path."""
        return Place(self.url, "/".join(part for part in (self.path, *parts) if part))

    @property
    def name(self) -> str:
        """Host and path, as images' names begin there."""
        return "/".join(part for part in (self.host, self.path) if part)


@dataclass(frozen=True)
class Settings:
    """Which mirrors have the images of all registries, and which registries have places of their own."""

    mirrors: tuple[Place, ...]
    registries: t.Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    path_registries: tuple[str, ...] = ()
    airgap: bool = True
    ca_certificate: str = ""
    ca_path: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    dial_timeout: str = ""
    k0s_config_version: int = 3

    @classmethod
    def parse(cls, given: t.Any) -> Settings:
        """The settings out of a mapping."""
        if not isinstance(given, t.Mapping) or set(given) - _OPTIONS:
            unknown = sorted(set(given) - _OPTIONS) if isinstance(given, t.Mapping) else given
            raise ClusterError(f"these are no settings of registry clients: {unknown!r}")
        mirrors = tuple(Place.parse(one, "mirrors") for one in given.get("mirrors") or [])
        registries = {str(name): _places(name, value) for name, value in (given.get("registries") or {}).items()}
        if not mirrors and not registries:
            raise ClusterError("there is nowhere to take images from", why="neither mirrors nor registries are given")
        if bool(given.get("username")) != bool(given.get("password")):
            raise ClusterError("username and password belong together", fix="Give both or neither.")
        for name in (*registries, *(given.get("path_registries") or [])):
            if _REGISTRY.fullmatch(str(name)) is None:
                raise ClusterError(f"{name!r} is not the name of a registry", fix="Write its host, with a port if any.")
        version = int(given.get("k0s_config_version") or 3)
        if version not in _PLUGINS:
            raise ClusterError(f"containerd's configuration has no version {version}", fix="Give 2 or 3.")
        texts = {
            name: str(given.get(name) or "")
            for name in ("ca_certificate", "ca_path", "username", "password", "dial_timeout")
        }
        return cls(
            mirrors=mirrors,
            registries=dict(sorted(registries.items())),
            path_registries=tuple(map(str, given.get("path_registries") or [])),
            airgap=bool(given.get("airgap", True)),
            k0s_config_version=version,
            **texts,
        )

    @property
    def hosts(self) -> dict[str, Place]:
        """All servers, each once, by host and port."""
        places = [*self.mirrors, *(place for places in self.registries.values() for place in places)]
        return {place.host: Place(place.url) for place in places}

    @property
    def login(self) -> str:
        """User and password as HTTP wants them; empty without."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode() if self.username else ""


@dataclass(frozen=True)
class Existing:
    """A file that is not only ours, as it is now."""

    content: str = field(default="", repr=False)
    mode: str = "0644"

    @classmethod
    def of(cls, existing: t.Mapping[str, t.Any], path: str, mode: str = "0644") -> Existing:
        """The file of this path; an empty one where there is none."""
        found = existing.get(path) or {}
        return cls(str(found.get("content") or ""), str(found.get("mode") or mode))

    @property
    def secret(self) -> bool:
        """Whether it is kept from others."""
        return not int(self.mode, 8) & 0o077


def hosts_files(settings: Settings, directory: str = CONTAINERD_HOSTS) -> list[File]:
    """containerd's hosts.toml for registries with places of their own, and the one for all others; with the CA."""
    files = [
        _file(f"{directory}/{name}/hosts.toml", _hosts_toml(settings, places, prefixed=True), settings.login)
        for name, places in settings.registries.items()
    ]
    if settings.mirrors:
        content = _hosts_toml(settings, settings.mirrors, prefixed=False)
        files.append(_file(f"{directory}/_default/hosts.toml", content, settings.login))
    elif settings.airgap:
        # Nothing is there: a registry that has no place of its own is not asked, and none answers in its name.
        nowhere = next(iter(settings.registries.values()))[0].below("not-mirrored")
        content = _hosts_toml(settings, (nowhere,), prefixed=True)
        files.append(_file(f"{directory}/_default/hosts.toml", content, settings.login))
    return [*files, *_ca_files(settings)]


def containers_files(settings: Settings, existing: t.Mapping[str, t.Any]) -> list[File]:
    """What podman, buildah and skopeo read."""
    files = _registries_conf(settings)
    if settings.login:
        before = Existing.of(existing, CONTAINERS_LOGINS, "0600")
        files.append(_file(CONTAINERS_LOGINS, _logins(settings, before.content), settings.login))
    return files


def crio_files(settings: Settings) -> list[File]:
    """What CRI-O reads."""
    files = _registries_conf(settings)
    if settings.login:
        files.append(_file(CRIO_LOGINS, _logins(settings, ""), settings.login))
        drop_in = f"{EDIT}\n[crio.image]\nglobal_auth_file = {_quoted(CRIO_LOGINS)}\n"
        files.append(_file("/etc/crio/crio.conf.d/50-sealer-registry.conf", drop_in))
    return files


def docker_files(settings: Settings, existing: t.Mapping[str, t.Any]) -> list[File]:
    """What dockerd reads: it knows mirrors of Docker Hub only."""
    places = settings.registries.get(HUB, settings.mirrors)
    if settings.login:
        raise ClusterError(
            "dockerd cannot log in at a mirror",
            fix="Let the mirror answer without login, or leave docker out and log in with `docker login`.",
        )
    if not places or any(place.path for place in places):
        raise ClusterError(
            "dockerd has no mirror that it can use",
            why="its mirrors are for docker.io alone and have no path"
            + (f", and this one has: {places[0].name}" if places else ""),
            fix="Leave docker out.",
        )
    before = Existing.of(existing, DOCKER_CONFIG)
    document = {**_json_object(before.content, DOCKER_CONFIG), "registry-mirrors": [place.url for place in places]}
    content = json.dumps(document, indent=4) + "\n"
    files = [{"path": DOCKER_CONFIG, "content": content, "mode": before.mode, "sensitive": before.secret}]
    if settings.ca_certificate:
        files += [_file(f"/etc/docker/certs.d/{place.host}/ca.crt", settings.ca_certificate) for place in places]
    return files


def k3s_files(settings: Settings) -> list[File]:
    """What k3s reads when it starts."""
    mirrors: dict[str, t.Any] = {}
    for name, places in settings.registries.items():
        mirrors[name] = {"endpoint": [place.url for place in places]}
        paths = {place.path for place in places}
        if len(paths) > 1:
            raise ClusterError(f"the places of {name} have several paths", why="k3s knows one for all of them")
        if paths != {""}:
            mirrors[name]["rewrite"] = {"^(.*)$": f"{places[0].path}/$1"}
    if settings.mirrors:
        mirrors["*"] = {"endpoint": [place.url for place in settings.mirrors]}
    configs = {host: _k3s_config(settings) for host in settings.hosts}
    document: dict[str, t.Any] = {"mirrors": mirrors}
    if any(configs.values()):
        document["configs"] = configs
    files = [_file("/etc/rancher/k3s/registries.yaml", _yaml(document), settings.login)]
    if settings.airgap:
        files.append(
            _file(
                "/etc/rancher/k3s/config.yaml.d/50-sealer-registry.yaml",
                _yaml({"disable-default-registry-endpoint": True}),
            )
        )
    return [*files, *_ca_files(settings)]


def k0s_files(settings: Settings) -> list[File]:
    """What k0s hands on to its containerd."""
    table = f"[plugins.{_PLUGINS[settings.k0s_config_version]}.registry]"
    content = f"{EDIT}\nversion = {settings.k0s_config_version}\n\n{table}\nconfig_path = {_quoted(K0S_HOSTS)}\n"
    return [_file("/etc/k0s/containerd.d/sealer-registry.toml", content), *hosts_files(settings, K0S_HOSTS)]


def _places(name: t.Any, value: t.Any) -> tuple[Place, ...]:
    values = [value] if isinstance(value, str) else value
    if not values or not isinstance(values, list):
        raise ClusterError(
            f"clients cannot be sent where the images of {name} are",
            where=f"registries: {name}",
            why="there is no one name in front of all its repositories",
            fix="Let rules put something in front of repositories and change nothing else.",
        )
    return tuple(Place.parse(one, f"registries: {name}") for one in values)


def _hosts_toml(settings: Settings, places: t.Sequence[Place], *, prefixed: bool) -> str:
    hosts = [place.url + (f"/v2/{place.path}" if prefixed and place.path else "") for place in places]
    lines = [EDIT]
    if settings.airgap:
        lines += ["# The last resort is a mirror as well, so nobody else is asked.", f"server = {_quoted(hosts[0])}"]
        lines += _host_lines(settings, places[0], prefixed)
        lines += ["", "[header]", _authorization(settings)] if settings.login else []
    for host, place in zip(hosts, places, strict=True):
        lines += ["", f"[host.{_quoted(host)}]", *_host_lines(settings, place, prefixed)]
        lines += ["", f"[host.{_quoted(host)}.header]", _authorization(settings)] if settings.login else []
    return "\n".join([*lines, ""])


def _host_lines(settings: Settings, place: Place, prefixed: bool) -> list[str]:
    lines = ['capabilities = ["pull", "resolve"]']
    if settings.ca_certificate and not place.plain:
        lines.append(f"ca = {_quoted(settings.ca_path)}")
    if prefixed and place.path:
        lines.append("override_path = true")
    if settings.dial_timeout:
        lines.append(f"dial_timeout = {_quoted(settings.dial_timeout)}")
    return lines


def _authorization(settings: Settings) -> str:
    return f"Authorization = {_quoted('Basic ' + settings.login)}"


def _registries_conf(settings: Settings) -> list[File]:
    """registries.conf.d and certs.d: registries one by one, since a mirror of all has no place there."""
    places = {
        **{name: tuple(place.below(name) for place in settings.mirrors) for name in settings.path_registries},
        **settings.registries,
    }
    lines = [EDIT]
    for name, own in sorted(places.items()):
        if not own:
            continue
        if name not in settings.registries and ":" in name:
            raise ClusterError(
                f"{name} cannot be mirrored for podman, buildah, skopeo and CRI-O",
                why="its port cannot stand in the path of another registry's name",
                fix="Leave it out of path_registries.",
            )
        mirrors, last = (own[:-1], own[-1]) if settings.airgap else (own, Place(f"https://{name}"))
        lines += ["", "[[registry]]", f"prefix = {_quoted(name)}", *_location(last)]
        for mirror in mirrors:
            lines += ["", "[[registry.mirror]]", *_location(mirror)]
    files = [_file("/etc/containers/registries.conf.d/50-sealer.conf", "\n".join([*lines, ""]))]
    if settings.ca_certificate:
        files += [_file(f"/etc/containers/certs.d/{host}/ca.crt", settings.ca_certificate) for host in settings.hosts]
    return files


def _location(place: Place) -> list[str]:
    return [f"location = {_quoted(place.name)}", *(["insecure = true"] if place.plain else [])]


def _logins(settings: Settings, before: str) -> str:
    document = _json_object(before, CONTAINERS_LOGINS)
    logins = {**(document.get("auths") or {}), **{host: {"auth": settings.login} for host in settings.hosts}}
    return json.dumps({**document, "auths": logins}, indent=4) + "\n"


def _k3s_config(settings: Settings) -> dict[str, t.Any]:
    config: dict[str, t.Any] = {}
    if settings.login:
        config["auth"] = {"username": settings.username, "password": settings.password}
    if settings.ca_certificate:
        config["tls"] = {"ca_file": settings.ca_path}
    return config


def _ca_files(settings: Settings) -> list[File]:
    return [_file(settings.ca_path, settings.ca_certificate)] if settings.ca_certificate else []


def _json_object(text: str, path: str) -> dict[str, t.Any]:
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise ClusterError("the file is not JSON", where=path, why=str(error), fix="Mend it first.") from error
    if not isinstance(found, dict):
        raise ClusterError("the file is not a JSON object", where=path, fix="Mend it first.")
    return found


def _yaml(document: t.Any) -> str:
    return f"{EDIT}\n{yaml.safe_dump(document, sort_keys=True, default_flow_style=False)}"


def _quoted(text: str) -> str:
    """A string of TOML, which JSON's are, too."""
    return json.dumps(text, ensure_ascii=False)


def _file(path: str, content: str, secret: str = "") -> File:
    mode = "0600" if secret else "0644"
    return {"path": path, "content": content, "mode": mode, "sensitive": bool(secret)}
