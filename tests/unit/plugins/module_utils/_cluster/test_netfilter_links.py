# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding what Kubernetes left in the kernel: rules and links. Fixtures are recorded from a control plane."""

from __future__ import annotations

import contextlib
import json
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import cni, links, netfilter
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import NOT_FOUND, Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.netfilter import Owners
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
    return "\n".join(line for table, lines in tables.items() for line in [table, *lines])


def test_only_what_is_ours_goes() -> None:
    ruleset, kept = netfilter.parse_save(SAVED)
    assert kept == []
    left = apply_removal(SAVED, ruleset.removal())
    assert "KUBE-MARK-MASQ" in ruleset.chains["nat"]
    assert "FLANNEL-FWD" in ruleset.chains["filter"]
    assert ":GUEST - [0:0]" in left
    assert "-A GUEST -j RETURN" in left
    assert '-A FORWARD -s 203.0.113.9/32 -m comment --comment "guest of KUBE-world -j KUBE-SERVICES" -j DROP' in left
    others = [line for line in left.splitlines() if "203.0.113.9" not in line]
    assert not [line for line in others if "KUBE-" in line or "FLANNEL-" in line or "CNI-" in line]
    assert netfilter.parse_save(left)[0].empty


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("-A FORWARD -j KUBE-FORWARD", True),
        ("-A FORWARD -g CNI-ADMIN", True),
        ("-A MINE -j KUBE-MARK-MASQ", True),
        ("-A FORWARD -j MY-KUBE-X", False),
        ("-A FORWARD -j KUBE-OF-NO-CHAIN", False),
        ("-A FORWARD -m comment --comment it's -j KUBE-X", True),
        ('-A FORWARD -m comment --comment "-j KUBE-X" -j ACCEPT', False),
        ("-A FORWARD -s 10.0.0.0/8 -j ACCEPT", False),
        ("-A KUBE-X -j ACCEPT", False),
    ],
)
def test_rules_that_jump_to_ours(line: str, ours: bool) -> None:
    chains = "".join(f":{name} - [0:0]\n" for name in ("KUBE-FORWARD", "CNI-ADMIN", "KUBE-MARK-MASQ", "KUBE-X"))
    rules = netfilter.parse_save(f"*filter\n:FORWARD ACCEPT [0:0]\n{chains}{line}\nCOMMIT\n")[0].rules
    assert rules == ({"filter": [line]} if ours else {})


def test_nothing_ours_removes_nothing() -> None:
    ruleset, kept = netfilter.parse_save("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n")
    assert ruleset.empty and kept == []
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


def test_a_variant_that_does_not_tell_its_rules_is_reported() -> None:
    answers: t.Dict[str, t.Union[str, int]] = {
        "iptables-nft-save --version": "v1",
        "iptables-nft-save": 4,
        "iptables-legacy-save --version": "v1",
        "iptables-legacy-save": SAVED,
    }
    run = FakeRun(**answers)
    found, kept = netfilter.rulesets(run, Owners(), {})
    assert list(found) == ["iptables-legacy"]
    assert "iptables-nft-save: its chains cannot be read, so those of the node, if there are any, stay: no" in map(
        str, kept
    )
    assert list(netfilter.snapshot(run)) == ["iptables-legacy"]


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
    found = netfilter.our_nft_tables(run, [["ip", "mangle"]], {}, {})
    assert ("ip", "nat") in found
    assert ("ip", "mangle") not in found
    assert ("ip", "filter") not in found
    assert netfilter.our_nft_tables(run, None, {}, {}) == []


@pytest.mark.parametrize(
    ("before", "others", "found"),
    [
        (None, {}, [("ip", "kube-proxy"), ("inet", "flannel-ipv4")]),
        ([["ip", "kube-proxy"]], {}, [("inet", "flannel-ipv4")]),
        ([], {"FLANNEL-": "flanneld runs"}, [("ip", "kube-proxy")]),
        ([], {"KUBE-": "kube-proxy runs"}, [("inet", "flannel-ipv4")]),
    ],
)
def test_tables_that_kubernetes_names(
    before: t.Any, others: t.Dict[str, str], found: t.List[t.Tuple[str, str]]
) -> None:
    tables = [{"table": {"family": f, "name": n}} for f, n in (("ip", "kube-proxy"), ("inet", "flannel-ipv4"))]
    run = FakeRun(nft=json.dumps({"nftables": tables}))
    assert netfilter.our_nft_tables(run, before, {}, others) == found


def test_a_table_with_a_chain_that_stays_is_not_hollow() -> None:
    chains = [{"chain": {"name": name}} for name in ("CNI-podman", "KUBE-X")]
    run = FakeRun()
    run.answers = {
        "nft -j list tables": '{"nftables": [{"table": {"family": "ip", "name": "nat"}}]}',
        "nft -j list table ip nat": json.dumps({"nftables": chains}),
    }
    for ours, hollow in ((["KUBE-X"], []), (["KUBE-X", "CNI-podman"], [("ip", "nat")])):
        leaving = {"iptables-nft": netfilter.Ruleset({"nat": ours}, {})}
        assert netfilter.our_nft_tables(run, [], leaving, {}) == hollow


def saved(*lines: str) -> str:
    """What iptables-save says of the table nat with these chains and rules."""
    return "\n".join(["*nat", *lines, "COMMIT"])


def purpose(network: str, container: str = "c0ffee") -> str:
    return f'-m comment --comment "name: \\"{network}\\" id: \\"{container}\\""'


@pytest.mark.parametrize(
    ("rule", "ours"),
    [
        (f"-A CNI-X {purpose('cbr0')} -j ACCEPT", True),
        (f"-A CNI-X {purpose('podman')} -j ACCEPT", False),
        # A further network of a pod of ours.
        (f"-A CNI-X {purpose('macvlan', 'abad1dea')} -j ACCEPT", True),
        (f"-A POSTROUTING -s 10.244.0.2/32 {purpose('cbr0')} -j CNI-X", True),
        (f"-A POSTROUTING -s 10.88.0.2/32 {purpose('podman')} -j CNI-X", False),
        ("-A CNI-X -j ACCEPT", False),
    ],
)
def test_a_chain_of_cni_is_whose_its_comments_say(rule: str, ours: bool) -> None:
    owners = Owners(networks=cni.Networks(containers=frozenset({"abad1dea"})))
    ruleset, kept = netfilter.parse_save(saved(":CNI-X - [0:0]", rule), owners)
    assert ruleset.chains == ({"nat": ["CNI-X"]} if ours else {})
    assert [one.what for one in kept] == ([] if ours else ["-t nat CNI-X"])


@pytest.mark.parametrize(
    ("rule", "ours"),
    [
        ("-A CNI-FORWARD -s 10.244.0.2/32 -j ACCEPT", True),
        ("-A CNI-FORWARD -d 10.88.0.2/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", False),
        ("-A CNI-FORWARD -m comment --comment overrides -j CNI-ADMIN", True),
        ("-A FORWARD -j CNI-FORWARD", True),
        ("-A CNI-ADMIN -p tcp -j DROP", False),
        ("-A CNI-ADMIN -j DROP", False),
        ("-A CNI-ISOLATION-STAGE-1 -i cni-podman0 -j CNI-ISOLATION-STAGE-2", False),
        ("-A CNI-ISOLATION-STAGE-1 -j RETURN", True),
    ],
)
def test_chains_that_networks_share_go_when_nobody_else_uses_them(rule: str, ours: bool) -> None:
    owners = Owners(networks=cni.Networks(addresses=frozenset({"10.244.0.2"})))
    names = ["CNI-FORWARD", "CNI-ADMIN", "CNI-ISOLATION-STAGE-1", "CNI-ISOLATION-STAGE-2"]
    text = saved(*(f":{name} - [0:0]" for name in names), rule)
    ruleset, kept = netfilter.parse_save(text, owners)
    assert ruleset.chains == ({"nat": names} if ours else {})
    assert [one.why for one in kept] == ([] if ours else ["other CNI networks use it, too"])


def test_what_the_pods_have_in_chains_of_others_goes() -> None:
    owners = Owners(networks=cni.Networks(addresses=frozenset({"10.244.0.2"})))
    ours = "-A CNI-FORWARD -s 10.244.0.2/32 -j ACCEPT"
    text = saved(":CNI-FORWARD - [0:0]", "-A CNI-FORWARD -s 10.88.0.2/32 -j ACCEPT", ours)
    assert netfilter.parse_save(text, owners)[0] == netfilter.Ruleset({}, {"nat": [ours]})


def test_what_was_there_before_is_known_by_the_whole_line() -> None:
    text = saved(":KUBE-X - [0:0]", ":CNI-X - [0:0]", ":MINE - [0:0]", "-A KUBE-X -j CNI-X", "-A MINE -j RETURN")
    assert netfilter.lines(text) == ["nat -N KUBE-X", "nat -N CNI-X", "nat -A KUBE-X -j CNI-X"]
    run = FakeRun(**{"iptables_save --version": "v1", "iptables_save": text})
    assert netfilter.snapshot(run) == {"iptables": netfilter.lines(text)}
    assert netfilter.rulesets(run, Owners(), netfilter.snapshot(run))[0] == {}


def test_links_of_the_network() -> None:
    run = FakeRun(**{"ip": (FIXTURES / "links.json").read_text()})
    patterns = ["cni0", "flannel.*"]
    found, kept = links.left_links(run, patterns, ["lo", "eth0"], Owners())
    assert kept == []
    assert found[-1] == "cni0"
    assert "flannel.1" in found
    assert len([name for name in found if name.startswith("veth")]) == 2
    assert "eth0" not in found
    assert "flannel.1" not in links.left_links(run, patterns, ["flannel.1"], Owners())[0]
    # On a bridge of somebody else's, everything is.
    assert links.left_links(run, patterns, ["lo", "eth0", "cni0"], Owners())[0] == ["flannel.1"]


def entry(name: str, master: str = "", netns: str = "", kind: str = "") -> t.Dict[str, t.Any]:
    return {"ifname": name, "master": master, "link_netns": netns, "linkinfo": {"info_kind": kind}}


@pytest.mark.parametrize(
    ("owners", "namespaces", "kept"),
    [
        (Owners(), [], []),
        (Owners(), ["cni-2"], ["link cni0", "link veth2"]),
        (Owners(networks=cni.Networks(links=frozenset({"veth1"}))), [], ["link cni0", "link veth1"]),
        (Owners(networks=cni.Networks(links=frozenset({"cni0"}))), [], ["link cni0"]),
        (Owners(others={"FLANNEL-": "flanneld runs"}), [], ["link flannel.1"]),
    ],
)
def test_links_of_others_stay(owners: Owners, namespaces: t.List[str], kept: t.List[str]) -> None:
    there = [entry("cni0"), entry("veth1", "cni0", "cni-1"), entry("veth2", "cni0", "cni-2"), entry("flannel.1")]
    run = FakeRun(ip=json.dumps(there))
    ours, stays = links.left_links(run, ["cni0", "flannel.*"], ["lo"], owners, namespaces)
    assert [one.what for one in stays] == kept
    assert sorted([*ours, *(one.what[len("link ") :] for one in stays)]) == ["cni0", "flannel.1", "veth1", "veth2"]


def test_links_by_which_others_forward() -> None:
    kinds = {
        "docker0": "bridge",
        "tun0": "tun",
        "wg0": "wireguard",
        "cni0": "bridge",
        "flannel-wg": "wireguard",
        "eth1": "",
    }
    run = FakeRun(ip=json.dumps([entry(name, kind=kind) for name, kind in kinds.items()]))
    assert links.forwarders(run) == ["docker0", "tun0", "wg0"]


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
