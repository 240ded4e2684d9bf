# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running programs on a node: one way, replaceable in tests.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

SEARCH_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


class Completed(t.NamedTuple):
    """What a program said and how it ended."""

    rc: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return "\n".join(part.strip() for part in (self.stdout, self.stderr) if part.strip())


class Runner(t.Protocol):
    """Runs a program found on the search path; a missing program is answered with return code 127.

    data: what it reads from standard input; descriptors: file descriptors that it inherits.
    """

    def __call__(
        self,
        command: t.Sequence[str],
        *,
        data: t.Optional[str] = None,
        environ: t.Optional[t.Mapping[str, str]] = None,
        cwd: t.Optional[str] = None,
        descriptors: t.Sequence[int] = (),
    ) -> Completed: ...


class CommandModule(t.Protocol):
    """The part of an AnsibleModule that runs programs."""

    @property
    def run_command(self) -> t.Callable[..., t.Any]: ...


NOT_FOUND = 127


def module_runner(module: CommandModule) -> Runner:
    """The Runner that a module uses."""

    def run(
        command: t.Sequence[str],
        *,
        data: t.Optional[str] = None,
        environ: t.Optional[t.Mapping[str, str]] = None,
        cwd: t.Optional[str] = None,
        descriptors: t.Sequence[int] = (),
    ) -> Completed:
        update = {"PATH": SEARCH_PATH, "LC_ALL": "C"}
        update.update(environ or {})
        try:
            rc, stdout, stderr = module.run_command(
                list(command),
                data=data,
                environ_update=update,
                cwd=cwd,
                binary_data=True,
                handle_exceptions=False,
                pass_fds=list(descriptors) or None,
            )
        except FileNotFoundError as error:
            return Completed(NOT_FOUND, "", str(error))
        return Completed(int(rc), str(stdout), str(stderr))

    return run


def checked(run: Runner, command: t.Sequence[str], *, data: t.Optional[str] = None) -> str:
    """Standard output of a program that has to succeed."""
    done = run(command, data=data)
    if done.rc != 0:
        raise ClusterError(f"{' '.join(command)} failed with return code {done.rc}", why=done.output[-2000:])
    return done.stdout
