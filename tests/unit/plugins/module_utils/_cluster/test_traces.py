# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runtimes leave: the data is whole, and reset goes by it."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import leftovers, links, netfilter, record, traces
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import write_json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_reset import NodeReset, ResetSettings
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

RUNTIMES = sorted(traces.BY_RUNTIME)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_is_removed_was_looked_at_before(runtime: str) -> None:
    known = traces.BY_RUNTIME[runtime]
    assert set(known.own) <= set(known.directories)
    assert all(path.startswith("/") for path in (*known.own, *known.files, *known.nodes, *known.mounts))
    assert known.record_path == f"/var/lib/sealer/{runtime}.json"


@pytest.fixture
def quiet(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> traces.Traces:
    """A runtime that has left nothing but its record, on a host without network links and rules of ours."""
    for module, name in ((links, "left_links"), (leftovers, "left_cgroups"), (netfilter, "our_nft_tables")):
        monkeypatch.setattr(module, name, lambda *_arguments: [])
    monkeypatch.setattr(netfilter, "rulesets", lambda _run: {})
    monkeypatch.setattr(leftovers, "end_processes", lambda _units: None)
    monkeypatch.setattr(leftovers, "HUSKS", ())
    monkeypatch.setattr(leftovers, "SHARED", {})
    path = str(tmp_path / "record.json")
    before: t.Dict[str, t.Any] = {"sysctls": {}, "directories": {}, "files": [], "links": [], "nft_tables": []}
    write_json(path, {"state": record.DONE, "before": before})
    own = (str(tmp_path / "data"),)
    return dataclasses.replace(traces.K0S, record_path=path, own=own, files=(), mounts=("/nowhere/",), nodes=())


@pytest.mark.parametrize("stopped", [True, False])
def test_the_runtime_resets_itself_when_it_may(quiet: traces.Traces, stopped: bool) -> None:
    said: t.List[str] = []

    def run(command: t.Sequence[str], **_options: t.Any) -> Completed:
        said.append(" ".join(command))
        return Completed(3 if "is-active" in command else 0, "", "")

    pathlib.Path(quiet.own[0]).mkdir()
    node = NodeReset(run, ResetSettings(), dataclasses.replace(quiet, reset_stopped=stopped))
    assert f"path {quiet.own[0]}" in node.survey().lines()
    node.clear()
    stop = said.index("systemctl stop k0scontroller.service")
    assert (stop < said.index("k0s reset")) is stopped
    assert not pathlib.Path(quiet.own[0]).exists() and not pathlib.Path(quiet.record_path).exists()


def test_what_stays_is_told(quiet: traces.Traces) -> None:
    node = NodeReset(lambda *_command, **_options: Completed(0, "", ""), ResetSettings(), quiet)
    with pytest.raises(ClusterError, match=r"service k0scontroller.service.*k0s reset said"):
        node.clear()
