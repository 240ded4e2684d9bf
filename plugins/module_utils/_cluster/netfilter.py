# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""iptables and nftables: find what Kubernetes left, and nothing else.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.cni import Networks
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import NOT_FOUND, Completed, Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.foreign import Kept
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

CNI = "CNI-"
PREFIXES = ("KUBE-", CNI, "FLANNEL-")
# Tables that Kubernetes names, and by whose chains' prefix their makers are known.
_TABLES = {"kube-proxy": "KUBE-", "flannel-ipv4": "FLANNEL-", "flannel-ipv6": "FLANNEL-"}
_LEGACY_NAMES = frozenset({"filter", "nat", "mangle", "raw", "security"})
_FAMILIES = {"ip": ("iptables-nft", "iptables"), "ip6": ("ip6tables-nft", "ip6tables")}
_JUMPS = frozenset({"-j", "-g", "--jump", "--goto"})
# Chains that all networks of CNI's plugins portmap and firewall have in common.
_COMMON = (re.compile(r"CNI-HOSTPORT-[A-Z]+"), re.compile(r"CNI-(FORWARD|ADMIN|ISOLATION-.*)"))
# How CNI's plugins tell for what a rule is.
_PURPOSE = re.compile(r'name: "(?P<network>[^"]*)" id: "(?P<container>[^"]*)"')
_ADDRESSES = frozenset({"-s", "-d"})
_SELECTORS = _ADDRESSES | {"-i", "-o", "-p"}
_NEUTRAL = frozenset({"MARK", "MASQUERADE", "RETURN"})


@dataclasses.dataclass(frozen=True)
class Owners:
    """By what it is known whose something is.

    before: what lines() told before; networks: those of the node; others: by prefix, why chains and links that begin so
    may be somebody else's.
    """

    before: t.FrozenSet[str] = frozenset()
    networks: Networks = Networks()
    others: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


class Ruleset(t.NamedTuple):
    """The part of one iptables-save that is ours: chains by table, and rules elsewhere that go with them."""

    chains: t.Dict[str, t.List[str]]
    rules: t.Dict[str, t.List[str]]

    @property
    def empty(self) -> bool:
        return not any(self.chains.values()) and not any(self.rules.values())

    def described(self) -> t.List[str]:
        """A line for each chain and rule."""
        lines = [f"-t {table} -N {chain}" for table, chains in self.chains.items() for chain in chains]
        return lines + [f"-t {table} {rule}" for table, rules in self.rules.items() for rule in rules]

    def removal(self) -> str:
        """Input of iptables-restore --noflush that removes it: rules first, then emptied chains."""
        lines: t.List[str] = []
        for table in sorted(set(self.chains) | set(self.rules)):
            chains = self.chains.get(table, [])
            rules = self.rules.get(table, [])
            if chains or rules:
                lines.append(f"*{table}")
                lines += [f":{chain} - [0:0]" for chain in chains]
                lines += [f"-D{rule[2:]}" for rule in rules]
                lines += [f"-X {chain}" for chain in chains]
                lines.append("COMMIT")
        return "".join(f"{line}\n" for line in lines)


class _Rule:
    """A rule as iptables-save prints it."""

    def __init__(self, line: str) -> None:
        self.line = line
        try:
            self._words = shlex.split(line)
        except ValueError:
            # A comment of somebody else's that is not quoted as a shell does it.
            self._words = line.split()
        self.chain = self._words[1]
        self.target = next(iter(self._values(_JUMPS)), "")

    def _values(self, options: t.Collection[str]) -> t.List[str]:
        return [value for option, value in zip(self._words, self._words[1:]) if option in options]

    def purposes(self) -> t.List[t.Tuple[str, str]]:
        """The networks and containers that its comments name."""
        found = (_PURPOSE.search(comment) for comment in self._values({"--comment"}))
        return [(match["network"], match["container"]) for match in found if match]

    def addresses(self) -> t.List[str]:
        return [value.partition("/")[0] for value in self._values(_ADDRESSES)]

    @property
    def selects(self) -> bool:
        """Whether it is for some traffic alone, which is somebody's then."""
        return not _SELECTORS.isdisjoint(self._words)


@dataclasses.dataclass
class _Table:
    """One table of an iptables-save: its chains that are named as ours are, and all its rules."""

    name: str
    chains: t.List[str] = dataclasses.field(default_factory=list)
    rules: t.List[_Rule] = dataclasses.field(default_factory=list)


def _tables(text: str) -> t.List[_Table]:
    found: t.List[_Table] = []
    for line in text.splitlines():
        if line.startswith("*"):
            found.append(_Table(line[1:].strip()))
        elif line.startswith(":") and line[1:].startswith(PREFIXES):
            found[-1].chains.append(line[1:].split(" ", 1)[0])
        elif line.startswith("-A "):
            found[-1].rules.append(_Rule(line))
    return found


def lines(text: str) -> t.List[str]:
    """What in an iptables-save is named as ours is, to be told from it later."""
    found = []
    for table in _tables(text):
        found += [f"{table.name} -N {chain}" for chain in table.chains]
        marked = (rule for rule in table.rules if rule.chain in table.chains or rule.target in table.chains)
        found += [f"{table.name} {rule.line}" for rule in marked]
    return found


class _Sorting:
    """Whose the chains of one table are."""

    def __init__(self, table: _Table, owners: Owners) -> None:
        self._table = table
        self._owners = owners
        self.kept = {chain: why for chain in table.chains for why in [self._why_kept(chain)] if why}
        for family in _COMMON:
            self._keep_common([chain for chain in table.chains if family.fullmatch(chain)])
        self.chains = [chain for chain in table.chains if chain not in self.kept]
        self.rules = [rule.line for rule in table.rules if rule.chain not in self.chains and self._goes(rule)]

    def _why_kept(self, chain: str) -> str:
        """Why a chain stays, as far as it can be told by itself."""
        if f"{self._table.name} -N {chain}" in self._owners.before:
            return "was there before"
        prefix = next(prefix for prefix in PREFIXES if chain.startswith(prefix))
        if prefix in self._owners.others:
            return self._owners.others[prefix]
        if prefix != CNI or any(family.fullmatch(chain) for family in _COMMON):
            return ""
        purposes = [one for rule in self._table.rules if chain in (rule.chain, rule.target) for one in rule.purposes()]
        if purposes and all(map(self._is_ours, purposes)):
            return ""
        return f"of the CNI network {purposes[0][0]}" if purposes else "of a CNI network that is not known"

    def _is_ours(self, purpose: t.Tuple[str, str]) -> bool:
        network, container = purpose
        return network in self._owners.networks.names or container in self._owners.networks.containers

    def _keep_common(self, family: t.Sequence[str]) -> None:
        """Keep chains that all networks have in common if others use one of them."""
        used = [rule for rule in self._table.rules if rule.chain in family or rule.target in family]
        if any(rule.chain in self.kept and rule.chain not in family for rule in used) or any(
            self._is_foreign(rule, family) for rule in used if rule.chain in family
        ):
            for chain in family:
                self.kept.setdefault(chain, "other CNI networks use it, too")

    def _is_foreign(self, rule: _Rule, family: t.Sequence[str]) -> bool:
        if rule.purposes():
            return not all(map(self._is_ours, rule.purposes()))
        if rule.addresses():
            return not set(rule.addresses()) <= self._owners.networks.addresses
        return rule.selects or rule.target not in {*family, *_NEUTRAL}

    def _goes(self, rule: _Rule) -> bool:
        """Whether a rule in a chain that stays is ours."""
        if f"{self._table.name} {rule.line}" in self._owners.before:
            return False
        if rule.target in self.chains:
            return True
        if rule.chain not in self.kept:
            return False
        if rule.chain.startswith(CNI):
            return bool(rule.purposes() or rule.addresses()) and not self._is_foreign(rule, ())
        return self.kept[rule.chain] == "was there before"


def parse_save(text: str, owners: t.Optional[Owners] = None) -> t.Tuple[Ruleset, t.List[Kept]]:
    """What is ours in the output of iptables-save, and which chains are not though their names may be ours."""
    chains: t.Dict[str, t.List[str]] = {}
    rules: t.Dict[str, t.List[str]] = {}
    kept: t.Dict[t.Tuple[str, str], t.List[str]] = {}
    for table in _tables(text):
        found = _Sorting(table, owners or Owners())
        if found.chains:
            chains[table.name] = found.chains
        if found.rules:
            rules[table.name] = found.rules
        for chain, why in found.kept.items():
            kept.setdefault((table.name, why), []).append(chain)
    told = [Kept(f"-t {table} {', '.join(names)}", why) for (table, why), names in kept.items()]
    return Ruleset(chains, rules), told


def save_programs(run: Runner) -> t.List[str]:
    """The variants of iptables-save on this host, without naming one of them twice."""
    found: t.List[str] = []
    for family in ("iptables", "ip6tables"):
        variants = [f"{family}-{backend}" for backend in ("nft", "legacy")]
        present = [name for name in variants if run([f"{name}-save", "--version"]).rc == 0]
        if not present and run([f"{family}-save", "--version"]).rc == 0:
            present = [family]
        found += present
    return found


def saved(run: Runner) -> t.Dict[str, Completed]:
    """What each variant of iptables-save on this host says."""
    return {program: run([f"{program}-save"]) for program in save_programs(run)}


def snapshot(run: Runner) -> t.Dict[str, t.List[str]]:
    """What there is before a node is made that is named as its chains will be, for each variant."""
    told = {program: lines(done.stdout) for program, done in saved(run).items() if done.rc == 0}
    return {program: found for program, found in told.items() if found}


def rulesets(
    run: Runner, owners: Owners, before: t.Mapping[str, t.Sequence[str]]
) -> t.Tuple[t.Dict[str, Ruleset], t.List[Kept]]:
    """What is ours, for each variant of iptables on this host, and what stays; before: what snapshot() told."""
    found: t.Dict[str, Ruleset] = {}
    kept: t.List[Kept] = []
    for program, done in saved(run).items():
        if done.rc != 0:
            why = f"its chains cannot be read, so those of the node, if there are any, stay: {done.output[-500:]}"
            kept.append(Kept(f"{program}-save", why))
            continue
        known = dataclasses.replace(owners, before=frozenset(before.get(program, ())))
        ruleset, stays = parse_save(done.stdout, known)
        if not ruleset.empty:
            found[program] = ruleset
        kept += [Kept(f"{program} {one.what}", one.why) for one in stays]
    return found, kept


def remove_ruleset(run: Runner, program: str, ruleset: Ruleset) -> None:
    """Remove what parse_save found; everything else stays as it is."""
    done = run([f"{program}-restore", "--noflush"], data=ruleset.removal())
    if done.rc != 0:
        raise ClusterError("rules of Kubernetes cannot be removed", where=f"{program}-restore", why=done.output[-1000:])


def nft_tables(run: Runner) -> t.List[t.Tuple[str, str]]:
    """Family and name of each nftables table; none where there is no nft."""
    done = run(["nft", "-j", "list", "tables"])
    if done.rc != 0 or not done.stdout.strip():
        return []
    entries = json.loads(done.stdout).get("nftables", [])
    return [(entry["table"]["family"], entry["table"]["name"]) for entry in entries if "table" in entry]


def our_nft_tables(
    run: Runner,
    before: t.Optional[t.Collection[t.Sequence[str]]],
    leaving: t.Mapping[str, Ruleset],
    others: t.Mapping[str, str],
) -> t.List[t.Tuple[str, str]]:
    """Tables that Kubernetes named, and iptables' own ones that came with it and are empty once what leaves is gone.

    before: tables that there were before, None where it is not known; others: as Owners has it.
    """
    known = None if before is None else {tuple(item) for item in before}
    found = []
    for family, name in nft_tables(run):
        if (family, name) in (known or ()) or _TABLES.get(name) in others:
            continue
        compatible = known is not None and family in _FAMILIES and name in _LEGACY_NAMES
        if name in _TABLES or (compatible and _is_hollow(run, family, name, leaving)):
            found.append((family, name))
    return found


def _is_hollow(run: Runner, family: str, name: str, leaving: t.Mapping[str, Ruleset]) -> bool:
    """Whether a table has nothing but base chains that accept everything, once what leaves is gone."""
    done = run(["nft", "-j", "list", "table", family, name])
    if done.rc != 0:
        return False
    ours = {
        chain for program in _FAMILIES[family] if program in leaving for chain in leaving[program].chains.get(name, ())
    }
    for entry in json.loads(done.stdout).get("nftables", []):
        chain, rule = entry.get("chain"), entry.get("rule")
        if chain is not None and chain["name"] not in ours and chain.get("policy") != "accept":
            return False
        if rule is not None and rule["chain"] not in ours and not _jumps(rule, ours):
            return False
        if set(entry) - {"chain", "rule", "table", "metainfo"}:
            return False
    return True


def _jumps(rule: t.Mapping[str, t.Any], chains: t.Collection[str]) -> bool:
    for expression in rule.get("expr", []):
        for verb in ("jump", "goto"):
            if verb in expression and expression[verb]["target"] in chains:
                return True
    return False


def remove_nft_table(run: Runner, family: str, name: str) -> None:
    """Delete one table with all that is in it."""
    done = run(["nft", "delete", "table", family, name])
    if done.rc not in (0, NOT_FOUND):
        raise ClusterError(f"nftables table {family} {name} cannot be removed", why=done.output[-1000:])
