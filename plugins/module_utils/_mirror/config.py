# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mirror's configuration: one JSON file.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import socket
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError, OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config_fields import (
    Fields,
    is_address,
    is_host_pattern,
    is_instance,
    is_registry,
    is_url,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config_upstream import (
    Neighbour,
    UpstreamSettings,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.jsontext import load_object

OFF, CONFIGURED, ANY = POLICIES = ("off", "configured", "any")
DEFAULT_NAME = "registry.sealer.local"

_MOST_WORKERS = 4
_LARGEST = 4 * 1024 * 1024
_LONGEST_TTL = 366 * 24 * 3600.0
_MOST_BYTES = 1 << 62


@dataclass(frozen=True)
class Config:
    """What the mirror serves, where it listens, with what certificate, and whom it asks for what it does not have.

    In paths, environment variables are filled in: ``$CREDENTIALS_DIRECTORY`` is where systemd puts a service's secrets.
    Without certificate and key the mirror speaks plain HTTP, which is for tests and for a proxy on the same host.
    """

    store: str
    listen: t.List[str]
    certificate: str = ""
    key: str = ""
    workers: int = 0
    threads: int = 64
    access_log: bool = True
    name: str = DEFAULT_NAME
    names: t.Tuple[str, ...] = ()
    instance: str = ""
    pull_through: str = OFF
    upstreams: t.Tuple[UpstreamSettings, ...] = ()
    allow: t.Tuple[str, ...] = ()
    deny: t.Tuple[str, ...] = ()
    tag_ttl: float = 300.0
    negative_ttl: float = 15.0
    parents: t.Tuple[Neighbour, ...] = ()
    peers: t.Tuple[Neighbour, ...] = ()
    self_url: str = ""
    cache_size: int = 0
    keep_free: int = 1 << 30
    scrub_days: int = 30
    users_file: str = ""
    anonymous_pull: bool = True
    metrics: bool = True

    @classmethod
    def load(cls, path: str) -> Config:
        """The configuration in this file, checked; raises MirrorError."""
        try:
            with open(path, "rb") as stream:
                value = load_object(stream.read(_LARGEST), "the mirror's configuration")
        except OSError as error:
            why = error.strerror or str(error)
            raise MirrorError("the mirror's configuration cannot be read", where=path, why=why) from error
        except OciError as error:
            raise MirrorError(error.what, where=path, why=error.why) from error
        try:
            return cls.parse(value)
        except MirrorError as error:
            raise MirrorError(error.what, where=path, why=error.why, fix=error.fix) from error

    @classmethod
    def parse(cls, value: t.Any) -> Config:
        """The configuration in this JSON object, checked; raises MirrorError."""
        fields = Fields(value)
        config = _with_upstream_side(_serving_side(fields), fields)
        fields.done()
        return config

    @property
    def worker_count(self) -> int:
        """How many processes serve; as many as processors, but few, when the file leaves it open."""
        return self.workers or min(_MOST_WORKERS, len(os.sched_getaffinity(0)))

    @property
    def own_names(self) -> t.FrozenSet[str]:
        """The registry names that mean this mirror's own content."""
        return frozenset({self.name, *self.names})


def _serving_side(fields: Fields) -> Config:
    config = Config(
        store=fields.path("store", required=True),
        listen=list(fields.texts("listen", is_address, '"address:port"', required=True)),
        certificate=fields.path("certificate"),
        key=fields.path("key"),
        workers=fields.count("workers", 0, 0, 64),
        threads=fields.count("threads", 64, 1, 1024),
        access_log=fields.flag("access_log", True),
        name=fields.text("name", DEFAULT_NAME),
        names=fields.texts("names", is_registry, "registry names"),
        instance=fields.text("instance"),
        cache_size=fields.count("cache_size", 0, 0, _MOST_BYTES),
        keep_free=fields.count("keep_free", 1 << 30, 0, _MOST_BYTES),
        scrub_days=fields.count("scrub_days", 30, 0, 36500),
        users_file=fields.path("users_file"),
        anonymous_pull=fields.flag("anonymous_pull", True),
        metrics=fields.flag("metrics", True),
    )
    fields.together("certificate", "key", (config.certificate, config.key))
    fields.require("name", config.name, is_registry(config.name), "a registry's name")
    fields.require("instance", config.instance, not config.instance or is_instance(config.instance), "a host name")
    if config.instance:
        return config
    return replace(config, instance=f"{_host_name()}:{config.listen[0].rpartition(':')[2]}")


def _with_upstream_side(config: Config, fields: Fields) -> Config:
    config = replace(
        config,
        pull_through=fields.choice("pull_through", OFF, POLICIES),
        upstreams=fields.objects("upstreams", UpstreamSettings.read),
        allow=fields.texts("allow", is_host_pattern, "host patterns"),
        deny=fields.texts("deny", is_host_pattern, "host patterns"),
        tag_ttl=fields.number("tag_ttl", 300.0, _LONGEST_TTL),
        negative_ttl=fields.number("negative_ttl", 15.0, _LONGEST_TTL),
        parents=fields.objects("parents", Neighbour.read),
        peers=fields.objects("peers", Neighbour.read),
        self_url=fields.text("self_url").rstrip("/"),
    )
    fields.require("self_url", config.self_url, not config.self_url or is_url(config.self_url), "the URL of a mirror")
    fields.unique("upstreams", [upstream.name for upstream in config.upstreams])
    fields.unique("parents", [parent.url for parent in config.parents])
    fields.unique("peers", [peer.url for peer in config.peers])
    own = sorted(config.own_names & {upstream.name for upstream in config.upstreams})
    if own:
        raise MirrorError(f"the setting 'upstreams' names {own[0]!r}", why="it is this mirror's own name")
    if config.peers and not config.self_url:
        raise MirrorError("the setting 'peers' needs 'self_url'", why="the peers have to agree on who fetches what")
    return config


def _host_name() -> str:
    name = socket.gethostname()
    return name if is_instance(name) else "mirror"
