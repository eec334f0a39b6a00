"""The console command: one sub-command per stage.

A sub-command is the `run` function of a module in `lungline.stages`: its positional parameters are the
paths, its keyword-only parameters are the options. Only the module that is asked for is imported, so a
stage that does not need torch never waits for it.
"""

import argparse
import ast
import functools
import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lungline import NOTICE, __version__
from lungline.allocator import collect_seldom, keep_freed_memory
from lungline.environment import folder_is_gone, make_usable
from lungline.escape import visible
from lungline.former_names import COMMANDS, OPTIONS, now_called
from lungline.names import did_you_mean
from lungline.runner.commands import exit_code_of

STAGES = Path(__file__).parent / "stages"


def commands() -> dict[str, str]:
    """Every sub-command and its one-line summary, without importing a stage."""
    found = {}
    for path in sorted(STAGES.glob("[a-z]*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[path.stem.replace("_", "-")] = text.partition("\n")[0]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command; a user's mistake is one line on stderr and exit code 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        print(f"lungline {__version__}. {NOTICE}")
        return 0
    name = words[0]
    if not (STAGES / f"{name.replace('-', '_')}.py").is_file() or not name[:1].isalpha():
        hint = now_called(name, COMMANDS, commands()) or did_you_mean(name, commands())
        print(f"lungline: no command '{name}'.{hint} Run 'lungline --help' for the list.", file=sys.stderr)
        return 2
    if folder_is_gone():
        print(f"lungline {name}: the folder that you are in is gone. Change to one that exists.", file=sys.stderr)
        return 2
    make_usable()
    keep_freed_memory()
    collect_seldom()
    return exit_code_of(name, lambda: _run(name, words[1:]))


def _run(name: str, words: Sequence[str]) -> Any:
    """Run a command with the words that follow its name."""
    module = importlib.import_module(f"lungline.stages.{name.replace('-', '_')}")
    if not hasattr(module, "TAKES_ALL_WORDS"):
        return module.run(**vars(parser_of(module.run, name).parse_args(words)))
    if {"-h", "--help"} & set(words):
        print(inspect.getdoc(module.run))
        return 0
    return module.run(words)


def _overview() -> str:
    width = max(map(len, commands()))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in commands().items()]
    return "\n".join(["lungline COMMAND ...", "", *lines, "", f"lungline {__version__}. {NOTICE}"])


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line: what is wrong, the nearest option, and where all are listed."""

    def error(self, message: str) -> NoReturn:
        _, unknown, words = message.partition("unrecognized arguments: ")
        option = words.split(" ")[0].partition("=")[0]
        near = ""
        if unknown and option.startswith("-"):
            own = self._option_string_actions
            near = now_called(option, OPTIONS, own) or did_you_mean(option, own)
        said = f"{message.removesuffix('.')}.{near}"
        self.exit(2, visible(f"{self.prog}: {said} `{self.prog} --help` lists all options.") + "\n")


def parser_of(run: Callable[..., Any], name: str) -> argparse.ArgumentParser:
    """The argument parser that the signature of a stage's `run` describes."""
    parser = _Parser(
        prog=f"lungline {name}",
        description=inspect.getdoc(run),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    hints = typing.get_type_hints(run)
    for key, parameter in inspect.signature(run).parameters.items():
        kind = hints[key]
        many = typing.get_origin(kind) in (list, tuple)
        required = parameter.default is inspect.Parameter.empty
        options: dict[str, Any] = {"type": _reader(typing.get_args(kind)[0] if many else kind)}
        if many:
            options.update(nargs="+", action="extend")  # --scans A B is --scans A --scans B
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            if not required:
                options.update(nargs="?", default=parameter.default)
            parser.add_argument(key, metavar=key.upper(), **options)
            continue
        if not required:
            options["default"] = argparse.SUPPRESS if many else parameter.default  # words are added to no default
        if kind is bool:
            options.update(nargs="?", const=True)  # `--keep` alone means `--keep true`
        parser.add_argument(f"--{key.replace('_', '-')}", required=required, **options)
    return parser


def _reader(kind: Any) -> Callable[[str], Any]:
    """Parser of one word of the command line for this type."""
    choices = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return functools.partial(_choice, choices)
    if type(None) in choices:
        inner = _reader(choices[0])
        return lambda word: None if word in ("", "none", "null") else inner(word)
    return _boolean if kind is bool else kind


def _choice(choices: Sequence[str], word: str) -> str:
    if word not in choices:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(choices)}. Got '{word}'.")
    return word


def _boolean(word: str) -> bool:
    if word.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"expected true or false. Got '{word}'.")
    return word.lower() == "true"


if __name__ == "__main__":
    sys.exit(main())
