# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mirror as a program: gunicorn with our loop and our application inside.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import argparse
import logging
import os
import ssl
import sys
import traceback
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.access import Users
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.app import Application
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.assembly import assemble
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import (
    Counts,
    NoCounts,
    discard,
    open_counts,
    prepare,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.main_process import CHECK
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.share import Share
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.upstreams import Upstreams

GUNICORN_IMPORT_ERROR: t.Optional[str] = None

GRACEFUL_SECONDS = 30
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2. Which one, and which of TLS 1.3, is the client's choice: it knows what its processor is fast at."""
BACKLOG = 4096

try:
    from gunicorn.app.base import BaseApplication
except ImportError:
    GUNICORN_IMPORT_ERROR = traceback.format_exc()
else:
    from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.log import Log
    from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.main_process import Main
    from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.worker import Worker

    class Server(BaseApplication):
        """Gunicorn, set up by our configuration alone: no file, argument or variable of its own is read."""

        cfg: t.Any

        def __init__(self, config: Config) -> None:
            self._config = config
            self._metrics = ""
            self.counts: Counts = NoCounts()
            self.share = Share()
            self.tls = tls_context(config) if config.key else None
            super().__init__()

        def load_config(self) -> None:
            """Hand our settings to gunicorn."""
            settings: t.Dict[str, t.Any] = {
                "bind": self._config.listen,
                "backlog": BACKLOG,
                "workers": self._config.worker_count,
                "threads": self._config.threads,
                "worker_class": Worker,
                "logger_class": Log,
                "accesslog": "-" if self._config.access_log else None,
                "graceful_timeout": GRACEFUL_SECONDS,
                "limit_request_line": 8190,
                "limit_request_fields": 64,
                "limit_request_field_size": 16384,
                "forwarded_allow_ips": "",
                "proc_name": "sealer-mirror",
            }
            if self.tls is not None:
                settings.update(certfile=self._config.certificate, keyfile=self._config.key)
            for name, value in settings.items():
                self.cfg.set(name, value)

        def load(self) -> Application:
            """The application, once in each worker."""
            self.counts = open_counts(self._metrics, self._config.store)
            return assemble(self._config, logging.getLogger("gunicorn.error"), self.counts if self._metrics else None)

        def run(self) -> None:
            """Serve until a signal ends it."""
            self._metrics = prepare() if self._config.metrics else ""
            main_process = os.getpid()
            try:
                Main(self).run()
            finally:
                if os.getpid() == main_process:
                    discard(self._metrics)


def tls_context(config: Config) -> ssl.SSLContext:
    """TLS 1.2 and newer with our certificate; made once, so that sessions are resumed whichever worker answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(CIPHERS)
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
    parser.add_argument(CHECK, action="store_true", help="tell whether the configuration can be used, and end")
    options = parser.parse_args(arguments)
    try:
        config = Config.load(options.config)
        if GUNICORN_IMPORT_ERROR:
            raise MirrorError("gunicorn is missing in this program", why=GUNICORN_IMPORT_ERROR)
        server = Server(config)
        Upstreams(config).close()
        if config.users_file:
            Users(config.users_file, logging.getLogger("gunicorn.error")).read()
        if not options.check:
            server.run()
    except SealerError as error:
        sys.stderr.write(f"sealer-mirror: {error}\n")
        return 1
    return 0
