"""Which scan is for training, validation or testing: one rule a data set, so that additions never reshuffle."""

import hashlib
from collections.abc import Iterable
from typing import Literal, Protocol

from lungline.errors import LunglineError

Split = Literal["train", "valid", "test"]

VALID_PERCENT = 20
LUNA_FOLDS = 10
LUNA_TEST_FOLD = 9


def split_of_patient(scan_id: str) -> Literal["train", "valid"]:
    """Split of a DSB-17 patient that stands in `stage1_labels.csv`: the hash of the id sends one in five to valid."""
    first = int.from_bytes(hashlib.sha256(scan_id.encode("utf-8")).digest()[:8], "big")
    return "valid" if first % 100 < VALID_PERCENT else "train"


def split_of_luna_fold(fold: int, test_fold: int = LUNA_TEST_FOLD) -> Split:
    """Split of a LUNA-16 scan of subset `fold` when subset `test_fold` is held out.

    The subset before it (9 before 0) is for validation, all others for training.
    """
    if fold == test_fold:
        return "test"
    return "valid" if fold == (test_fold - 1) % LUNA_FOLDS else "train"


class HasSplit(Protocol):
    """A row of a manifest or of predictions."""

    @property
    def split(self) -> str: ...


def refuse_test_rows(rows: Iterable[HasSplit], choice: str) -> None:
    """`LunglineError` if a row is of the test split: nothing (the message says what) is chosen by looking at it."""
    found = sum(row.split == "test" for row in rows)
    if found:
        raise LunglineError(
            f"{choice} would be chosen by looking at {found} rows of the test split. Give rows of train and valid only."
        )
