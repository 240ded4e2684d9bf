# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When the certificates in files expire.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import datetime
import glob
import os
import ssl
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json


def expiry(run: Runner, directory: str, patterns: t.Sequence[str]) -> t.List[Json]:
    """Name, below the directory, and expiry of the first certificate in each file; none where openssl cannot tell."""
    found = []
    for path in sorted(path for pattern in patterns for path in glob.glob(f"{directory}/{pattern}")):
        done = run(["openssl", "x509", "-noout", "-enddate", "-in", path])
        _name, _equals, when = done.stdout.strip().partition("=")
        if done.rc == 0 and when:
            name = os.path.splitext(os.path.relpath(path, directory))[0]
            found.append({"name": name, "expires": iso(when)})
    return found


def iso(when: str) -> str:
    """A time as openssl writes it, as ISO 8601 has it."""
    moment = datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(when), tz=datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
