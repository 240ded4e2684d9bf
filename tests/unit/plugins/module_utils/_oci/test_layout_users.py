# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One store for root and for the user of a service, who both write there."""

from __future__ import annotations

import os
import pathlib
import tempfile
import traceback
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import make_directories
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.sample_image import sample

SERVICE = 63_000
IMAGE = "registry.example.com/clusters/shop:1.0"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


@pytest.fixture
def place() -> t.Iterator[pathlib.Path]:
    """A directory of the service's user, where other users come too."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o711)
        os.mkdir(f"{path}/store")
        os.chown(f"{path}/store", SERVICE, SERVICE)
        yield pathlib.Path(path, "store")


def as_service(work: t.Callable[[], object]) -> None:
    """Do this as the service's user."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(SERVICE)
            os.setuid(SERVICE)
            os.umask(0o077)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _pid, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_directories_follow_the_one_above(place: pathlib.Path) -> None:
    make_directories(str(place / "a" / "b"))
    assert {(os.stat(place / name).st_uid, os.stat(place / name).st_gid) for name in ("a", "a/b")} == {
        (SERVICE, SERVICE)
    }
    os.chown(place, 0, 0)
    make_directories(str(place / "c"))
    assert os.stat(place / "c").st_uid == 0


def test_both_write(place: pathlib.Path) -> None:
    layout = Layout.open(str(place), create=True)
    made = sample(layout, IMAGE)
    unnamed = layout.put_bytes(b"of root, soon pruned")

    def serve() -> None:
        mine = Layout.open(str(place))
        mine.tag(Reference.parse("registry.sealer.local/own:1"), made.descriptor)
        mine.put_bytes(b"of the service")
        with mine.writer(Digest.of(b"whole"), 5) as writer:
            writer.write(b"who")
        if unnamed not in [pruned.digest for pruned in mine.prune()]:
            raise RuntimeError("the blob without a name is still there")

    with layout.writer(Digest.of(b"whole"), 5) as writer:
        writer.write(b"wh")
    as_service(serve)
    layout.untag(Reference.parse("registry.sealer.local/own:1"))
    with layout.writer(Digest.of(b"whole"), 5) as writer:
        writer.restart()
        writer.write(b"whole")
        writer.commit()
    layout.tag(Reference.parse("quay.io/later:1"), made.descriptor)
    as_service(lambda: Layout.open(str(place)).tag(Reference.parse("quay.io/later:2"), made.descriptor))
    assert layout.verify() == []
    assert len(layout.names()) >= 3
