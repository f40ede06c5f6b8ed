"""
Fixed: the corpus, the data loader, the clock's budget and the metric. A search never edits this file,
so every train.py is judged on the same bytes, in the same way, for the same price.

The corpus is already on the disk: the source text of Python's own standard library.
Scores of two different Python versions are scores on two slightly different texts; don't compare them.
"""
import os

# One core is the whole machine here, and a second BLAS thread would change the order of the sums.
# This must happen before numpy is imported anywhere.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import ctypes
import sys
import sysconfig

import numpy as np

# glibc gives large freed arrays back to the kernel, only to fault them in again a step later.
# Told to keep them, a step takes a quarter less time (-1: M_TRIM_THRESHOLD, -3: M_MMAP_THRESHOLD).
if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
    libc.mallopt(-1, 2**30)
    libc.mallopt(-3, 2**30)

# -----------------------------------------------------------------------------
# Constants

MAX_SEQ_LEN = 128                                         # context length in bytes
VOCAB_SIZE = 256                                          # a token is a byte
TIME_BUDGET = float(os.environ.get("TIME_BUDGET") or 10)  # seconds of training
STEP_BUDGET = int(os.environ.get("STEP_BUDGET") or 0)     # if set: compute in base steps, not seconds
EVAL_TOKENS = 2**15                                       # bytes scored by evaluate_bpb
EVAL_BATCH_SIZE = 16                                      # not the trainer's: sums must not depend on it
MAX_CORPUS_BYTES = 2_000_000

# Modules that every Python from 3.10 to 3.13 has as one file.
TRAIN_MODULES = """
    argparse ast asyncio/base_events asyncio/events asyncio/locks asyncio/selector_events asyncio/streams
    asyncio/tasks base64 bdb cmd codecs configparser contextlib copy dataclasses difflib dis
    email/feedparser email/generator email/header email/message enum fileinput fnmatch fractions ftplib
    functools gettext glob http/client http/cookiejar http/cookies http/server imaplib inspect ipaddress
    json/encoder logging/config logging/handlers mailbox modulefinder multiprocessing/managers
    multiprocessing/pool ntpath optparse os pdb pickle pkgutil platform plistlib poplib pprint profile
    pstats queue random sched selectors shutil socket socketserver ssl string subprocess tarfile
    threading timeit tokenize trace traceback typing unittest/case unittest/loader unittest/mock
    urllib/parse urllib/request uuid warnings weakref webbrowser xmlrpc/client xmlrpc/server
""".split()
# Whole modules are held out, so that no line of them was seen in training.
VAL_MODULES = "calendar csv gzip heapq json/decoder shlex smtplib statistics tempfile textwrap wave".split()

# -----------------------------------------------------------------------------
# Data


def load_split(split):
    """All bytes of "train" or "val"."""
    stdlib, parts = sysconfig.get_paths()["stdlib"], []
    for name in {"train": TRAIN_MODULES, "val": VAL_MODULES}[split]:
        with open(os.path.join(stdlib, *name.split("/")) + ".py", "rb") as f:
            parts.append(f.read().replace(b"\r\n", b"\n"))
    return np.frombuffer(b"".join(parts)[:MAX_CORPUS_BYTES], dtype=np.uint8)


def windows(data, starts):
    """Inputs and targets, each (len(starts), MAX_SEQ_LEN): the target of a byte is the byte after it."""
    span = data[np.asarray(starts)[:, None] + np.arange(MAX_SEQ_LEN + 1)].astype(np.int64)
    return span[:, :-1], span[:, 1:]


def make_dataloader(num_seqs, seed):
    """Endless (inputs, targets, epoch): num_seqs windows at places drawn from the seed."""
    data = load_split("train")
    rng = np.random.default_rng(seed)
    seen = 0
    while True:
        starts = rng.integers(len(data) - MAX_SEQ_LEN, size=num_seqs)
        yield *windows(data, starts), seen // len(data)
        seen += num_seqs * MAX_SEQ_LEN


# -----------------------------------------------------------------------------
# Metric (lower is better)


def evaluate_bpb(model_loss_fn):
    """
    Bits per byte on fixed windows, spread evenly over the held-out modules.
    model_loss_fn(inputs, targets) gives the loss of every target in nats, in any shape.
    """
    data = load_split("val")
    starts = np.linspace(0, len(data) - MAX_SEQ_LEN - 1, EVAL_TOKENS // MAX_SEQ_LEN).astype(np.int64)
    nats = 0.0
    for i in range(0, len(starts), EVAL_BATCH_SIZE):
        inputs, targets = windows(data, starts[i : i + EVAL_BATCH_SIZE])
        losses = model_loss_fn(inputs, targets)
        assert losses.size == targets.size, "one loss for every target"
        nats += float(np.sum(losses, dtype=np.float64))
    return nats / np.log(2) / (len(starts) * MAX_SEQ_LEN)


# -----------------------------------------------------------------------------
# The deterministic budget
#
# With STEP_BUDGET=N the price of a run is N steps of the base train.py, whatever its speed on the clock.
# A step of another model or batch costs more or less, so it gets fewer or more of them: N is divided by
# its price in base steps. A flop is counted as usual: 6 for each weight of a matmul and token (2 forward,
# 4 backward), and 12 * dim * MAX_SEQ_LEN for each layer and token (queries on keys, weights on values).


def flops_per_token(num_matmul_params, depth, dim):
    return 6 * num_matmul_params + 12 * depth * dim * MAX_SEQ_LEN


# DEPTH 4, dim 64, TOTAL_BATCH_SIZE 512
BASE_STEP_FLOPS = 512 * flops_per_token(4 * 12 * 64**2 + 64 * VOCAB_SIZE, depth=4, dim=64)


def steps_for_budget(step_flops):
    return max(1, round(STEP_BUDGET * BASE_STEP_FLOPS / step_flops))
