# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the reference of modules and roles (docs/reference/) from what ansible-doc says of them.

Usage: generate.py [--check]: with --check nothing is written and a reference that is not up to date is an error.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import typing as t

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
COLLECTION = "sealer.cluster"
MARKUP = re.compile(r"\b(O|V|RV|E|C|M|P|B|I)\(((?:[^()\\]|\\.|\([^()]*\))*)\)")
Document = t.Dict[str, t.Any]


def ansible_doc(kind: str, names: list[str]) -> dict[str, Document]:
    """What ansible-doc knows of these, by full name."""
    if not names:
        return {}
    done = subprocess.run(["ansible-doc", "--json", "--type", kind, *names], capture_output=True, text=True, check=True)
    return t.cast("dict[str, Document]", json.loads(done.stdout))


def plain(text: t.Union[str, list[str], None]) -> str:
    """Ansible's markup as Markdown, on one line."""
    joined = " ".join(text) if isinstance(text, list) else text or ""

    def replaced(found: re.Match[str]) -> str:
        kind, inner = found.group(1), found.group(2).split("#")[0].replace("\\", "")
        return f"**{inner}**" if kind == "B" else f"*{inner}*" if kind == "I" else f"`{inner}`"

    return re.sub(r"\s+", " ", MARKUP.sub(replaced, joined)).replace("|", "\\|").strip()


def kind_of(option: Document) -> str:
    elements = f" of {option['elements']}" if option.get("elements") else ""
    return f"{option.get('type', 'str')}{elements}"


def option_rows(options: dict[str, Document], prefix: str = "") -> t.Iterator[str]:
    """Rows of a table of options; an option of an option is named with its parents."""
    for name, option in sorted(options.items()):
        default = (
            "required"
            if option.get("required")
            else f"`{json.dumps(option['default'])}`" if option.get("default") is not None else ""
        )
        choices = ", ".join(f"`{choice}`" for choice in option.get("choices") or [])
        told = plain(option.get("description")) + (f" One of {choices}." if choices else "")
        yield f"| `{prefix}{name}` | {kind_of(option)} | {default} | {told} |"
        yield from option_rows(option.get("suboptions") or option.get("options") or {}, f"{prefix}{name}.")


def result_rows(results: dict[str, Document], prefix: str = "") -> t.Iterator[str]:
    for name, result in sorted(results.items()):
        returned, told = plain(result.get("returned")), plain(result.get("description"))
        yield f"| `{prefix}{name}` | {kind_of(result)} | {returned} | {told} |"
        yield from result_rows(result.get("contains") or {}, f"{prefix}{name}.")


def table(heads: str, rows: t.Iterable[str]) -> list[str]:
    listed = list(rows)
    return [heads, "|" + "---|" * (heads.count("|") - 1), *listed, ""] if listed else []


def module_page(name: str, document: Document) -> str:
    """A module's page: purpose, options, results, examples."""
    doc = document["doc"]
    lines = [
        f"# {name}",
        "",
        plain(doc["short_description"]) + ".",
        "",
        *(plain(part) + "\n" for part in doc["description"]),
    ]
    lines += ["## Options", "", *table("| option | type | default | meaning |", option_rows(doc.get("options") or {}))]
    lines += [
        "## Results",
        "",
        *table("| key | type | returned | meaning |", result_rows(document.get("return") or {})),
    ]
    support = (
        f"| {what} | {said['support']} | {plain(said.get('details'))} |"
        for what, said in sorted((doc.get("attributes") or {}).items())
    )
    lines += ["## Attributes", "", *table("| attribute | support | details |", support)]
    lines += ["## Examples", "", "```yaml", (document.get("examples") or "").strip(), "```", ""]
    return "\n".join(lines)


def role_page(name: str, document: Document) -> str:
    """A role's page: what each entry point does and takes."""
    lines = [f"# {name}", ""]
    for entry, point in sorted(document["entry_points"].items()):
        lines += [
            f"## {entry}",
            "",
            plain(point.get("short_description")) + ".",
            "",
            *(plain(part) + "\n" for part in point.get("description") or []),
        ]
        lines += table("| variable | type | default | meaning |", option_rows(point.get("options") or {}))
    return "\n".join(lines)


def playbook_page(path: pathlib.Path) -> list[str]:
    """What the head of a playbook says of it, and which plays it has."""
    head = path.read_text().split("\n---\n")[1].split("\n\n")[0]
    said = [line.removeprefix("#").strip() for line in head.splitlines()]
    plays = [play.get("name", "") for play in yaml.safe_load(path.read_text())]
    return [
        f"## {COLLECTION}.{path.stem}",
        "",
        *said,
        "",
        *(f"{number}. {play}" for number, play in enumerate(plays, 1)),
        "",
    ]


def pages() -> dict[str, str]:
    """Every page of the reference, by its path below docs/reference."""
    made = {}
    modules = [f"{COLLECTION}.{path.stem}" for path in sorted((ROOT / "plugins/modules").glob("*.py"))]
    filters = [f"{COLLECTION}.{path.stem}" for path in sorted((ROOT / "plugins/filter").glob("*.py"))]
    for name, document in {**ansible_doc("module", modules), **ansible_doc("filter", filters)}.items():
        made[f"{name.rsplit('.')[-1]}.md"] = module_page(name, document)
    roles = [
        f"{COLLECTION}.{path.parent.parent.name}" for path in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml"))
    ]
    for name, document in ansible_doc("role", roles).items():
        made[f"role_{name.rsplit('.')[-1]}.md"] = role_page(name, document)
    playbooks = sorted((ROOT / "playbooks").glob("*.yml"))
    made["playbooks.md"] = "\n".join(["# Playbooks", "", *(line for path in playbooks for line in playbook_page(path))])
    index = ["# Reference", "", "Written by `make docs` from the specs in the code.", ""]
    made["README.md"] = "\n".join(
        [*index, *(f"- [{page[:-3].replace('role_', 'role ')}]({page})" for page in sorted(made)), ""]
    )
    return made


def main() -> int:
    """Write the pages, or with --check compare them."""
    wanted = pages()
    found = {path.name: path.read_text() for path in REFERENCE.glob("*.md")}
    stale = sorted(name for name in set(wanted) | set(found) if wanted.get(name) != found.get(name))
    if "--check" in sys.argv[1:]:
        if stale:
            print(f"docs/reference: not up to date: {', '.join(stale)}. Run make docs.", file=sys.stderr)
        return 1 if stale else 0
    REFERENCE.mkdir(exist_ok=True)
    for name in stale:
        if name in wanted:
            (REFERENCE / name).write_text(wanted[name])
        else:
            (REFERENCE / name).unlink()
    print(f"docs/reference: {len(wanted)} pages, {len(stale)} written or removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
