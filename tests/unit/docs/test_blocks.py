# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the blocks of a guide are found, and the commands in them."""

from __future__ import annotations

import pytest
from ansible_collections.sealer.cluster.tests.unit.docs.blocks import Block, blocks, commands

GUIDE = """# Guide

```console
make demo     # don't wait: "5 minutes
podman run \\
    'a # b'   # twice
echo "two
lines" &&
  echo 'end'
# nothing

echo a#b
```

1. In a list:

   ~~~sh
   nft 'add table'
   ~~~

   ```yaml
   # hosts.yml
   a:
     b: 1
   # group_vars/all.yml
   c: 2
   ```

````text
```
no block
```
````
"""


def read(text: str, language: str = "console") -> list[tuple[str, ...]]:
    return [command.words for command in commands(Block(1, language, text))]


def test_each_block_is_found_with_its_line() -> None:
    found = blocks(GUIDE)
    assert [(block.line, block.language) for block in found] == [(4, "console"), (18, "sh"), (22, "yaml"), (30, "text")]
    assert found[1].text == "nft 'add table'\n"
    assert found[3].text == "```\nno block\n```\n"


def test_commands_are_known_one_by_one() -> None:
    first = list(commands(blocks(GUIDE)[0]))
    assert [(command.line, command.words) for command in first] == [
        (4, ("make", "demo")),
        (5, ("podman", "run", "'a # b'")),
        (7, ("echo", '"two\nlines"', "&&", "echo", "'end'")),
        (12, ("echo", "a#b")),
    ]
    assert first[1].text == "podman run \\\n    'a # b'   # twice"


def test_between_prompts_stands_output() -> None:
    assert read("$ a \\\n  b\nout put\n\n$ c\nmore\n") == [("a", "b"), ("c",)]


def test_a_script_is_one_command() -> None:
    assert [command.text for command in commands(Block(1, "sh", "#!/bin/sh\na\nb\n"))] == ["#!/bin/sh\na\nb\n"]


@pytest.mark.parametrize("text", ["echo 'a\n", "a \\\n", "a |\n", "cat <<EOF\na\nEOF\n"])
def test_what_is_not_understood_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="line 1: "):
        read(text)


def test_files_that_a_block_shows() -> None:
    assert blocks(GUIDE)[2].files() == {"hosts.yml": "a:\n  b: 1\n", "group_vars/all.yml": "c: 2\n"}
    assert Block(1, "dockerfile", "# Kubefile\nFROM a\n").files() == {"Kubefile": "FROM a\n"}
    assert Block(1, "yaml", "a: 1\n").files() == {}
