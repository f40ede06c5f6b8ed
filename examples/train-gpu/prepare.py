"""
Fixed: the corpus, the budget and the metric. A search never edits this file, so every train.py is judged on the same
bytes, in the same way.

Nothing is downloaded: the corpus is made up, by a grammar that is the same on every machine. It is text in which there
is something to learn at every range: letters make syllables, syllables make words of very different frequency, a word
says what may follow it, each sentence ends by repeating its first word, and sums come out right.
"""
import itertools
import math
import os
import random

import torch

# -----------------------------------------------------------------------------
# Constants

MAX_SEQ_LEN = 256                                         # context length in bytes
VOCAB_SIZE = 256                                          # a token is a byte
TIME_BUDGET = float(os.environ.get("TIME_BUDGET") or 30)  # seconds of training
EVAL_TOKENS = 2**18                                       # bytes scored by evaluate_bpb
EVAL_BATCH_SIZE = 32                                      # not the trainer's: sums must not depend on it
TRAIN_BYTES = 4_000_000
VAL_BYTES = 400_000

# -----------------------------------------------------------------------------
# Data


def make_words(rng, count):
    """Words of one to four syllables, all different."""
    syllables = [c + v + e for c in "bdfgklmnprst" for v in "aeiou" for e in ("", "n", "r", "s")]
    words = []
    while len(words) < count:
        word = "".join(rng.choices(syllables, k=rng.choice((1, 2, 2, 3, 4))))
        if word not in words:
            words.append(word)
    return words


def make_text(seed, size):
    """The grammar is fixed; the seed draws sentences from it."""
    grammar = random.Random(1)
    words = make_words(grammar, 2000)
    frequency = [1 / (rank + 1) for rank in range(len(words))]  # as in any language: the n-th word 1/n as often
    cumulative = list(itertools.accumulate(frequency))
    follows = {word: grammar.choices(words, cum_weights=cumulative, k=8) for word in words}
    rng, parts, length = random.Random(seed), [], 0
    while length < size:
        if rng.random() < 0.1:
            a, b = rng.randrange(100), rng.randrange(100)
            sentence = f"{a} and {b} make {a + b}.\n"
        else:
            word = first = rng.choices(words, cum_weights=cumulative)[0]
            sentence = [word]
            for _ in range(rng.randrange(4, 16)):
                word = rng.choice(follows[word])
                sentence.append(word)
            sentence = " ".join(sentence) + ", " + first + ".\n"
        parts.append(sentence)
        length += len(sentence)
    text = "".join(parts)[:size]
    return torch.frombuffer(bytearray(text.encode("ascii")), dtype=torch.uint8)


def load_split(split, device):
    """All bytes of "train" or "val", on the device."""
    seed, size = {"train": (2, TRAIN_BYTES), "val": (3, VAL_BYTES)}[split]
    return make_text(seed, size).to(device)


def windows(data, starts):
    """Inputs and targets, each (len(starts), MAX_SEQ_LEN): the target of a byte is the byte after it."""
    span = data[starts[:, None] + torch.arange(MAX_SEQ_LEN + 1, device=data.device)].long()
    return span[:, :-1], span[:, 1:]


def make_dataloader(batch_size, seed, device):
    """Endless (inputs, targets, epoch): windows at places drawn from the seed."""
    data = load_split("train", device)
    generator = torch.Generator(device=device).manual_seed(seed)
    seen = 0
    while True:
        starts = torch.randint(len(data) - MAX_SEQ_LEN, (batch_size,), generator=generator, device=device)
        yield *windows(data, starts), seen // len(data)
        seen += batch_size * MAX_SEQ_LEN


# -----------------------------------------------------------------------------
# Metric (lower is better)


@torch.no_grad()
def evaluate_bpb(loss_fn, device):
    """
    Bits per byte on fixed windows, spread evenly over the held-out text.
    loss_fn(inputs, targets) gives the loss of every target in nats, in any shape.
    EVAL_TOKENS of the environment scores fewer bytes, for a try on a slow machine: such scores do not compare.
    """
    data = load_split("val", device)
    count = int(os.environ.get("EVAL_TOKENS") or EVAL_TOKENS) // MAX_SEQ_LEN
    starts = torch.linspace(0, len(data) - MAX_SEQ_LEN - 1, count, device=device, dtype=torch.float64).long()
    nats = 0.0
    for i in range(0, count, EVAL_BATCH_SIZE):
        inputs, targets = windows(data, starts[i : i + EVAL_BATCH_SIZE])
        losses = loss_fn(inputs, targets)
        assert losses.numel() == targets.numel(), "one loss for every target"
        nats += losses.double().sum().item()
    return nats / math.log(2) / (count * MAX_SEQ_LEN)
