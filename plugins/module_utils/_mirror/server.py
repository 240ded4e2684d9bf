# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mirror as a program: gunicorn with our application inside.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import argparse
import logging
import ssl
import sys
import traceback
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.app import REFERENCE_KEY, Application
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.sources import StoreSource

GUNICORN_IMPORT_ERROR: t.Optional[str] = None

IDLE_SECONDS = 75
STALLED_SECONDS = 60
GRACEFUL_SECONDS = 30

try:
    from gunicorn.app.base import BaseApplication
    from gunicorn.glogging import Logger
    from gunicorn.workers.gthread import ThreadWorker
except ImportError:
    GUNICORN_IMPORT_ERROR = traceback.format_exc()
else:

    class Worker(ThreadWorker):
        """Threads that give up a client which neither sends nor takes anything."""

        def handle(self, conn: t.Any) -> t.Any:
            """Serve the next request of this connection."""
            conn.sock.settimeout(STALLED_SECONDS)
            return super().handle(conn)

    class Log(Logger):
        """Plain lines on stderr; the journal adds time and process."""

        error_fmt = "%(levelname)s %(message)s"

        def access(self, resp: t.Any, req: t.Any, environ: t.Dict[str, t.Any], request_time: t.Any) -> None:
            """One line a request: who, what, status, bytes, seconds. No query and no header is told."""
            if not self.cfg.accesslog:
                return
            self.error_log.info(
                "%s %s %s %s %s %dB %.3fs",
                environ.get("REMOTE_ADDR") or "-",
                req.method,
                req.uri.partition("?")[0],
                environ.get(REFERENCE_KEY, "-"),
                str(resp.status).partition(" ")[0],
                resp.sent,
                request_time.total_seconds(),
            )

    class Server(BaseApplication):
        """Gunicorn, set up by our configuration alone: no file, argument or variable of its own is read."""

        cfg: t.Any

        def __init__(self, config: Config) -> None:
            self._config = config
            self._tls = tls_context(config) if config.key else None
            super().__init__()

        def load_config(self) -> None:
            """Hand our settings to gunicorn."""
            settings: t.Dict[str, t.Any] = {
                "bind": self._config.listen,
                "workers": self._config.worker_count,
                "threads": self._config.threads,
                "worker_class": Worker,
                "logger_class": Log,
                "accesslog": "-" if self._config.access_log else None,
                "keepalive": IDLE_SECONDS,
                "graceful_timeout": GRACEFUL_SECONDS,
                "limit_request_line": 8190,
                "limit_request_fields": 64,
                "limit_request_field_size": 16384,
                "proc_name": "sealer-mirror",
            }
            if self._tls is not None:
                settings.update(
                    certfile=self._config.certificate,
                    keyfile=self._config.key,
                    ssl_context=lambda _settings, _default: self._tls,
                )
            for name, value in settings.items():
                self.cfg.set(name, value)

        def load(self) -> Application:
            """The application, once in each worker."""
            return Application([StoreSource(self._config.store)], logging.getLogger("gunicorn.error"))


def tls_context(config: Config) -> ssl.SSLContext:
    """TLS 1.2 and newer with our certificate; made once, so that sessions are resumed whichever worker answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(config.certificate, config.key)
    except OSError as error:
        raise MirrorError(
            "the mirror's certificate or key cannot be used",
            where=config.certificate,
            why=str(error),
            fix="The key has to belong to the certificate, and both have to be PEM files that the service can read.",
        ) from error
    return context


def main(arguments: t.Optional[t.Sequence[str]] = None) -> int:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(prog="sealer-mirror", description="Serves a store of container images to nodes.")
    parser.add_argument("--config", required=True, metavar="FILE", help="configuration, a JSON file")
    options = parser.parse_args(arguments)
    try:
        config = Config.load(options.config)
        if GUNICORN_IMPORT_ERROR:
            raise MirrorError("gunicorn is missing in this program", why=GUNICORN_IMPORT_ERROR)
        Server(config).run()
    except SealerError as error:
        sys.stderr.write(f"sealer-mirror: {error}\n")
        return 1
    return 0
