# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections to registries: one pool a host, with that host's authorities and client certificate.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import ssl
import threading
import typing as t
import urllib.request

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.dialing import Guard, pool_classes
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import HAS_URLLIB3
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url, split_login

if HAS_URLLIB3:
    import urllib3

__all__ = ["Pools", "TlsContexts"]

_MANY_HOSTS = 128

_Key = t.Tuple[str, str, str, bool, t.Optional[str]]


class TlsContexts:
    """Contexts by what they trust and show, each made once: the system's authorities take a megabyte in each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contexts: t.Dict[t.Tuple[str, str, str, bool], ssl.SSLContext] = {}

    def of(self, settings: RegistrySettings, *, show_client_cert: bool) -> ssl.SSLContext:
        """The context for a registry. Raises OciError where a file that the settings name cannot be used."""
        cert, key = (settings.client_cert, settings.client_key) if show_client_cert else ("", "")
        wanted = (settings.ca_path, cert, key, settings.insecure)
        with self._lock:
            if wanted not in self._contexts:
                self._contexts[wanted] = _tls_context(settings, cert, key)
            return self._contexts[wanted]


class Pools:
    """Pools of kept connections. Safe for many threads.

    ``proxy`` is the one for all hosts, none where it is empty; None leaves it to the environment. Where there is a
    ``guard``, it is asked about each address before there is a connection to it.
    """

    def __init__(
        self,
        size: int,
        connect_timeout: float,
        read_timeout: float,
        *,
        proxy: t.Optional[str] = None,
        guard: t.Optional[Guard] = None,
        contexts: t.Optional[TlsContexts] = None,
    ) -> None:
        if not HAS_URLLIB3:
            raise OciError(
                "the Python package urllib3 is missing", fix="Install urllib3 for the Python that runs this."
            )
        self._size = size
        self._timeout = urllib3.Timeout(connect=connect_timeout, read=read_timeout)
        self._proxy = proxy
        self._guard = guard
        self._contexts = contexts or TlsContexts()
        self._lock = threading.Lock()
        self._managers: t.Dict[_Key, urllib3.PoolManager] = {}

    def send(
        self,
        method: str,
        url: Url,
        headers: t.Mapping[str, str],
        body: t.Union[bytes, t.Iterable[bytes], None],
        settings: RegistrySettings,
        *,
        show_client_cert: bool,
    ) -> urllib3.BaseHTTPResponse:
        """The answer, of which no more than the head is read. Raises urllib3's exceptions.

        The connection is made to the host and port of ``url`` as they are, which urllib3 is not asked to read again.
        """
        proxy = self._proxy_for(url)
        manager = self._manager(proxy, settings, show_client_cert)
        pool = manager.connection_from_host(url.bracketed_host, url.port, url.scheme)
        return pool.request(
            method,
            str(url) if proxy and url.scheme == "http" else url.target,
            redirect=False,
            assert_same_host=False,
            body=body,
            headers=dict(headers),
            retries=False,
            timeout=self._timeout,
            preload_content=False,
            decode_content=False,
        )

    def close(self) -> None:
        """Close all connections that are idle."""
        with self._lock:
            for manager in self._managers.values():
                manager.clear()

    def _proxy_for(self, url: Url) -> t.Optional[str]:
        """The proxy to go through, None for none. Raises RegistryError where it may not be asked for this host."""
        proxy = _proxy_of_environment(url) if self._proxy is None else self._proxy or None
        if proxy is not None and self._guard is not None:
            self._guard.check_proxied(url.host, url.port)
        return proxy

    def _manager(
        self, proxy: t.Optional[str], settings: RegistrySettings, show_client_cert: bool
    ) -> urllib3.PoolManager:
        cert, key = (settings.client_cert, settings.client_key) if show_client_cert else ("", "")
        wanted = (settings.ca_path, cert, key, settings.insecure, proxy)
        with self._lock:
            if wanted not in self._managers:
                context = self._contexts.of(settings, show_client_cert=show_client_cert)
                self._managers[wanted] = self._new_manager(context, proxy, settings.insecure)
            return self._managers[wanted]

    def _new_manager(self, context: ssl.SSLContext, proxy: t.Optional[str], insecure: bool) -> urllib3.PoolManager:
        options: t.Dict[str, t.Any] = {
            "num_pools": _MANY_HOSTS,
            "maxsize": self._size,
            "ssl_context": context,
            "cert_reqs": "CERT_NONE" if insecure else "CERT_REQUIRED",
        }
        if insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        if proxy is None:
            manager = urllib3.PoolManager(**options)
            if self._guard is not None:
                manager.pool_classes_by_scheme = pool_classes(self._guard)
            return manager
        try:
            address, login = split_login(proxy)
        except OciError as error:
            raise OciError("the proxy cannot be used", why=f"{error.what}: {error.why}", fix="Correct it.") from error
        return urllib3.ProxyManager(
            str(address), proxy_headers=urllib3.make_headers(proxy_basic_auth=login) if login else None, **options
        )


def _proxy_of_environment(url: Url) -> t.Optional[str]:
    """The proxy that the environment names for this URL."""
    proxy = urllib.request.getproxies().get(url.scheme)
    if not proxy or urllib.request.proxy_bypass(url.netloc):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _tls_context(settings: RegistrySettings, cert: str, key: str) -> ssl.SSLContext:
    where = f"registries: {settings.host}"
    context = urllib3.util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_default_certs()
    if settings.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if settings.ca_path:
            context.load_verify_locations(cafile=settings.ca_path)
    except OSError as error:
        raise OciError(
            "cannot read its certificate authorities",
            where=where,
            why=f"{settings.ca_path}: {error.strerror or error}",
            fix="`ca_path` has to name a file of PEM certificates.",
        ) from error
    try:
        if cert:
            context.load_cert_chain(cert, key or None, password=_no_password)
    except OSError as error:
        raise OciError(
            "cannot read its client certificate",
            where=where,
            why=f"{cert}: {error.strerror or error}",
            fix="`client_cert` and `client_key` have to name a certificate and its unencrypted key, both in PEM form.",
        ) from error
    return context


def _no_password() -> str:
    raise OSError("the key is encrypted")
