# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the options of the module image_build to what the builder works with.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._build.builder import BuildRequest
from ansible_collections.sealer.cluster.plugins.module_utils._build.needs import Asked
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

EPOCH = "SOURCE_DATE_EPOCH"
KUBEFILE = "Kubefile"


def request_from(params: t.Mapping[str, t.Any], environment: t.Mapping[str, str]) -> BuildRequest:
    """What to build, checked."""
    platforms: t.List[Platform] = []
    for platform in [Platform.parse(text) for text in params["platforms"] or []] or [Platform.host()]:
        if any(platform.matches(other) for other in platforms):
            raise BuildError(f"platforms: {platform} stands there twice")
        platforms.append(platform)
    if params["parallel"] < 1:
        raise BuildError("parallel: must be at least 1", why=f"it is {params['parallel']}")
    path = os.path.abspath(params["path"])
    return BuildRequest(
        name=Reference.parse(params["name"]),
        path=path,
        file=os.path.join(path, params["file"] or KUBEFILE),
        platforms=platforms,
        build_args=_texts("build_args", params["build_args"]),
        labels=_texts("labels", params["labels"]),
        asked=Asked(params["images"], params["images_files"], params["ignore_images"]),
        pull=params["pull"],
        frozen=params["frozen"],
        epoch=_epoch(environment),
        parallel=params["parallel"],
    )


def _texts(option: str, values: t.Mapping[str, t.Any]) -> t.Dict[str, str]:
    result = {}
    for key, value in values.items():
        if isinstance(value, bool):
            value = str(value).lower()
        if not isinstance(value, (str, int, float)):
            raise BuildError(f"{option}: {key} is no text", fix="Give a text or a number")
        result[str(key)] = str(value)
    return result


def _epoch(environment: t.Mapping[str, str]) -> int:
    text = environment.get(EPOCH, "") or "0"
    if not text.isascii() or not text.isdigit() or int(text) >= 1 << 33:
        raise BuildError(
            f"{EPOCH} is no time", why=f"it is {text!r}", fix="Set it to seconds since 1970, or not at all"
        )
    return int(text)
