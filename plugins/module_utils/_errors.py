# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's exceptions.

Private to the collection: may change at any time.
"""

from __future__ import annotations


class SealerError(Exception):
    """An expected failure, told in four parts: what happened, where, why, and what to do about it."""

    def __init__(self, what: str, *, where: str = "", why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        told = ": ".join(part for part in (self.where, self.what, self.why) if part)
        return f"{told}. {self.fix}" if self.fix else told

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.why, self.fix)


class OciError(SealerError):
    """References, digests, documents, registries, layouts and archives."""


class BuildError(SealerError):
    """Kubefiles, parts, locks and what is built from them."""


class MirrorError(SealerError):
    """The mirror service and its certificates."""


class ClusterError(SealerError):
    """What runs on nodes."""


def _rebuild(kind: type[SealerError], what: str, where: str, why: str, fix: str) -> SealerError:
    return kind(what, where=where, why=why, fix=fix)
