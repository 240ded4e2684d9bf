# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files as a store needs them: locked, atomic, durable, readable for every user of the host.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError

FILE_MODE = 0o644
DIRECTORY_MODE = 0o755

_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextlib.contextmanager
def os_errors(what: str, where: str) -> t.Iterator[None]:
    """Turn the system's refusals into ours."""
    try:
        yield
    except OSError as error:
        fix = "Make room and run it again." if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise OciError(what, where=where, why=error.strerror or str(error), fix=fix) from error


def make_directories(path: str) -> None:
    """Make the directory and those above it; the ones made are open to every reader whatever the umask."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent != path:
        make_directories(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, DIRECTORY_MODE)
        os.chmod(path, DIRECTORY_MODE)


def sync_directory(path: str) -> None:
    """Make the names in this directory survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, data: t.Union[bytes, memoryview]) -> None:
    """Write every byte."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def partial_path(path: str) -> str:
    """Where a file's bytes gather until they are whole."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.partial")


def replace_file(path: str, data: bytes, mode: int = FILE_MODE) -> None:
    """Put these bytes in the file's place at once; what a killed run left of them is written over."""
    path = os.path.abspath(path)
    partial = partial_path(path)
    handle = open_partial(partial, mode)
    try:
        os.ftruncate(handle, 0)
        write_all(handle, data)
        os.fchmod(handle, mode)
        os.fsync(handle)
        os.replace(partial, path)
    except OSError:
        os.unlink(partial)
        raise
    finally:
        os.close(handle)
    sync_directory(os.path.dirname(path))


def open_partial(path: str, mode: int = FILE_MODE) -> int:
    """The file at this path, opened and locked; waits for whoever holds it.

    Whoever held it may have renamed or removed it meanwhile: then it is made anew, so that what is locked is what
    stands at the path.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _stands_at(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def remove_if_free(path: str) -> bool:
    """Remove the file unless somebody holds its lock."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _stands_at(handle, path):
            os.unlink(path)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(path: str, exclusive: bool) -> t.Iterator[None]:
    """Hold the lock file at this path.

    Where it neither exists nor can be made, a shared lock keeps nobody out: nothing there can be changed by us.
    """
    handle = _open_lock(path, exclusive)
    if handle is None:
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _open_lock(path: str, exclusive: bool) -> t.Optional[int]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    except OSError as error:
        if error.errno not in _READ_ONLY or exclusive:
            raise
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
    found = os.fstat(handle)
    if stat.S_IMODE(found.st_mode) != FILE_MODE and found.st_uid == os.geteuid():
        os.fchmod(handle, FILE_MODE)
    return handle


def _stands_at(handle: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False
