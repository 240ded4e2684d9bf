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

READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextlib.contextmanager
def os_errors(what: str, where: str) -> t.Iterator[None]:
    """Turn the system's refusals into ours."""
    try:
        yield
    except OSError as error:
        fix = "Make room and run it again." if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise OciError(what, where=where, why=error.strerror or str(error), fix=fix) from error


def make_directories(path: str) -> None:
    """Make the directory and those above it; the ones made are open to every reader whatever the umask.

    What root makes in another user's directory belongs to that user, who is to write there as well.
    """
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent != path:
        make_directories(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, DIRECTORY_MODE)
        os.chmod(path, DIRECTORY_MODE)
        above = os.stat(parent)
        if os.geteuid() == 0 and above.st_uid != 0:
            os.chown(path, above.st_uid, above.st_gid, follow_symlinks=False)


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


def replace_file(path: str, data: bytes, mode: int = FILE_MODE, *, durable: bool = True) -> None:
    """Put these bytes in the file's place at once; what a killed run left of them is written over.

    One that is not durable may be lost or damaged by a power cut.
    """
    path = os.path.abspath(path)
    partial = partial_path(path)
    handle = open_partial(partial, mode)
    try:
        os.ftruncate(handle, 0)
        write_all(handle, data)
        os.fchmod(handle, mode)
        if durable:
            os.fsync(handle)
        os.replace(partial, path)
    except OSError:
        os.unlink(partial)
        raise
    finally:
        os.close(handle)
    if durable:
        sync_directory(os.path.dirname(path))


def open_partial(path: str, mode: int = FILE_MODE, wait: bool = True) -> int:
    """The file at this path, opened and locked; waits for whoever holds it, or raises BlockingIOError.

    Whoever held it may have renamed or removed it meanwhile: then it is made anew, so that what is locked is what
    stands at the path.
    """
    while True:
        handle = _open_writable(path, mode)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if stands_at(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def open_anew(path: str, partial: str, mode: int = FILE_MODE) -> int:
    """An empty file, locked, in the place of a partial one whose lock is held; those who read that one keep it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.replace(path, partial)
    except BaseException:
        os.close(handle)
        raise
    return handle


def is_free(path: str) -> bool:
    """Whether nobody holds the lock of this file."""
    return _with_lock(path, lambda: None)


def remove_if_free(path: str) -> bool:
    """Remove the file unless somebody holds its lock."""
    return _with_lock(path, lambda: os.unlink(path))


def _with_lock(path: str, action: t.Callable[[], None]) -> bool:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if stands_at(handle, path):
            action()
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


def _open_writable(path: str, mode: int) -> int:
    """The file, opened for reading and writing; one that another user left and does not hold is made anew."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        handle = os.open(path, flags, mode)
    except PermissionError:
        if not os.path.exists(path) or not remove_if_free(path):
            raise
        handle = os.open(path, flags, mode)
    _open_to_readers(handle, mode)
    return handle


def _open_to_readers(handle: int, mode: int) -> None:
    """Give the file this mode whatever the umask, where it is ours."""
    found = os.fstat(handle)
    if stat.S_IMODE(found.st_mode) != mode and found.st_uid == os.geteuid():
        os.fchmod(handle, mode)


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
        if error.errno not in READ_ONLY:
            raise
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            if exclusive:
                raise error from None
            return None
    _open_to_readers(handle, FILE_MODE)
    return handle


def stands_at(handle: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False
