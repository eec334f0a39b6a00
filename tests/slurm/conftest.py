"""The option for the long form."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slurm-long", action="store_true", help="also run the long tests on a real Slurm")
