# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""iptables and nftables: find what Kubernetes left, and nothing else.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import shlex
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import NOT_FOUND, Runner
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

OUR_CHAINS = ("KUBE-", "CNI-", "FLANNEL-")
OUR_TABLES = frozenset({"kube-proxy", "flannel-ipv4", "flannel-ipv6"})
_LEGACY_NAMES = frozenset({"filter", "nat", "mangle", "raw", "security"})
_JUMPS = frozenset({"-j", "-g", "--jump", "--goto"})


class Ruleset(t.NamedTuple):
    """The part of one iptables-save that is ours: chains by table, and rules elsewhere that jump there."""

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


def is_ours(chain: str) -> bool:
    """Whether Kubernetes, a CNI plugin or flannel named this chain."""
    return chain.startswith(OUR_CHAINS)


def parse_save(text: str) -> Ruleset:
    """What is ours in the output of iptables-save."""
    chains: t.Dict[str, t.List[str]] = {}
    rules: t.Dict[str, t.List[str]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            name = line[1:].split(" ", 1)[0]
            if is_ours(name):
                chains.setdefault(table, []).append(name)
        elif line.startswith("-A ") and _jumps_to_ours(line):
            rules.setdefault(table, []).append(line)
    return Ruleset(chains, rules)


def _jumps_to_ours(rule: str) -> bool:
    words = shlex.split(rule)
    if is_ours(words[1]):
        return False
    return any(word in _JUMPS and is_ours(target) for word, target in zip(words, words[1:]))


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


def rulesets(run: Runner) -> t.Dict[str, Ruleset]:
    """What is ours, for each variant of iptables on this host."""
    found: t.Dict[str, Ruleset] = {}
    for program in save_programs(run):
        done = run([f"{program}-save"])
        ruleset = parse_save(done.stdout)
        if done.rc == 0 and not ruleset.empty:
            found[program] = ruleset
    return found


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


def our_nft_tables(run: Runner, before: t.Optional[t.Collection[t.Sequence[str]]]) -> t.List[t.Tuple[str, str]]:
    """Tables that Kubernetes named, and iptables' own ones that came with it (not in `before`) and are empty now."""
    known = None if before is None else {tuple(item) for item in before}
    found = []
    for family, name in nft_tables(run):
        came_later = known is not None and (family, name) not in known
        compatible = family in ("ip", "ip6") and name in _LEGACY_NAMES
        if name in OUR_TABLES or (came_later and compatible and _is_hollow(run, family, name)):
            found.append((family, name))
    return found


def _is_hollow(run: Runner, family: str, name: str) -> bool:
    """Whether a table has nothing but base chains that accept everything, once what is ours is gone."""
    done = run(["nft", "-j", "list", "table", family, name])
    if done.rc != 0:
        return False
    for entry in json.loads(done.stdout).get("nftables", []):
        chain, rule = entry.get("chain"), entry.get("rule")
        if chain is not None and not is_ours(chain["name"]) and chain.get("policy") != "accept":
            return False
        if rule is not None and not is_ours(rule["chain"]) and not _rule_jumps_to_ours(rule):
            return False
        if set(entry) - {"chain", "rule", "table", "metainfo"}:
            return False
    return True


def _rule_jumps_to_ours(rule: t.Mapping[str, t.Any]) -> bool:
    for expression in rule.get("expr", []):
        for verb in ("jump", "goto"):
            if verb in expression and is_ours(expression[verb]["target"]):
                return True
    return False


def remove_nft_table(run: Runner, family: str, name: str) -> None:
    """Delete one table with all that is in it."""
    done = run(["nft", "delete", "table", family, name])
    if done.rc not in (0, NOT_FOUND):
        raise ClusterError(f"nftables table {family} {name} cannot be removed", why=done.output[-1000:])
