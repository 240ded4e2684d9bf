# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A secret is found wherever it is planted, and nothing is found where it is not, or where it belongs."""

from __future__ import annotations

import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import typing as t
import uuid

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.documents import ConfigFile
from ansible_collections.sealer.cluster.tests.lab import canaries, host_search, process_sampler
from ansible_collections.sealer.cluster.tests.lab.canaries import Place, Sampler, Secret, Seen, Source

HERE = "this machine"
KIND = "canary"
# Becomes another program after a while, which has what is read in its environment.
LATE = "read -r given; sleep 0.03; CANARY=$given exec sleep 0.05"
LINE = "Dec 01 03:00:00 host program[42]: "


@pytest.fixture
def secret() -> Secret:
    return Secret(KIND, f"{uuid.uuid4().hex}/a+b")


def told(findings: t.Iterable[canaries.Finding]) -> list[str]:
    return [str(finding) for finding in findings]


@pytest.fixture
def seen(secret: Secret, tmp_path: pathlib.Path) -> Seen:
    """What a sampler saw of processes that had the secret for 50 ms, and of a file that had it for not much longer."""
    program = pathlib.Path(process_sampler.__file__).read_text()
    command = [sys.executable, "-c", program, "--seconds=60", "--own-namespace", f"{tmp_path}/*.token"]
    with Sampler(HERE, command) as sampler:
        for _round in range(5):
            (tmp_path / "join.token").write_text(f"token: {secret.value}\n")
            subprocess.run(["sh", "-c", "sleep 0.05; true", secret.value], check=True)
            subprocess.run(["sh", "-c", LATE], check=True, input=f"{secret.value}\n", text=True)
            (tmp_path / "join.token").unlink()
        return sampler.seen()


def test_processes_and_files_of_moments_are_seen(secret: Secret, seen: Seen, tmp_path: pathlib.Path) -> None:
    found = told(canaries.in_processes([secret], seen, HERE))
    assert set(found) == {
        f"{KIND} in the command line of 'sh -c sleep 0.05; true <secret>' on {HERE}",
        f"{KIND} in the variable CANARY of the environment of 'sleep 0.05' on {HERE}",
    }
    source = Source(KIND, (f"{tmp_path}/*.token",), r"token: (\S+)")
    assert list(source.secrets(seen.files)) == [secret]


def test_what_a_program_is_given_in_memory_is_seen(secret: Secret) -> None:
    program = pathlib.Path(process_sampler.__file__).read_text()
    with Sampler(HERE, [sys.executable, "-c", program, "--seconds=60", "--own-namespace"]) as sampler:
        for _round in range(5):
            with ConfigFile([{"token": secret.value}]) as given:
                slow = ["sh", "-c", "sleep 0.05; true", given.path]
                subprocess.run(slow, pass_fds=[given.descriptor], check=True)
        seen = sampler.seen()
    assert list(Source(KIND, ("/memfd:kubeadm",), r'"token": "(\S+)"').secrets(seen.files)) == [secret]


def test_nothing_is_found_in_processes_that_have_no_secret(seen: Seen) -> None:
    assert told(canaries.in_processes([Secret(KIND, uuid.uuid4().hex)], seen, HERE)) == []


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
def test_each_form_is_found_in_what_was_printed(secret: Secret, before: str) -> None:
    task = "TASK [sealer.cluster.kubeadm : Let the host join] ***\n"
    for text in (
        f"changed: {before}{secret.value} later",
        json.dumps({"auth": base64.b64encode(f"{before}{secret.value}!".encode()).decode()}),
        base64.urlsafe_b64encode(f"{before}{secret.value}".encode()).decode(),
        f"https://{before}{secret.value.replace('/', '%2F').replace('+', '%2B')}@example.com/",
    ):
        where = "the output of ansible-playbook, task 'sealer.cluster.kubeadm : Let the host join'"
        assert told(canaries.in_output([secret], f"{task}{text}\n")) == [f"{KIND} in {where}"]
    assert told(canaries.in_output([secret], f"{task}VALUE_SPECIFIED_IN_NO_LOG_PARAMETER\n")) == []


def search(roots: t.Sequence[pathlib.Path], strings: t.Sequence[str]) -> str:
    return json.dumps(list(host_search.in_files(strings, [str(root) for root in roots], since=0)))


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory that everyone can reach."""
    top = pathlib.Path(tempfile.gettempdir())
    for parent in (tmp_path, *tmp_path.parents):
        if parent != top and parent.is_relative_to(top):
            parent.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("mode", "around", "reader"),
    [(0o644, 0o755, host_search.EVERYONE), (0o600, 0o755, host_search.ROOT), (0o644, 0o700, host_search.ROOT)],
)
@pytest.mark.parametrize("encode", [bytes, base64.b64encode], ids=["plain", "base64"])
def test_files_are_found_with_who_can_read_them(
    secret: Secret, directory: pathlib.Path, mode: int, around: int, reader: str, encode: t.Callable[[bytes], bytes]
) -> None:
    file = directory / "ansible-tmp-1/arguments"
    file.parent.mkdir(around)
    (directory / "other").write_text("nothing")
    file.write_bytes(b"\0\xff" + encode(secret.value.encode()) + b"\n")
    file.chmod(mode)
    found = told(canaries.in_host([secret], HERE, (), lambda strings: search([directory], strings)))
    assert found == [f"{KIND} in the file {file} on {HERE}, which {reader} can read"]


def test_a_file_is_the_right_place_for_its_own_kind_and_for_root_alone(secret: Secret, directory: pathlib.Path) -> None:
    file = directory / "token"
    file.write_text(secret.value)
    place = Place(f"{directory}/tok.*", frozenset({KIND}), "it is read from here")

    def found(kind: str, mode: int) -> int:
        file.chmod(mode)
        one = Secret(kind, secret.value)
        return len(told(canaries.in_host([one], HERE, [place], lambda strings: search([directory], strings))))

    assert [found(KIND, 0o600), found(KIND, 0o644), found("other kind", 0o600)] == [0, 1, 1]


def test_files_from_before_are_passed_over(secret: Secret, directory: pathlib.Path) -> None:
    (directory / "old").write_text(secret.value)
    assert list(host_search.in_files([secret.value], [str(directory)], since=time.time() + 60)) == []


def test_what_was_said_in_a_journal_is_found(secret: Secret) -> None:
    text = f"{LINE}nothing\n{LINE}module_args: {secret.value}\n{LINE}the end\n"

    def found(said: str) -> list[str]:
        def answer(strings: t.Sequence[str]) -> str:
            return json.dumps(list(host_search.in_journal(strings, said)))

        return told(canaries.in_host([secret], HERE, (), answer))

    assert found(text) == [f"{KIND} in the journal of {HERE}, said by program"]
    assert found(text.replace(secret.value, "NOT_LOGGING")) == []


def test_objects_of_a_cluster_are_searched_but_for_the_secrets_of_tokens(secret: Secret) -> None:
    data = {"token-secret": base64.b64encode(secret.value.encode()).decode()}
    metadata = {"namespace": "kube-system", "name": "some"}
    leak = {"kind": "ConfigMap", "metadata": metadata, "data": {"config": f"token: {secret.value}"}}
    token = {"kind": "Secret", "type": canaries.BOOTSTRAP_TYPE, "metadata": metadata, "data": data}
    opaque = {**token, "type": "Opaque"}
    assert told(canaries.in_objects([secret], [leak, token, opaque])) == [
        f"{KIND} in ConfigMap kube-system/some of the cluster",
        f"{KIND} in Secret kube-system/some of the cluster",
    ]


def test_a_secret_is_not_shown(secret: Secret) -> None:
    assert secret.value not in repr(secret)
    seen = Seen(commands=[f"program {secret.value}"], variables=[(f"{secret.value}=1", "program")], files={})
    assert not [text for text in told(canaries.in_processes([secret], seen, HERE)) if secret.value in text]


def test_a_secret_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="found by accident"):
        Secret(KIND, "short")
