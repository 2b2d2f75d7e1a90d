"""The program as a process: the command line, and an exit that does not take the libraries apart."""

from __future__ import annotations

import sys

from sitewise.cli.app import main


def run() -> None:
    """Run the command line, then end the process at once.

    Python takes a process apart piece by piece: a fifth of the time of a short command, once the libraries are loaded. What
    was registered to run at exit has run and what was printed has been handed over, so nothing is left to do. With threads
    that still work, or output that nobody takes, the process ends as usual.
    """
    try:
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            leave(end.code or 0)
        raise
    leave(0)


def leave(code: int) -> None:
    """End the process, unless a thread is still at work or what was printed cannot be handed over."""
    import atexit
    import os
    import threading

    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        return
    try:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        return
    os._exit(code)
