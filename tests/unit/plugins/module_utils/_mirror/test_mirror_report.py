# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What registry_info tells and registry_prune drops."""

from __future__ import annotations

import json
import pathlib
import time
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.keeping.report import contents
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import open_counts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics_text import parse, summary
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.tags import TagRecord, Tags
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.modules import registry_info, registry_prune
from ansible_collections.sealer.cluster.tests.unit.sample_image import sample
from hypothesis import given
from hypothesis import strategies as st

IMAGE = "registry.example.com/clusters/shop:1.0"
DAY = 24 * 3600.0


def pull(layout: Layout, data: bytes, origin: str = "docker.io", days_ago: float = 0) -> Digest:
    """A blob that was pulled through."""
    records, digest = PulledRecords(layout), Digest.of(data)
    records.mark(digest, len(data), origin)
    with layout.pulling_writer(digest) as writer:
        writer.write(data)
        writer.commit()
    records.set_used(digest, time.time() - days_ago * DAY)
    return digest


@pytest.fixture
def layout(tmp_path: pathlib.Path) -> Layout:
    """A store with a cluster image, three pulled blobs and a tag."""
    layout = Layout.open(str(tmp_path / "store"), create=True)
    sample(layout, IMAGE)
    pull(layout, b"new")
    pull(layout, b"older", days_ago=10)
    manifest = pull(layout, b"oldest!", "quay.io", days_ago=40)
    record = TagRecord(manifest, "application/x", 7, "", 1_700_000_000.5, "https://quay.io")
    Tags(layout.path).put(Reference.parse("quay.io/a/b:1.2"), record)
    return layout


def test_contents(layout: Layout) -> None:
    found = contents(layout.path)
    kinds = {one["name"]: one["kind"] for one in found["names"]}
    assert kinds[IMAGE] == "cluster-image"
    assert kinds["registry.k8s.io/pause:3.10.1"] == "container-image"
    assert found["tags"] == [
        {
            "name": "quay.io/a/b:1.2",
            "digest": str(Digest.of(b"oldest!")),
            "checked": 1_700_000_000,
            "from": "https://quay.io",
        }
    ]
    assert found["pulled"] == {
        "blobs": 3,
        "bytes": 15,
        "origins": {"docker.io": {"blobs": 2, "bytes": 8}, "quay.io": {"blobs": 1, "bytes": 7}},
    }
    files = [path for path in pathlib.Path(layout.path, "blobs").rglob("*") if path.is_file()]
    assert (found["store"]["blobs"], found["store"]["bytes"]) == (len(files), sum(f.stat().st_size for f in files))
    assert found["store"]["disk_bytes"] >= found["store"]["disk_free_bytes"] > 0
    assert json.loads(json.dumps(found)) == found


def test_no_store(tmp_path: pathlib.Path) -> None:
    found = contents(str(tmp_path / "none"))
    assert (found["exists"], found["names"], found["pulled"]["blobs"]) == (False, [], 0)
    params = {"store": str(tmp_path / "none"), "free": None, "unused_days": 1.0, "everything": False}
    assert registry_prune.run(params, False)["changed"] is False


@pytest.mark.parametrize(
    ("wanted", "dropped"),
    [
        ({"free": "1"}, [b"oldest!"]),
        ({"free": "8B"}, [b"oldest!", b"older"]),
        ({"free": "1G"}, [b"oldest!", b"older", b"new"]),
        ({"unused_days": 30.0}, [b"oldest!"]),
        ({"unused_days": 5.0, "free": "0"}, [b"oldest!", b"older"]),
        ({"unused_days": 90.0}, []),
        ({"everything": True}, [b"oldest!", b"older", b"new"]),
    ],
)
def test_prune(layout: Layout, wanted: t.Dict[str, t.Any], dropped: t.List[bytes]) -> None:
    params = {"store": layout.path, "free": None, "unused_days": None, "everything": False, **wanted}
    predicted = registry_prune.run(params, True)
    assert all(layout.has(Digest.of(data)) for data in (b"new", b"older", b"oldest!"))
    done = registry_prune.run(params, False)
    assert predicted == done
    assert [blob["digest"] for blob in done["pruned"]] == [str(Digest.of(data)) for data in dropped]
    assert (done["changed"], done["bytes_freed"]) == (bool(dropped), sum(map(len, dropped)))
    assert done["diff"]["after"] == {"blobs": 3 - len(dropped), "bytes": 15 - done["bytes_freed"]}
    left = contents(layout.path)["pulled"]
    assert {"blobs": left["blobs"], "bytes": left["bytes"]} == done["diff"]["after"]
    assert layout.verify() == []
    if "free" not in wanted:
        assert registry_prune.run(params, False)["changed"] is False


@pytest.mark.parametrize(
    ("wanted", "told"),
    [({"free": "much"}, "'free' cannot be"), ({"unused_days": -1.0}, "-1"), ({}, "nothing says what to drop")],
)
def test_nonsense_is_refused(layout: Layout, wanted: t.Dict[str, t.Any], told: str) -> None:
    params = {"store": layout.path, "free": None, "unused_days": None, "everything": False, **wanted}
    with pytest.raises(MirrorError, match=told):
        registry_prune.run(params, False)


def test_summary_of_what_was_counted(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    counts = open_counts(str(tmp_path))
    for _time in range(3):
        counts.served("docker.io", "blob", "store", 1000)
        counts.request("GET", "200", 0.1)
    counts.served("docker.io", "blob", "upstream", 500)
    counts.fetched("docker.io", "blob", 500, 0.1)
    counts.coalesced("docker.io")
    counts.failed("docker.io", "timeout")
    counts.failed("docker.io", "timeout")
    counts.failed('we"ird\n', "digest")
    counts.stale("quay.io")
    counts.evicted(7)
    counts.scrubbed(True)
    found = summary(parse(counts.text().decode()))
    assert {name: found[name] for name in ("requests", "hits", "misses", "bytes_served", "bytes_fetched")} == {
        "requests": 3,
        "hits": 3,
        "misses": 1,
        "bytes_served": 3500,
        "bytes_fetched": 500,
    }
    assert (found["bytes_saved"], found["blobs_evicted"], found["bytes_evicted"]) == (3000, 1, 7)
    assert (found["blobs_scrubbed"], found["blobs_broken"]) == (1, 1)
    assert found["registries"] == {
        "docker.io": {"hits": 3, "misses": 1, "bytes_served": 3500, "coalesced": 1, "stale": 0},
        "quay.io": {"hits": 0, "misses": 0, "bytes_served": 0, "coalesced": 0, "stale": 1},
    }
    assert found["upstreams"]["docker.io"] == {"fetches": 1, "bytes_fetched": 500, "failures": {"timeout": 2}}
    assert found["upstreams"]['we"ird\n']["failures"] == {"digest": 1}


@given(st.text(max_size=30), st.text(max_size=200))
def test_any_label_comes_back_and_garbage_is_passed_over(label: str, garbage: str) -> None:
    escaped = label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    text = f'# HELP x y\nx_total{{a="{escaped}",b="2"}} 5.0\n'
    if "\r" not in label:
        assert parse(text) == [("x_total", {"a": label, "b": "2"}, 5.0)]
    parse(garbage)


def answers(**paths: str) -> t.Callable[[str], str]:
    def fetch(path: str) -> str:
        found = paths.get(path.strip("/"))
        if found is None:
            raise OSError(f"no {path}")
        return found

    return fetch


@pytest.mark.parametrize(
    ("fetch", "expected"),
    [
        (answers(), {"running": False, "error": "no /healthz"}),
        (
            answers(healthz='{"status": "ok"}'),
            {"running": True, "healthy": True, "error": "its metrics cannot be read: no /metrics"},
        ),
        (answers(healthz="<html>"), {"running": False}),
        (
            answers(healthz='{"status": "failing"}', metrics=""),
            {"running": True, "healthy": False, "hits": 0, "error": ""},
        ),
    ],
)
def test_service(fetch: t.Callable[[str], str], expected: t.Dict[str, t.Any]) -> None:
    found = registry_info.service(fetch)
    assert {key: found[key] for key in expected} == expected
