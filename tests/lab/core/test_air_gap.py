# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that tries to leave the lab's network is seen and gets nowhere; other tests rely on it when they see none."""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import time
import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.lab.lab import Lab, wait_for

# What the site's resolver answers for every name with a dot in it.
OUTSIDE = "198.51.100.1"
POD = "10.244.9.9"
# Sends one packet, or opens a connection, and does not wait for what becomes of it.
PROBE = """
import socket, sys
protocol, address, port, sender, text = sys.argv[1:]
kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "icmp": socket.SOCK_RAW}[protocol]
family, _, _, _, place = socket.getaddrinfo(address, int(port), type=socket.SOCK_DGRAM)[0]
with socket.socket(family, kind, getattr(socket, f"IPPROTO_{protocol.upper()}")) as probe:
    if sender:
        probe.setsockopt(socket.IPPROTO_IP, socket.IP_TRANSPARENT, 1)
        probe.bind((sender, 0))
    probe.setblocking(False)
    probe.connect_ex(place)
    if protocol != "tcp":
        probe.send(text.encode())
"""


@pytest.fixture(autouse=True)
def air_gap(lab: Lab) -> t.Iterator[None]:
    assert lab.air_gap.attempts() == {}
    yield
    lab.air_gap.forget()


@pytest.fixture
def host(lab: Lab) -> str:
    return list(lab.hosts)[-1]


@contextlib.contextmanager
def address_of_this_machine(address: str) -> t.Iterator[None]:
    subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "address", "delete", f"{address}/32", "dev", "lo"], check=True)


def probe(lab: Lab, host: str, protocol: str, address: str, port: int, sender: str = "", text: str = "probe") -> None:
    arguments = shlex.join([protocol, address, str(port), sender, text])
    lab.ssh(host, f"python3 - {arguments}", given=PROBE)


def attempts(lab: Lab, packets: int = 1) -> dict[str, int]:
    """Those of so many packets, of which some may still wait for the gateway's hardware address."""
    end = time.monotonic() + 10
    while sum((seen := lab.air_gap.attempts()).values()) < packets and time.monotonic() < end:
        time.sleep(0.1)
    return seen


@pytest.mark.parametrize(
    ("protocol", "address", "port", "seen"),
    [
        ("tcp", "192.0.2.7", 443, "192.0.2.7 tcp/443"),
        ("tcp", "registry.k8s.io", 443, f"{OUTSIDE} (registry.k8s.io) tcp/443"),
        ("tcp", "2001:db8::1", 443, "2001:db8::1 tcp/443"),
        ("udp", "203.0.113.9", 123, "203.0.113.9 udp/123"),
        ("udp", "203.0.113.53", 53, "203.0.113.53 udp/53"),
        ("udp", "2001:db8::53", 53, "2001:db8::53 udp/53"),
        ("icmp", "203.0.113.9", 0, "203.0.113.9 protocol 1"),
    ],
)
def test_an_attempt_is_seen(lab: Lab, host: str, protocol: str, address: str, port: int, seen: str) -> None:
    probe(lab, host, protocol, address, port)
    assert list(attempts(lab)) == [f"{host} -> {seen}"]


def test_each_host_is_seen_with_each_of_its_attempts(lab: Lab) -> None:
    tries = [(host, port) for host in lab.hosts for port in (9, 10)]
    for host, port in tries:
        probe(lab, host, "udp", "203.0.113.9", port)
        probe(lab, host, "udp", "203.0.113.9", port)
    expected = {f"{host} -> 203.0.113.9 udp/{port}": 2 for host, port in tries}
    assert attempts(lab, 2 * len(tries)) == expected


def test_a_pod_that_is_not_masqueraded_is_seen_as_its_host(lab: Lab, host: str) -> None:
    probe(lab, host, "udp", "203.0.113.9", 9, sender=POD)
    assert list(attempts(lab)) == [f"{host} -> 203.0.113.9 udp/9"]


def test_a_host_that_started_again_is_seen(lab: Lab, host: str) -> None:
    subprocess.run(["podman", "kill", host], check=True, capture_output=True)
    subprocess.run(["podman", "start", host], check=True, capture_output=True)
    up = "systemctl is-system-running --wait"
    wait_for(lambda: lab.ssh(host, up, check=False).strip() in ("running", "degraded"), 60)
    assert lab.air_gap.attempts() == {}
    probe(lab, host, "tcp", "registry.k8s.io", 443)
    assert list(attempts(lab)) == [f"{host} -> {OUTSIDE} (registry.k8s.io) tcp/443"]


def test_nothing_gets_out(lab: Lab, host: str) -> None:
    """This machine has the address outside, and would receive what is for it before what is for the gateway."""
    with address_of_this_machine(OUTSIDE), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("", 0))
        receiver.settimeout(10)
        port = receiver.getsockname()[1]
        probe(lab, host, "udp", "registry.k8s.io", port, text="left")
        probe(lab, host, "udp", f"{lab.subnet}.1", port, text="stayed")
        assert receiver.recv(100) == b"stayed"
    assert list(attempts(lab)) == [f"{host} -> {OUTSIDE} (registry.k8s.io) udp/{port}"]


def test_what_stays_in_the_network_is_no_attempt(lab: Lab, host: str) -> None:
    other = f"exec 3<>/dev/tcp/{lab.hosts[lab.control_plane]}/22 && head -c 4 <&3"
    assert lab.ssh(host, "getent hosts ghcr.io").split() == [OUTSIDE, "ghcr.io"]
    assert lab.ssh(host, f"bash -c {shlex.quote(other)}") == "SSH-"
    assert lab.air_gap.attempts() == {}


@pytest.mark.parametrize("address", ["10.96.0.1", "10.43.0.1", "10.244.1.2"])
def test_what_is_for_a_service_or_a_pod_is_no_attempt(lab: Lab, host: str, address: str) -> None:
    """Before kube-proxy has made its rules such packets come to the gateway, and end there."""
    probe(lab, host, "tcp", address, 443)
    wait_for(lambda: lab.air_gap.packets("cluster") > 0, 10)
    assert lab.air_gap.attempts() == {}


def test_the_resolver_knows_no_name_of_this_site(lab: Lab, host: str) -> None:
    """A host's own name is in its /etc/hosts; an answer for others' would hide what a playbook has to configure."""
    asked = f"getent hosts {host}; getent hosts {lab.control_plane}; getent hosts {lab.hosts[lab.control_plane]}"
    assert lab.ssh(host, asked, check=False).split() == ["127.0.1.1", host]
