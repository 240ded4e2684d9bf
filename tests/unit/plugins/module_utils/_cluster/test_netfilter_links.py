# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding what Kubernetes left in the kernel: rules, links, mounts. Fixtures are recorded from a control plane."""

from __future__ import annotations

import contextlib
import json
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import links, netfilter
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import NOT_FOUND, Completed
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
SAVED = (FIXTURES / "iptables-save.txt").read_text()


class FakeRun:
    """Answers by the words of a command; remembers what was asked."""

    def __init__(self, **answers: t.Union[str, int]) -> None:
        self.answers = {key.replace("_", "-"): value for key, value in answers.items()}
        self.asked: t.List[t.Tuple[str, t.Optional[str]]] = []

    def __call__(
        self,
        command: t.Sequence[str],
        *,
        data: t.Optional[str] = None,
        environ: t.Optional[t.Mapping[str, str]] = None,
        cwd: t.Optional[str] = None,
        descriptors: t.Sequence[int] = (),
    ) -> Completed:
        del environ, cwd, descriptors
        words = " ".join(command)
        self.asked.append((words, data))
        for key, answer in self.answers.items():
            if words == key or words.startswith(f"{key} "):
                return Completed(0, answer, "") if isinstance(answer, str) else Completed(answer, "", "no")
        return Completed(NOT_FOUND, "", "not found")


def apply_removal(saved: str, removal: str) -> str:
    """What iptables-restore --noflush makes of a rule set, in few words."""
    tables: t.Dict[str, t.List[str]] = {}
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line
            tables[table] = []
        elif line != "COMMIT":
            tables[table].append(line)
    for line in removal.splitlines():
        if line.startswith("*"):
            table = line
        elif line.startswith(":"):
            name = line[1:].split()[0]
            tables[table] = [rule for rule in tables[table] if not rule.startswith(f"-A {name} ")]
        elif line.startswith("-D"):
            tables[table].remove(f"-A{line[2:]}")
        elif line.startswith("-X"):
            assert not [
                rule for rule in tables[table] if f"-j {line[3:]}" in rule.split("--comment")[-1].split('"')[-1]
            ]
            tables[table] = [rule for rule in tables[table] if not rule.startswith(f":{line[3:]} ")]
    return "\n".join(rule for lines in tables.values() for rule in lines)


def test_only_what_is_ours_goes() -> None:
    ruleset = netfilter.parse_save(SAVED)
    left = apply_removal(SAVED, ruleset.removal())
    assert "KUBE-MARK-MASQ" in ruleset.chains["nat"]
    assert "FLANNEL-FWD" in ruleset.chains["filter"]
    assert ":GUEST - [0:0]" in left
    assert "-A GUEST -j RETURN" in left
    assert '-A FORWARD -s 203.0.113.9/32 -m comment --comment "guest of KUBE-world -j KUBE-SERVICES" -j DROP' in left
    others = [line for line in left.splitlines() if "203.0.113.9" not in line]
    assert not [line for line in others if "KUBE-" in line or "FLANNEL-" in line or "CNI-" in line]
    assert netfilter.parse_save(left).empty


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("-A FORWARD -j KUBE-FORWARD", True),
        ("-A FORWARD -g CNI-ADMIN", True),
        ("-A MINE -j KUBE-MARK-MASQ", True),
        ("-A FORWARD -j MY-KUBE-X", False),
        ('-A FORWARD -m comment --comment "-j KUBE-X" -j ACCEPT', False),
        ("-A FORWARD -s 10.0.0.0/8 -j ACCEPT", False),
        ("-A KUBE-X -j ACCEPT", False),
    ],
)
def test_rules_that_jump_to_ours(line: str, ours: bool) -> None:
    rules = netfilter.parse_save(f"*filter\n:FORWARD ACCEPT [0:0]\n{line}\nCOMMIT\n").rules
    assert rules == ({"filter": [line]} if ours else {})


def test_nothing_ours_removes_nothing() -> None:
    ruleset = netfilter.parse_save("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n")
    assert ruleset.empty
    assert ruleset.removal() == ""


@pytest.mark.parametrize(
    ("present", "found"),
    [
        (["iptables-nft", "iptables-legacy", "iptables"], ["iptables-nft", "iptables-legacy"]),
        (["iptables", "ip6tables"], ["iptables", "ip6tables"]),
        ([], []),
    ],
)
def test_variants_are_asked_once(present: t.List[str], found: t.List[str]) -> None:
    assert netfilter.save_programs(FakeRun(**{f"{name}_save": "v1" for name in present})) == found


def test_iptables_own_tables_go_only_when_they_came_later_and_are_hollow() -> None:
    hollow = '{"nftables": [{"metainfo": {}}, {"table": {}}, {"chain": {"name": "POSTROUTING", "policy": "accept"}}]}'
    used = '{"nftables": [{"table": {}}, {"rule": {"chain": "FORWARD", "expr": [{"drop": null}]}}]}'
    run = FakeRun()
    run.answers = {
        "nft -j list tables": (FIXTURES / "nft-tables.json").read_text(),
        "nft -j list table ip nat": hollow,
        "nft -j list table ip mangle": hollow,
        "nft -j list table ip filter": used,
        "nft -j list table ip6": hollow,
    }
    every = set(netfilter.nft_tables(run))
    assert ("ip", "nat") in every
    found = netfilter.our_nft_tables(run, [["ip", "mangle"]])
    assert ("ip", "nat") in found
    assert ("ip", "mangle") not in found
    assert ("ip", "filter") not in found
    assert netfilter.our_nft_tables(run, None) == []


def test_links_of_the_network() -> None:
    run = FakeRun(**{"ip": (FIXTURES / "links.json").read_text()})
    patterns = ["cni0", "flannel.*"]
    found = links.left_links(run, patterns, ["lo", "eth0"])
    assert found[-1] == "cni0"
    assert "flannel.1" in found
    assert len([name for name in found if name.startswith("veth")]) == 2
    assert "eth0" not in found
    assert "flannel.1" not in links.left_links(run, patterns, ["flannel.1"])


def held(*addresses: str) -> str:
    """What ip says of a link with these addresses."""
    pairs = [address.split("/") for address in addresses]
    return json.dumps([{"ifname": "eth0", "addr_info": [{"local": one, "prefixlen": int(n)} for one, n in pairs]}, {}])


def test_addresses_that_pods_gave() -> None:
    run = FakeRun(ip=held("10.0.0.11/24", "10.0.0.50/32", "fd00::50/128"))
    assert links.left_addresses(run, ["10.0.0.50", "fd00:0::50"], []) == [
        ("eth0", "10.0.0.50/32"),
        ("eth0", "fd00::50/128"),
    ]
    assert links.left_addresses(run, ["10.0.0.50", "10.0.0.1"], ["10.0.0.50/32"]) == []
    asked = len(run.asked)
    assert links.left_addresses(run, [], []) == []
    assert len(run.asked) == asked
    with pytest.raises(ClusterError, match="IP addresses: 'vip'"):
        links.left_addresses(run, ["vip"], [])


@pytest.mark.parametrize(("left", "stays"), [("10.0.0.11/24", False), ("10.0.0.50/32", True)])
def test_an_address_may_be_gone_meanwhile(left: str, stays: bool) -> None:
    answers: t.Dict[str, t.Union[str, int]] = {"ip address": 2, "ip": held(left)}
    run = FakeRun(**answers)
    with pytest.raises(ClusterError, match="cannot be taken from eth0") if stays else contextlib.nullcontext():
        links.remove_address(run, "eth0", "10.0.0.50/32")
    assert run.asked[0][0] == "ip address delete 10.0.0.50/32 dev eth0"


def test_mounts_of_pods_deepest_first() -> None:
    found = links.left_mounts((FIXTURES / "mountinfo.txt").read_text())
    assert "/var/lib/kubelet/pods/a/volumes/with space" in found
    assert "/" not in found
    assert "/var/lib/kubelet" not in found
    assert any(path.startswith("/run/netns/cni-") for path in found)
    assert [path.count("/") for path in found] == sorted((path.count("/") for path in found), reverse=True)
