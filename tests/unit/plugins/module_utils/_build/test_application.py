# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kind of application files make, and what launches it."""

from __future__ import annotations

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.application import describe
from ansible_collections.sealer.cluster.plugins.module_utils._build.description import KUBE, SHELL


@pytest.mark.parametrize(
    ("files", "kind", "commands"),
    [
        (["a.yaml", "b c.json"], KUBE, ["kubectl apply -f a.yaml", "kubectl apply -f 'b c.json'"]),
        (["a.yaml", "b.yaml.tmpl", "imageList"], KUBE, ["kubectl apply -f a.yaml", "kubectl apply -f b.yaml"]),
        (["a.sh"], SHELL, ["bash a.sh"]),
        (["a.sh.tmpl"], SHELL, []),
        (["a.yaml", "a.sh"], SHELL, []),
    ],
)
def test_the_type_is_told_by_the_names(files: list[str], kind: str, commands: list[str]) -> None:
    found, untyped = describe("x", files)
    assert (found.type, list(found.cmds)) == (kind, commands)
    assert bool(untyped) is not bool(commands)
