"""Processes that a child left behind: they are handed to the server, which is a subreaper."""

import os
import signal
from typing import Container


def child_processes() -> list[int]:
    """The processes whose parent is this process."""
    own = os.getpid()
    try:
        with open(f"/proc/self/task/{own}/children", encoding="ascii") as children:
            return [int(pid) for pid in children.read().split()]
    except OSError:
        pass
    # Some kernels are built without that file.
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if name.isdigit() and parent_of(int(name)) == own:
            found.append(int(name))
    return found


def parent_of(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            # The name before the last `)` can hold anything; the state and the parent follow it.
            return int(stat.read().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None


def kill_strays(live_children: Container[int]) -> int:
    """Kills what was handed to us and belongs to no live child's session; returns how many there were.

    Nobody but us collects these processes, so their ids cannot be reused under our hands.
    """
    strays = 0
    for pid in child_processes():
        if pid in live_children:
            continue
        try:
            if os.getsid(pid) in live_children:
                continue
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        strays += 1
    return strays
