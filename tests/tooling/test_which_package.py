"""The tests exercise the copy of the package that they are meant to: the wheel's, or the checkout's."""

import os
import sys
from pathlib import Path

import sitewise

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_under_test_is_the_one_asked_for():
    expected = Path(sys.prefix).resolve() if os.environ.get("SITEWISE_TEST_WHEEL") else ROOT / "src"
    assert Path(sitewise.__file__).resolve().is_relative_to(expected)
