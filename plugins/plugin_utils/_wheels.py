# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Python packages that ship with the collection for use on hosts: wheels, pinned by version and hash.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import hashlib
import io
import re
import typing as t
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError

_COLLECTION = Path(__file__).parents[2]
REQUIREMENTS = _COLLECTION / "meta" / "mirror-requirements.txt"
DIRECTORY = _COLLECTION / "wheels"

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+) --hash=sha256:(?P<sha256>[0-9a-f]{64})")
_LICENSES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "METADATA")

Files = t.Dict[str, bytes]


@dataclass(frozen=True)
class Wheel:
    """A pin of the requirements file."""

    name: str
    version: str
    sha256: str

    @property
    def path(self) -> Path:
        """Where the wheel is in the collection."""
        return DIRECTORY / f"{self.name}-{self.version}-py3-none-any.whl"

    def files(self) -> Files:
        """The modules, licenses and metadata inside, by path. Raises MirrorError where it is not the pinned wheel."""
        with zipfile.ZipFile(io.BytesIO(self._content())) as archive:
            return {name: archive.read(name) for name in archive.namelist() if _is_needed(name)}

    def _content(self) -> bytes:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError as error:
            why = "the collection was not installed from its archive, which holds the wheels"
            raise self._error("is missing", why) from error
        except OSError as error:
            raise self._error("cannot be read", str(error.strerror)) from error
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise self._error("is not the wheel that the collection was released with", f"its SHA-256 is {found}")
        return content

    def _error(self, what: str, why: str) -> MirrorError:
        return MirrorError(
            f"{self.path} {what}",
            where="controller",
            why=why,
            fix=(
                "Install the collection from its archive. In a checkout, fetch the wheels: python3 -m pip download "
                f"--require-hashes --no-deps --only-binary :all: --requirement {REQUIREMENTS} --dest {DIRECTORY}"
            ),
        )


def wheels() -> list[Wheel]:
    """What the requirements file pins, in its order."""
    return [Wheel(**found.groupdict()) for found in _PIN.finditer(REQUIREMENTS.read_text(encoding="utf-8"))]


def _is_needed(name: str) -> bool:
    is_license = ".dist-info/" in name and name.rsplit("/", 1)[1].startswith(_LICENSES)
    return name.endswith(".py") or is_license
