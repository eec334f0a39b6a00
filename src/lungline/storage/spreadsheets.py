"""What spreadsheets make of a table: byte order marks, `sep=;`, empty columns and rows, decimal commas, quoted ids."""

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from io import StringIO

DELIMITERS = ",;\t"
_DECLARED = re.compile(r'\A"?sep=(?P<mark>[^\r\n"])"?[,;\t]*(?=\r|\n|\Z)', re.IGNORECASE)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u201e": "\u201c", "\u2018": "\u2019", "\u00ab": "\u00bb"}
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?\Z", re.ASCII)

#: Leading zeros, more digits than a float holds, an exponent, a fraction that ends in 0, a date.
_TAKEN_FOR_ANOTHER = re.compile(
    r"(0\d+|\d{16,}|\d+(\.\d+)?[eE]\d+|0\d*\.\d+|\d*\.\d*0|\.\d+"
    r"|\d{1,4}(?P<mark>[-.])\d{1,2}((?P=mark)\d{1,4})?)\Z",
    re.ASCII,
)


def decoded(raw: bytes) -> str:
    """The text of a table, UTF-8 or UTF-16 with its mark, lines ending in one way; `UnicodeDecodeError` for others."""
    text = raw.decode("utf-16") if raw[:2] in _UTF_16 else raw.decode("utf-8-sig")
    return text if "\n" in text else text.replace("\r", "\n")


def without_declaration(text: str) -> tuple[str, str]:
    """The text with an empty line in place of `sep=;`, and the delimiters that may be used, each a character."""
    found = _DECLARED.match(text)
    return (text[found.end() :], found["mark"]) if found else (text, DELIMITERS)


def bare(word: str) -> str:
    """A cell without what cannot be seen at its ends, and without quotes around it (`"007"`, `="007"`)."""
    word = _trimmed(word)
    if word[:2] == '="':
        word = word[1:]
    while len(word) > 1 and _QUOTES.get(word[0]) == word[-1]:
        word = _trimmed(word[1:-1])
    return word


def _trimmed(word: str) -> str:
    start, end = 0, len(word)
    while start < end and _shows_nothing(word[start]):
        start += 1
    while end > start and _shows_nothing(word[end - 1]):
        end -= 1
    return word[start:end]


def _shows_nothing(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Zs", "Zl", "Zp")


def invisible_in(word: str) -> str:
    """What stands in a word and is easily overlooked, in words; "" where there is nothing of the kind."""
    found = [f"U+{ord(c):04X}" for c in dict.fromkeys(word) if _shows_nothing(c) and c != " "]
    quotes = [c for c in dict.fromkeys(word) if c in {*_QUOTES, *_QUOTES.values(), "`", "\u00b4"}]
    told = [f"the invisible {' '.join(found)}"] * bool(found)
    told += ["a blank"] * (" " in word) + [f"the quote {' '.join(quotes)}"] * bool(quotes)
    return " and ".join(told)


def changes_in_spreadsheets(word: str) -> bool:
    """Whether a spreadsheet takes an id for a number or a date, and saves it as another word."""
    return bool(_TAKEN_FOR_ANOTHER.match(word))


def cells(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line where the row begins, its cells) of every row that is not blank. Raises `csv.Error`."""
    lines = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = 1
    for words in lines:
        if any(_trimmed(word) for word in words):
            yield start, words
        start = lines.line_num + 1


def first_row(text: str, delimiter: str) -> list[str]:
    """The names in the header of a table; empty ones at its end are left out. Nothing where there is no row."""
    try:
        names = [bare(word) for word in next(cells(text, delimiter), (1, []))[1]]
    except csv.Error:
        return []
    while names and not names[-1]:
        names.pop()
    return names


def points_for_commas(columns: Sequence[list[str]], delimiter: str) -> list[list[str]]:
    """Columns of numbers with decimal points, where all of them have decimal commas and no comma parts columns."""
    words = [word for column in columns for word in column]
    if delimiter == "," or any("." in word for word in words):
        return list(columns)
    return [[word.replace(",", ".") if _COMMA.match(word) else word for word in column] for column in columns]
