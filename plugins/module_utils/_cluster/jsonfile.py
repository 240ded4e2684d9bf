# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small JSON files on a node: read strictly, replaced atomically.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import replace_file

Json = t.Dict[str, t.Any]


def read_json(path: str) -> t.Optional[Json]:
    """The object in a file, or None where there is no file."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            found = json.load(stream)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ClusterError(
            "this file is not valid JSON", where=path, why=str(error), fix="Restore it from a backup or remove it"
        ) from error
    if not isinstance(found, dict):
        raise ClusterError("this file does not hold a JSON object", where=path)
    return found


def write_json(path: str, document: Json) -> None:
    """Replace a file, readable for its owner only; names of files may be any bytes."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    replace_file(path, pretty(document).encode("utf-8", "surrogateescape"), 0o600)


def pretty(document: t.Any) -> str:
    """One spelling for each document, for files and diffs."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def remove(path: str) -> None:
    """Remove a file that may be gone already."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
