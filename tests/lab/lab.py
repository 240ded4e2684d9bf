# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab as a Python object: its hosts, playbooks run against it, and what they said."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import time
import typing as t

import yaml
from ansible_collections.sealer.cluster.tests.lab.air_gap import AirGap

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("SEALER_CACHE") or pathlib.Path.home() / ".cache/sealer-cluster")
STORE = pathlib.Path(os.environ.get("SEALER_LAB_STORE") or CACHE / "store")
DEMO_IMAGE = "demo:1"
RECAP = re.compile(
    r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)\s+skipped=(\d+)", re.MULTILINE
)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# A machine lets all its hosts together watch so many files only, and four nodes come close to that.
MANY_HOSTS = 4
FEW_WATCHES = "systemctl --quiet mask --now systemd-logind.service dbus.socket dbus.service"

Inventories = dict[str, dict[str, t.Any]]


@dataclasses.dataclass(frozen=True)
class Recap:
    """A host's line of a play recap."""

    ok: int
    changed: int
    unreachable: int
    failed: int
    skipped: int

    @property
    def tasks(self) -> int:
        """Tasks that reached this host, the skipped ones included."""
        return self.ok + self.unreachable + self.failed + self.skipped


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished ansible-playbook."""

    status: int
    text: str

    @property
    def hosts(self) -> dict[str, Recap]:
        return {host: Recap(*map(int, numbers)) for host, *numbers in RECAP.findall(self.text)}

    @property
    def unchanged(self) -> bool:
        """Whether every host was reached and nothing had to be done on any."""
        return all(host.changed == host.failed == host.unreachable == 0 for host in self.hosts.values())


@functools.cache
def installed() -> dict[str, str]:
    """The environment in which the collection is installed as users have it, with the newest versions it allows."""
    script = HERE.parent / "tools" / "installed.sh"
    done = subprocess.run([script], stdout=subprocess.PIPE, text=True, check=True)
    return dict(word.split("=", 1) for word in shlex.split(done.stdout)[1:])


def playbook(
    name: str,
    *arguments: str,
    interrupted: t.Optional[t.Callable[[], bool]] = None,
    interruption: signal.Signals = signal.SIGINT,
    **environment: str,
) -> Run:
    """Run a playbook by file or FQCN; what it printed is in the result, whatever came of it.

    interrupted: tells when it gets the interruption, which is Ctrl-C unless said.
    """
    settings = {**os.environ, **installed(), "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1", **environment}
    pipes: dict[str, t.Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = ["ansible-playbook", name, *arguments]
    with subprocess.Popen(
        command, env=settings, cwd=HERE, start_new_session=interrupted is not None, **pipes
    ) as process:
        if interrupted is not None:
            wait_for(lambda: process.poll() is not None or interrupted(), 600)
            if process.poll() is None:
                os.killpg(process.pid, interruption)
        output, errors = process.communicate(timeout=1800)
    return Run(process.returncode, COLOUR.sub("", output + errors))


@dataclasses.dataclass(frozen=True)
class Lab:
    """Hosts made by create.yml, control planes first.

    name: prefix of the hosts' names; workers, control_planes: how many of each; registries: how many hosts, from the
    first on, are registry hosts (0: the control planes are, without the group); subnet: first three bytes of its
    network's addresses; image: what site installs; kubeconfig: the administrator's, on a
    control plane.
    """

    name: str
    workers: int = 1
    registries: int = 0
    subnet: str = "10.77.88"
    control_planes: int = 1
    image: str = DEMO_IMAGE
    kubeconfig: str = "/etc/kubernetes/admin.conf"
    chosen: tuple[str, ...] = ()

    def _make(self, action: str) -> None:
        run = playbook(
            f"{HERE}/{action}.yml",
            "--inventory=localhost,",
            "--connection=local",
            "--extra-vars",
            json.dumps(
                {
                    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                    "lab_name": self.name,
                    "lab_control_planes": self.control_planes,
                    "lab_workers": self.workers,
                    "lab_registries": self.registries,
                    "lab_state": str(CACHE / "lab"),
                    "lab_subnet_prefix": self.subnet,
                }
            ),
        )
        if run.status:
            raise RuntimeError(run.text)

    def create(self) -> None:
        self._make("create")

    def destroy(self) -> None:
        self._make("destroy")

    @contextlib.contextmanager
    def running(self) -> t.Iterator[Lab]:
        """Hosts made anew, and removed at the end; SEALER_LAB_KEEP=1 leaves them for a look around."""
        self.destroy()
        try:
            self.create()
            if len(self.hosts) >= MANY_HOSTS:
                for host in self.hosts:
                    self.ssh(host, FEW_WATCHES)
            yield self
        finally:
            if not os.environ.get("SEALER_LAB_KEEP"):
                self.destroy()

    @property
    def directory(self) -> pathlib.Path:
        return CACHE / "lab" / self.name

    @property
    def inventory(self) -> pathlib.Path:
        return self.directory / f"{'+'.join(self.chosen) or 'hosts'}.yml"

    @property
    def hosts(self) -> dict[str, str]:
        """Name to address."""
        names = [f"{self.name}-cp{number + 1}" for number in range(self.control_planes)]
        names += [f"{self.name}-w{number + 1}" for number in range(self.workers)]
        return {
            name: f"{self.subnet}.{11 + index}"
            for index, name in enumerate(names)
            if not self.chosen or name in self.chosen
        }

    def managed(self, host: str) -> str:
        """Where Ansible reaches a host, which is not the address that other nodes know."""
        prefix, dot, number = self.hosts[host].rpartition(".")
        return f"10.78.{prefix.rpartition('.')[2]}{dot}{number}"

    @property
    def control_plane(self) -> str:
        return f"{self.name}-cp1"

    def only(self, *names: str) -> Lab:
        """The same hosts, with these alone in the inventory."""
        groups = yaml.safe_load(self.inventory.read_text())
        for group in groups.values():
            for name in set(group.get("hosts", {})) - set(names):
                del group["hosts"][name]
        chosen = dataclasses.replace(self, chosen=names)
        chosen.inventory.write_text(yaml.safe_dump(groups))
        return chosen

    def play(
        self,
        name: str,
        *arguments: str,
        variables: t.Optional[dict[str, object]] = None,
        interrupted: t.Optional[t.Callable[[], bool]] = None,
        interruption: signal.Signals = signal.SIGINT,
        **environment: str,
    ) -> Run:
        """Run a playbook of the collection on this lab's hosts with its image, until it is interrupted, if it is.

        Variables go into a file that only root can read, because a command line is there for all to see.
        """
        given = self.directory / "variables.json"
        given.touch(mode=0o600)
        given.write_text(json.dumps({"sealer_image": self.image, "sealer_store": str(STORE), **(variables or {})}))
        return playbook(
            f"sealer.cluster.{name}",
            f"--inventory={self.inventory}",
            f"--extra-vars=@{HERE}/cluster.yml",
            f"--extra-vars=@{given}",
            *arguments,
            interrupted=interrupted,
            interruption=interruption,
            **environment,
        )

    def ssh_command(self, host: str, command: str) -> list[str]:
        """What runs a shell command on a host."""
        options = ["-i", f"{self.directory}/id_ed25519", "-o", f"UserKnownHostsFile={self.directory}/known_hosts"]
        return ["ssh", *options, "-o", "BatchMode=yes", f"root@{self.hosts[host]}", command]

    def ssh(self, host: str, command: str, *, given: str = "", check: bool = True) -> str:
        """What a shell command on a host prints."""
        whole = self.ssh_command(host, command)
        done = subprocess.run(whole, input=given, capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode:
            raise RuntimeError(f"{host}: {command}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def holds_no_lease(self, host: str) -> bool:
        """Whether nobody changes the cluster: a lease ends within seconds after its run."""
        return self.ssh(host, "ls /run/sealer-lease 2>/dev/null; true") == ""

    def inventory_of(self, host: str) -> dict[str, t.Any]:
        """What is on a host (host_inventory.py) once no run holds it any more."""
        wait_for(functools.partial(self.holds_no_lease, host), 60)
        program = (HERE / "host_inventory.py").read_text()
        return t.cast("dict[str, t.Any]", json.loads(self.ssh(host, "python3 -", given=program)))

    def inventories(self, *names: str) -> Inventories:
        """What is on all hosts, or on these."""
        asked = names or tuple(self.hosts)
        with concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:
            return dict(zip(asked, pool.map(self.inventory_of, asked), strict=True))

    def changes_since(self, before: Inventories, *names: str) -> dict[str, list[str]]:
        """What all hosts, or these, have now that they had not, and the other way round; only hosts with a change."""
        found = self.inventories(*names)
        told = {host: differences(before[host], after) for host, after in found.items()}
        return {host: lines for host, lines in told.items() if lines}

    @property
    def kubectl_command(self) -> str:
        """How kubectl is run on a control plane."""
        return f"KUBECONFIG={self.kubeconfig} kubectl --cache-dir /tmp/kubectl"

    def kubectl(self, command: str, asked: t.Optional[str] = None) -> t.Any:
        """The JSON of a kubectl command on this control plane, or the first."""
        return json.loads(self.ssh(asked or self.control_plane, f"{self.kubectl_command} {command} --output json"))

    def readiness(self, asked: t.Optional[str] = None) -> dict[str, str]:
        """Names of the nodes with what their condition Ready says, as a control plane is told by its own API server."""
        return {
            node["metadata"]["name"]: told["status"]
            for node in self.kubectl("get nodes", asked)["items"]
            for told in node["status"]["conditions"]
            if told["type"] == "Ready"
        }

    @property
    def air_gap(self) -> AirGap:
        """What counts and drops the packets that try to leave this lab's network."""
        return AirGap(f"sealer_lab_{self.name}", self.hosts, self.directory / "resolver.log")


def differences(before: dict[str, t.Any], after: dict[str, t.Any]) -> list[str]:
    """Lines that tell two inventories apart; none where they are equal."""
    told = []
    for part in sorted(set(before) | set(after)):
        old, new = before[part], after[part]
        old_items = set(old.items()) if isinstance(old, dict) else set(old)
        new_items = set(new.items()) if isinstance(new, dict) else set(new)
        told += [f"{part}: gone: {item}" for item in sorted(map(str, old_items - new_items))]
        told += [f"{part}: left: {item}" for item in sorted(map(str, new_items - old_items))]
    return told


def wait_for(what: t.Callable[[], bool], seconds: float) -> float:
    """How long it took; fails when it takes longer."""
    start = time.monotonic()
    while not what():
        assert time.monotonic() - start < seconds
        time.sleep(0.2)
    return time.monotonic() - start
