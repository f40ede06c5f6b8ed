"""One experiment in its own forked process."""

import ctypes
import os
import random
import resource
import signal
import socket
import sys
import traceback
import warnings
from typing import Any

import numpy as np

from ar_runner.ensemble import Voters
from ar_runner.evaluate import Evaluator
from ar_runner.frames import send
from ar_runner.metrics import NoMetric

PR_SET_PDEATHSIG = 1
# Looked up once, in the server: a child should not pay for it.
PRCTL = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None
# A traceback is for reading; a recursion error alone has hundreds of kilobytes.
MAX_TRACEBACK = 16 * 1024
MAX_MESSAGE = 500
# What the C++ libraries say when memory is refused to them.
OUT_OF_MEMORY_WORDS = ("bad_alloc", "Unable to allocate", "Cannot allocate memory", "std::length_error")


def become_child(parent: int, output: int) -> None:
    """Own session, dies with the server, output to the worker's pipe, no core dumps, default signals."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    if PRCTL:
        PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The server can have died before the line above; then nothing would ever signal us.
    if os.getppid() != parent:
        os._exit(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_memory(more_bytes: int | None) -> None:
    """Lets the process take `more_bytes` beyond what the server already held when it forked."""
    if more_bytes is None:
        return
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            held = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
    except (OSError, StopIteration):
        # Not Linux; there the worker's own watch is all there is.
        return
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = held + more_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def lift_memory_limit() -> None:
    """A report that memory ran out needs some, too."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def run_block(evaluator: Evaluator, request: dict[str, Any], send_frame: Any) -> dict[str, Any]:
    block, config, members = request["block"], request["config"], request.get("members")
    kind = block["kind"]
    if kind == "cv" and members:
        return Voters(evaluator, members).cross_validate(block["repeat"])
    if kind == "cv":
        return evaluator.cross_validate(config, block["repeat"], send_frame)
    if kind == "sealed":
        return evaluator.open_sealed(config, block["reference"], members)
    if kind == "refit":
        return evaluator.refit(config, request["out"], members)
    raise ValueError(f"there is no block of kind `{kind}`")


def error_frame(error: BaseException) -> dict[str, Any]:
    """The last frame of a child that failed, with a message of one line."""
    text = str(error)
    if isinstance(error, NoMetric):
        kind = "no_metric"
    elif isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY_WORDS):
        kind = "out_of_memory"
    else:
        kind = "crashed"
    first_line = text.strip().splitlines()[0] if text.strip() else ""
    message = first_line if kind == "no_metric" else f"{type(error).__name__}: {first_line}".rstrip(": ")
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {"op": "error", "kind": kind, "message": message[:MAX_MESSAGE], "traceback": trace[-MAX_TRACEBACK:]}


def run_child(evaluator: Evaluator, request: dict[str, Any], result: int, output: int, parent: int) -> None:
    """Runs the experiment and ends the process; it never returns, whatever happens."""
    code = 1
    try:
        become_child(parent, output)
        sock = socket.socket(fileno=result)
        # What the experiment starts must not hold it open.
        sock.set_inheritable(False)
        try:
            limit_memory(request.get("memory_bytes"))
            # Thousands of identical warnings would only fill the worker's buffers.
            warnings.simplefilter("ignore")
            random.seed(evaluator.study.seed)
            np.random.seed(evaluator.study.seed % 2**32)
            last = run_block(evaluator, request, lambda frame: send(sock, frame))
            code = 0
        except BaseException as error:  # noqa: BLE001
            lift_memory_limit()
            last = error_frame(error)
        send(sock, last)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
