"""The shell commands of rules/*.smk, as text: `tests/workflow/test_uses.py` plans them in folders of odd names."""

from __future__ import annotations

import re

import pytest

from tests.repository import REPOSITORY

#: What makes words of a command line that are quoted already.
QUOTES_ITSELF = re.compile(r"\b(options|settings|launcher)\(")


def rules(text: str) -> list[str]:
    """The rules of a file, each with what stands below it."""
    return re.split(r"^ *rule\b", text, flags=re.MULTILINE)[1:]


def unquoted(rule: str) -> list[str]:
    """Fields of a rule's command that the shell would split at a blank."""
    command = rule.partition(" shell:\n")[2].partition("\n\n")[0]
    parts = (re.match(r" +(\w+)=", part) for part in rule.split("\n"))
    ready = {
        f"{kind}.{part[1]}"
        for part in filter(None, parts)
        for kind in ("params", "resources")
        if QUOTES_ITSELF.search(part.string)
    }
    return [field for field in re.findall(r"\{([^{}]*)\}", command) if not field.endswith(":q") and field not in ready]


@pytest.mark.parametrize("path", sorted((REPOSITORY / "rules").glob("*.smk")), ids=lambda path: path.stem)
def test_every_word_of_a_command_is_quoted(path) -> None:
    assert [field for rule in rules(path.read_text(encoding="utf-8")) for field in unquoted(rule)] == []


def test_the_commands_are_found() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "rules").glob("*.smk"))
    found = [field for rule in rules(text) for field in re.findall(r"> \{log:q\} 2>&1", rule)]
    assert len(found) == text.count("shell:") > 30


@pytest.mark.parametrize("field", ["log", "output.a", "params.b", "wildcards.c"])
def test_a_word_without_quotes_is_found(field: str) -> None:
    rule = f"""rule x:
    output:
        a=out("a"),
    params:
        b=folder_of("a"),
        more=options(c=1),
    shell:
        "lungline x {{output.a:q}} {{params.more}}"
        " {{{field}}} > {{log:q}} 2>&1"
"""
    assert unquoted(rules(rule)[0]) == [field]
