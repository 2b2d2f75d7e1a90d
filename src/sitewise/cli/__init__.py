"""The command line: thin commands over the public functions."""

from sitewise.cli.app import main

__all__ = ["main"]
