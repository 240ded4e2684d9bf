# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a manifest changes, as texts."""

from __future__ import annotations

import pathlib

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_diff import before_and_after, manifest_text

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
LAST = "kubectl.kubernetes.io/last-applied-configuration"


def test_a_diff_without_what_changes_by_itself() -> None:
    text = (FIXTURES / "kubectl-diff.txt").read_text()
    before, after = before_and_after(text)
    assert "maxUnavailable: 1" in before and "maxUnavailable: 2" in after
    assert before.splitlines()[0] == after.splitlines()[0] == "# apps.v1.DaemonSet.kube-system.kube-proxy"
    assert before.splitlines()[-1] == "# v1.ConfigMap.default.newone"
    assert "  a: b" in after
    for word in ("generation:", "uid:", "creationTimestamp:", "/tmp"):
        assert word not in before.replace("template.generation:", "") + after.replace("template.generation:", "")


def test_what_cannot_be_compared_is_shown_without_secrets() -> None:
    page = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page"}, "data": {"a": "b"}}
    missing = 'Error from server (NotFound): namespaces "shop" not found\nmore\n'
    text = manifest_text([page], missing)
    assert text.splitlines()[0] == (
        '# kubectl diff cannot compare these yet: Error from server (NotFound): namespaces "shop" not found'
    )
    assert '"a": "b"' in text and "more" not in text
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "annotations": {LAST: "hunter2", "keep": "me"}},
        "data": {"one": "aHVudGVyMg=="},
        "stringData": {"two": "hunter2"},
    }
    text = manifest_text([page, secret], "cannot be handled: error found in #10 byte of ...|hunter2|...")
    assert "hunter2" not in text and "aHVudGVyMg==" not in text
    assert '"one": "***"' in text and '"two": "***"' in text and '"keep": "me"' in text
