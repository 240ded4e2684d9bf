# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the machine's end of a lab's network has counted and dropped (templates/air_gap.nft.j2)."""

from __future__ import annotations

import collections
import dataclasses
import json
import pathlib
import re
import socket
import subprocess

_WITH_PORTS = {socket.IPPROTO_TCP: "tcp", socket.IPPROTO_UDP: "udp"}
_ANSWER = re.compile(r" config (\S+) is ([0-9.]+)$", re.MULTILINE)


def _nft(*command: str) -> str:
    return subprocess.run(("nft", *command), capture_output=True, text=True, check=True).stdout


@dataclasses.dataclass(frozen=True)
class AirGap:
    """The way out of a lab's network.

    table: nftables' table of the family inet; hosts: name to IPv4 address; answers: the log of the site's resolver.
    """

    table: str
    hosts: dict[str, str]
    answers: pathlib.Path

    def attempts(self) -> dict[str, int]:
        """Packets for addresses outside of the network, by "HOST -> ADDRESS (NAMES) tcp/443".

        NAMES are those for which the site's resolver answered with the address.
        """
        entries = json.loads(_nft("--json", "--numeric-protocol", "list", "table", "inet", self.table))["nftables"]
        elements = [element["elem"] for entry in entries for element in entry.get("set", {}).get("elem", ())]
        senders = {_hardware_address(address): name for name, address in self.hosts.items()}
        names = self._names()
        found: collections.Counter[str] = collections.Counter()
        for element in elements:
            sender, address, protocol, port = element["val"]["concat"]
            place = f"{address} ({', '.join(sorted(names[address]))})" if address in names else address
            # Where other protocols have no port, the packet filter recorded what they have in its place.
            service = f"{_WITH_PORTS[protocol]}/{port}" if protocol in _WITH_PORTS else f"protocol {protocol}"
            found[f"{senders.get(sender, sender)} -> {place} {service}"] += element["counter"]["packets"]
        # A set takes no more than its size; the counter tells of all.
        return dict(found + collections.Counter({"not recorded": self.packets("left") - found.total()}))

    def packets(self, counter: str) -> int:
        """How many packets one of the table's counters has seen."""
        (entry,) = json.loads(_nft("--json", "list", "counter", "inet", self.table, counter))["nftables"][1:]
        return int(entry["counter"]["packets"])

    def forget(self) -> None:
        """Begin again with nothing attempted and no name asked for."""
        _nft("reset", "counters", "table", "inet", self.table)
        for name in ("attempts", "attempts6"):
            _nft("flush", "set", "inet", self.table, name)
        self.answers.write_text("")

    def _names(self) -> dict[str, set[str]]:
        names: dict[str, set[str]] = {}
        for name, address in _ANSWER.findall(self.answers.read_text()):
            names.setdefault(address, set()).add(name)
        return names


def _hardware_address(address: str) -> str:
    """That of a host, which tasks/hosts.yml makes from its IPv4 address."""
    return ":".join(["02", "00", *(f"{int(part):02x}" for part in address.split("."))])
