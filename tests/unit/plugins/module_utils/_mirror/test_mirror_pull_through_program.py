# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program, pulling through with several processes, under this Python and under the oldest."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import re
import signal
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.plugin_utils._mirror_bundle import build
from ansible_collections.sealer.cluster.tests.unit.fake_registry import PASSWORD, USER, FakeRegistry
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.running import RunningMirror
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.test_mirror_program import PYTHONS
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.upstream_side import NAME, upstream

LAYER = bytes(range(256)) * 4000
WORKERS = 3


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The file."""
    path = tmp_path_factory.mktemp("program") / "mirror.pyz"
    path.write_bytes(build().data)
    return path


@pytest.fixture
def registry(fake_registry: t.Callable[..., FakeRegistry]) -> FakeRegistry:
    """An upstream with a login."""
    made = fake_registry(auth="basic")
    made.add_image("team/app", "1", [LAYER])
    return made


@pytest.fixture
def login(tmp_path: pathlib.Path) -> dict[str, str]:
    """The settings of the login."""
    (tmp_path / "word").write_text(PASSWORD)
    return {"username": USER, "password_file": str(tmp_path / "word")}


@pytest.fixture(params=PYTHONS)
def mirror(
    request: pytest.FixtureRequest,
    program: pathlib.Path,
    tmp_path: pathlib.Path,
    registry: FakeRegistry,
    login: dict[str, str],
) -> t.Iterator[RunningMirror]:
    """A mirror that begins without a store."""
    python = PYTHONS[request.param]
    if python is None:
        pytest.skip("there is no such Python")
    running = RunningMirror(
        program,
        tmp_path,
        python=python,
        workers=WORKERS,
        store=str(tmp_path / "store"),
        instance="here",
        pull_through="configured",
        upstreams=[upstream(registry.url, **login)],
    )
    yield running
    assert running.close() == 0, running.log
    assert "Traceback" not in running.log
    assert PASSWORD not in running.log


def get(mirror: RunningMirror, path: str) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(mirror.port), timeout=60)) as connection:
        connection.request("GET", f"/v2/team/app/{path}?ns={NAME}")
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_processes_fetch_once(mirror: RunningMirror, registry: FakeRegistry) -> None:
    repository = registry.repositories["team/app"]
    digest = repository.tags["1"]
    wanted = {"manifests/1": repository.manifests[digest][1]}
    wanted.update({f"blobs/{name}": data for name, data in repository.blobs.items()})
    paths = [*wanted] * 12
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert list(pool.map(lambda path: get(mirror, path), paths)) == [(200, wanted[path]) for path in paths]
    good = sorted(seen.path for seen in registry.seen if seen.status == 200)
    assert good == sorted(f"/v2/team/app/{path}" for path in wanted)


def test_a_reload_changes_whom_it_asks(
    mirror: RunningMirror, tmp_path: pathlib.Path, registry: FakeRegistry, login: dict[str, str]
) -> None:
    path = tmp_path / "mirror.json"
    config = json.loads(path.read_text())
    assert get(mirror, "manifests/1")[0] == 200

    def reload(pattern: str, **settings: t.Any) -> None:
        path.write_text(json.dumps({**config, **settings}))
        mirror.process.send_signal(signal.SIGHUP)
        assert mirror.wait_for(re.compile(pattern)) is not None

    reload("not reloaded", upstreams=[upstream(registry.url, username=USER, password_file=str(tmp_path / "none"))])
    assert "the file of a secret cannot be used" in mirror.log
    assert get(mirror, "manifests/1")[0] == 200
    gone = f"(?s)Reloading(.*Worker exiting){{{WORKERS}}}"
    reload(gone, upstreams=[upstream(registry.url, name="other.example")])
    assert {get(mirror, "manifests/1")[0] for _number in range(10)} == {403}
