"""SECURITY.md names every call that starts a process, goes to the network, unpacks, or reads a file."""

from __future__ import annotations

import ast
import re

import pytest

from tests.repository import REPOSITORY

SOURCE = REPOSITORY / "src"
#: The last word of a call -> modules that it has to be of; an empty tuple: wherever it stands.
WATCHED: dict[str, tuple[str, ...]] = {
    # processes and code
    **dict.fromkeys(("fork", "system", "popen", "posix_spawn", "execv", "execve", "execvp", "spawnv"), ("os",)),
    **dict.fromkeys(("run", "call", "check_call", "check_output", "getoutput"), ("subprocess",)),
    **dict.fromkeys(("eval", "exec"), ("builtins",)),
    **dict.fromkeys(("Popen", "Process", "import_module", "__import__", "exec_module", "run_path"), ()),
    # network
    **dict.fromkeys(("urlopen", "urlretrieve", "create_connection", "init_process_group"), ()),
    **dict.fromkeys(("HTTPConnection", "HTTPSConnection", "socket", "gethostbyname", "getaddrinfo"), ()),
    # archives and packed streams
    **dict.fromkeys(("ZipFile", "TarFile", "extractall", "unpack_archive", "GzipFile", "decompressobj"), ()),
    **dict.fromkeys(("decompress",), ("zlib", "gzip", "bz2", "lzma")),
    "Unpickler": (),
    # files
    **dict.fromkeys(("open", "fdopen", "read_text", "read_bytes", "readlink", "File", "dcmread", "safe_open"), ()),
    **dict.fromkeys(("load_file", "read_csv", "memmap", "fromfile", "loadtxt", "genfromtxt", "ImageFileReader"), ()),
    **dict.fromkeys(("ReadImage", "segread", "mmap", "read_partial"), ()),
    **dict.fromkeys(("parse", "iterparse"), ("ElementTree",)),
    "load": ("np", "numpy", "yaml", "torch", "pickle", "nib", "nibabel", "json"),
    "safe_load": ("yaml",),
}  # fmt: skip
#: Classes that are used without being called here.
USED = {"HTTPConnection", "HTTPSConnection", "Unpickler"}


def words_of(node: ast.expr, known: dict[str, list[str]]) -> list[str]:
    """["os", "open"] of os.open, under whatever name it was imported; "" stands for any other expression."""
    if isinstance(node, ast.Attribute):
        return [*words_of(node.value, known), node.attr]
    return known.get(node.id, [node.id]) if isinstance(node, ast.Name) else [""]


def imported(tree: ast.AST) -> dict[str, list[str]]:
    """Name in a module -> what it was imported as."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {one.asname: one.name.split(".") for one in node.names if one.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {one.asname or one.name: [node.module.split(".")[-1], one.name] for one in node.names}
    return found


def only_writes(call: ast.Call, name: str) -> bool:
    """Whether a call of open or File says that it only writes."""
    given = [*call.args, *(word.value for word in call.keywords if word.arg == "mode")]
    modes = [one.value for one in given[1:] if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return name in ("open", "File") and any(mode[:1] in ("w", "x") and "+" not in mode for mode in modes)


def watched(text: str) -> set[str]:
    """The names of the watched calls in a module's text."""
    tree, found = ast.parse(text), set()
    known = imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and words_of(node, known)[-1] in USED:
            found.add(words_of(node, known)[-1])
        if isinstance(node, ast.Call):
            *before, name = words_of(node.func, known)
            of = WATCHED.get(name)
            if of is not None and not only_writes(node, name) and (not of or (before or ["builtins"])[-1] in of):
                found.add(name)
    return found


def named(page: str) -> dict[str, set[str]]:
    """Module -> names of calls, of the tables of a page: `| `module` | `call`, `call` | ... |`."""
    rows = re.findall(r"^\| ((?:`[\w/.]+\.py`(?:, )?)+) \| ([^|]+) \|", page, re.MULTILINE)
    return {
        module: set(re.findall(r"`(\w+)`", calls))
        for modules, calls in rows
        for module in re.findall(r"`(.+?)`", modules)
    }


def in_source() -> dict[str, set[str]]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        if calls := watched(path.read_text(encoding="utf-8")):
            name = path.relative_to(SOURCE).as_posix()
            found[name.removeprefix("lungline/")] = calls
    return found


def test_every_such_call_is_named_and_no_other() -> None:
    page = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
    assert named(page) == in_source(), "read what is new, and say in SECURITY.md what it trusts"


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("import subprocess\nsubprocess.run(['x'])", {"run"}),
        ("import subprocess as sp\nsp.run(['x'])", {"run"}),
        ("from subprocess import run as go\ngo(['x'])", {"run"}),
        ("from pickle import Unpickler\nclass A(Unpickler): pass", {"Unpickler"}),
        ("stage.run(path)", set()),
        ("with open(path) as f: pass", {"open"}),
        ("open(path, 'w')", set()),
        ("open(path, 'r+')", {"open"}),
        ("Path(p).read_bytes()", {"read_bytes"}),
        ("model.eval(); eval('1')", {"eval"}),
        ("model.eval()", set()),
        ("zipfile.ZipFile(p).extractall(q)", {"ZipFile", "extractall"}),
        ("torch.load(p)", {"load"}),
        ("urllib.request.urlopen(u)", {"urlopen"}),
        ("kind = http.client.HTTPSConnection", {"HTTPSConnection"}),
        ("class A(pickle.Unpickler): pass", {"Unpickler"}),
        ("os.system('x')", {"system"}),
    ],
)
def test_a_new_call_is_seen(text: str, calls: set[str]) -> None:
    assert watched(text) == calls


def test_a_row_names_modules_and_calls() -> None:
    page = "| `a/b.py`, `c.py` | `open`, `run` | something |\n| what | `x` | y |\n"
    assert named(page) == {"a/b.py": {"open", "run"}, "c.py": {"open", "run"}}


if __name__ == "__main__":
    for module, calls in in_source().items():
        print(f"| `{module}` | {', '.join(f'`{call}`' for call in sorted(calls))} |")
