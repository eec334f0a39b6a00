"""Fingerprints of code: hashes by which a file names the code that made it.

Editing a module must re-run exactly the steps that depend on it, and a better comment must re-run none.
So the code of a stage is hashed as syntax: its module and every module of this package that it reaches,
without docstrings, comments and positions.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "lungline"
ROOT = Path(__file__).parent

#: Modules that only word what is said to people, or name the version: they change no result.
WITHOUT_EFFECT = frozenset({PACKAGE, f"{PACKAGE}.errors"})


@cache
def code_fingerprint(module: str, root: Path = ROOT) -> str:
    """Sixteen hex digits that change when the code behind a module changes, e.g. "lungline.stages.resample".

    They start a SHA-256 over the syntax trees of the module and of every module of the package, whose folder is `root`,
    that it reaches by an import, at the top or inside a function. Docstrings, comments, layout and `lungline.errors` do
    not count. `ModuleNotFoundError` if the package has no such module.
    """
    lines = [f"{name} {_read(name, root)[0]}\n" for name in reached_modules(module, root)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def reached_modules(module: str, root: Path = ROOT) -> list[str]:
    """Every module of the package that `code_fingerprint` hashes for `module`, sorted."""
    if _source(module, root) is None:
        raise ModuleNotFoundError(f"no module '{module}' under {root}.", name=module)
    reached: set[str] = set()
    waiting = [*_with_parents(module)]
    while waiting:
        name = waiting.pop()
        if name not in reached and name not in WITHOUT_EFFECT:
            reached.add(name)
            waiting += _read(name, root)[1]
    return sorted(reached)


@cache
def _read(module: str, root: Path) -> tuple[str, tuple[str, ...]]:
    """Hash of one module's syntax, and the modules of the package that it imports."""
    path = _source(module, root) or root
    words: list[str] = []
    statements = _flatten(ast.parse(path.read_bytes()), words)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    imported = dict.fromkeys(name for statement in statements for name in _imports(statement, package, root))
    return hashlib.sha256("\0".join(words).encode()).hexdigest(), tuple(imported)


@cache
def _source(module: str, root: Path) -> Path | None:
    """The file of a module of this package, or None."""
    package, *inside = module.split(".")
    path = root.joinpath(*inside)
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if package == PACKAGE and file.is_file():
            return file
    return None


def _flatten(tree: ast.AST, words: list[str]) -> list[ast.Import | ast.ImportFrom]:
    """Append the tree to `words`, children between brackets; return its import statements.

    Empty fields are left out, so that a new Python with a new optional field changes nothing.
    """
    imports: list[ast.Import | ast.ImportFrom] = []

    def visit(value: object) -> None:
        if isinstance(value, ast.AST):
            if isinstance(value, ast.Import | ast.ImportFrom):
                imports.append(value)
            words.append(value.__class__.__name__)
            for field in value._fields:
                child = getattr(value, field, None)
                if child is not None and child != []:
                    words.append(field)
                    visit(child)
            words.append(")")
        elif isinstance(value, list):
            for child in value:
                if not _is_bare_string(child):
                    visit(child)
            words.append("]")
        else:
            words.append(repr(value))

    visit(tree)
    return imports


def _is_bare_string(node: object) -> bool:
    """A docstring, or a string that stands alone as a comment."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imports(statement: ast.Import | ast.ImportFrom, package: str, root: Path) -> Iterator[str]:
    """Modules of the package that an import statement runs."""
    if isinstance(statement, ast.Import):
        names = [alias.name for alias in statement.names]
    else:
        base = statement.module or ""
        if statement.level:
            above = package.split(".")[: len(package.split(".")) - statement.level + 1]
            base = ".".join([*above, base] if base else above)
        names = [base, *(f"{base}.{alias.name}" for alias in statement.names)]
    for name in names:
        yield from (parent for parent in _with_parents(name) if _source(parent, root) is not None)


def _with_parents(module: str) -> Iterator[str]:
    """Running a.b.c runs a and a.b before it."""
    parts = module.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))
