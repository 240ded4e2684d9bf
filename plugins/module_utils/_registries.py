# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry client that a module's options ask for.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import RegistryClient


@contextlib.contextmanager
def registry_client(params: t.Mapping[str, t.Any]) -> t.Iterator[RegistryClient]:
    """A client made of the options of REGISTRY_SPEC, for as long as it is needed."""
    if params["parallel"] < 1:
        raise OciError("parallel has to be at least 1", why=f"it is {params['parallel']}")
    settings = [RegistrySettings.from_option(option) for option in params["registries"]]
    client = RegistryClient(settings, params["authfile"], parallel=params["parallel"])
    try:
        yield client
    finally:
        client.close()
