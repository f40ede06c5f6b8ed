"""
A byte-level GPT in numpy, with its backward pass written by hand. One core, one file, one number: val_bpb.
This is the file to edit.    Usage: python train.py
"""
import time
t_start = time.perf_counter()

import math
import os
import sys
import zipfile

# Before numpy: it says how many threads numpy may have.
from prepare import MAX_SEQ_LEN, STEP_BUDGET, TIME_BUDGET, VOCAB_SIZE
from prepare import evaluate_bpb, flops_per_token, make_dataloader, steps_for_budget
import numpy as np

# -----------------------------------------------------------------------------
# Hyperparameters

# Model
DEPTH = 4                    # number of transformer layers
ASPECT_RATIO = 16            # model dim = DEPTH * ASPECT_RATIO, rounded up to HEAD_DIM
HEAD_DIM = 32                # size of an attention head
ACTIVATION = "relu2"         # of the MLP: "relu2", "gelu" or "silu"

# Optimization
TOTAL_BATCH_SIZE = 512       # tokens per optimizer step
DEVICE_BATCH_SIZE = 4        # sequences per forward pass: changes the speed, not the step
EMBEDDING_LR = 0.05          # token embeddings
UNEMBEDDING_LR = 0.008       # the matrix that makes logits
MATRIX_LR = 0.003            # attention and MLP matrices
SCALAR_LR = 0.02             # how much of the stream, and of the embedding, enters a layer
WEIGHT_DECAY = 0.1           # decoupled, for the matrices only
ADAM_BETAS = (0.8, 0.95)     # decay of the running mean of gradients, and of their squares
WARMUP_RATIO = 0.1           # share of the budget in which the learning rate rises
WARMDOWN_RATIO = 0.3         # share of the budget in which it falls
FINAL_LR_FRAC = 0.0          # the learning rate at the end, as a share of the full one

SEED = 42                    # of weights and data; the environment variable SEED overrides it

# -----------------------------------------------------------------------------
# Pieces. A backward takes the gradient of a piece's output and gives that of its input.


def norm(x):
    """RMSNorm without a gain. Also gives the scale, which the backward needs."""
    scale = 1 / np.sqrt(np.vecdot(x, x, keepdims=True) / x.shape[-1] + 1e-6)
    return x * scale, scale


def norm_backward(dy, y, scale):
    return scale * (dy - y * (np.vecdot(dy, y, keepdims=True) / y.shape[-1]))


def rotate(x, turn):
    """Rotary positions: two neighbours are one complex number, which a position turns by its angle."""
    return (x.view(turn.dtype) * turn).view(x.dtype)


def relu2(a):
    r = np.maximum(a, 0)
    return r * r, 2 * r


def swish(a, slope):
    s = 0.5 + 0.5 * np.tanh(0.5 * slope * a)  # the sigmoid: an exp would overflow where a is very negative
    return a * s, s + slope * a * s * (1 - s)


# Each gives the function and its derivative.
ACTIVATIONS = {"relu2": relu2, "gelu": lambda a: swish(a, 1.702), "silu": lambda a: swish(a, 1.0)}

# -----------------------------------------------------------------------------
# Model


class GPT:
    """
    All weights are views of one flat vector, and all gradients of another, group after group:
    the optimizer is then a few operations on long vectors, and a group is a slice.
    """

    def __init__(self, depth, dim, head_dim, activation, dtype=np.float32):
        self.depth, self.dim, self.head_dim, self.num_heads = depth, dim, head_dim, dim // head_dim
        self.activation = ACTIVATIONS[activation]
        layer = {"qkv": (dim, 3 * dim), "proj": (dim, dim), "fc": (dim, 4 * dim), "out": (4 * dim, dim)}
        groups = {
            "embedding": {"wte": (VOCAB_SIZE, dim)},
            "unembedding": {"lm_head": (dim, VOCAB_SIZE)},
            "matrix": {f"{name}{i}": shape for i in range(depth) for name, shape in layer.items()},
            "scalar": {"resid_lambdas": (depth,), "x0_lambdas": (depth,)},
        }
        size = sum(math.prod(shape) for shapes in groups.values() for shape in shapes.values())
        self.flat, self.flat_grad = np.zeros(size, dtype), np.zeros(size, dtype)
        self.params, self.grads, self.groups = {}, {}, {}
        end = 0
        for group, shapes in groups.items():
            group_start = end
            for name, shape in shapes.items():
                start, end = end, end + math.prod(shape)
                self.params[name] = self.flat[start:end].reshape(shape)
                self.grads[name] = self.flat_grad[start:end].reshape(shape)
            self.groups[group] = slice(group_start, end)

        # The pairs of a head turn at speeds from one radian a byte down to a hundredth of that: about
        # one radian over the whole context, so even the slowest tells near from far.
        freqs = 100.0 ** -np.linspace(0, 1, head_dim // 2)
        turn = np.exp(1j * np.outer(np.arange(MAX_SEQ_LEN), freqs))
        self.turn = turn.astype(np.result_type(dtype, np.complex64))
        self.causal = np.tril(np.ones((MAX_SEQ_LEN, MAX_SEQ_LEN), dtype))

    def init_weights(self, rng):
        """Every layer begins as the identity (proj and out are zero), and every byte as likely as any."""
        bound = (3 / self.dim) ** 0.5  # a uniform of this width has the deviation 1/sqrt(dim)
        for name, w in self.params.items():
            if name.startswith(("qkv", "fc")):
                w[:] = rng.uniform(-bound, bound, w.shape)
        self.params["wte"][:] = rng.normal(0, 1, (VOCAB_SIZE, self.dim))
        self.params["lm_head"][:] = rng.normal(0, 0.001, (self.dim, VOCAB_SIZE))
        self.params["resid_lambdas"][:] = 1

    def flops_per_token(self):
        matmul_params = sum(w.size for name, w in self.params.items() if w.ndim == 2 and name != "wte")
        return flops_per_token(matmul_params, self.depth, self.dim)

    def heads(self, flat, parts):
        """(B*T, parts*dim) seen as (parts, B, heads, T, head_dim), without a copy."""
        shape = (-1, MAX_SEQ_LEN, parts, self.num_heads, self.head_dim)
        return flat.reshape(shape).transpose(2, 0, 3, 1, 4)

    def forward(self, inputs):
        """Logits (B*T, VOCAB_SIZE), and the tape: what the backward needs."""
        p = self.params
        x0, scale0 = norm(p["wte"][inputs.ravel()])
        x, tape = x0, []
        for i in range(self.depth):
            x_in = x
            x = p["resid_lambdas"][i] * x_in + p["x0_lambdas"][i] * x0

            # Attention, all heads at once.
            h1, scale1 = norm(x)
            qkv = self.heads(h1 @ p[f"qkv{i}"], 3)
            qk, scale_qk = norm(rotate(qkv[:2], self.turn))
            v = qkv[2]
            # After their norm no product of q and k exceeds sqrt(head_dim): the exp needs no maximum taken off.
            att = qk[0] @ qk[1].swapaxes(-1, -2)
            att *= self.head_dim**-0.5
            np.exp(att, out=att)
            att *= self.causal
            att /= att.sum(-1, keepdims=True)
            y = (att @ v).transpose(0, 2, 1, 3).reshape(-1, self.dim)
            x = x + y @ p[f"proj{i}"]

            # MLP
            h2, scale2 = norm(x)
            f, df = self.activation(h2 @ p[f"fc{i}"])
            x = x + f @ p[f"out{i}"]
            tape.append((x_in, h1, scale1, qk, scale_qk, v, att, y, h2, scale2, f, df))
        h, scale = norm(x)
        return h @ p["lm_head"], (inputs, x0, scale0, tape, h, scale)

    def backward(self, dlogits, tape):
        """Adds to the gradients."""
        p, g = self.params, self.grads
        inputs, x0, scale0, tape, h, scale = tape

        def linear_backward(dy, x, name):
            g[name] += x.T @ dy
            return dy @ p[name].T

        dx = norm_backward(linear_backward(dlogits, h, "lm_head"), h, scale)
        dx0 = np.zeros_like(dx)
        for i in reversed(range(self.depth)):
            x_in, h1, scale1, qk, scale_qk, v, att, y, h2, scale2, f, df = tape[i]

            # MLP
            dh2 = linear_backward(linear_backward(dx, f, f"out{i}") * df, h2, f"fc{i}")
            dx = dx + norm_backward(dh2, h2, scale2)

            # Attention
            dy = linear_backward(dx, y, f"proj{i}")
            dy, y = self.heads(dy, 1)[0], self.heads(y, 1)[0]
            datt = dy @ v.swapaxes(-1, -2)
            # The softmax takes off the mean of datt under att; it is the product of dy and y, without a T*T sum.
            datt -= np.vecdot(dy, y, keepdims=True)
            datt *= att
            datt *= self.head_dim**-0.5
            dqkv = np.empty((len(dx), 3 * self.dim), dx.dtype)
            dheads = self.heads(dqkv, 3)
            dheads[0] = datt @ qk[1]
            dheads[1] = datt.swapaxes(-1, -2) @ qk[0]
            dheads[2] = att.swapaxes(-1, -2) @ dy
            dheads[:2] = rotate(norm_backward(dheads[:2], qk, scale_qk), self.turn.conj())
            dx = dx + norm_backward(linear_backward(dqkv, h1, f"qkv{i}"), h1, scale1)

            # The two ways into the layer
            g["resid_lambdas"][i] += np.vdot(dx, x_in)
            g["x0_lambdas"][i] += np.vdot(dx, x0)
            dx0 += p["x0_lambdas"][i] * dx
            dx = p["resid_lambdas"][i] * dx
        dx0 = norm_backward(dx + dx0, x0, scale0)
        # Sum the rows of each byte: sorted by byte they are runs (np.add.at does the same, far slower).
        tokens = inputs.ravel()
        order = np.argsort(tokens, kind="stable")
        present, starts = np.unique(tokens[order], return_index=True)
        g["wte"][present] += np.add.reduceat(dx0[order], starts)

    def loss(self, inputs, targets):
        """The loss of every target in nats, (B*T,)."""
        return cross_entropy(self.forward(inputs)[0], targets)[0]

    def loss_and_grad(self, inputs, targets, weight=1.0):
        """The mean loss; weight times its gradient is added to the gradients."""
        logits, tape = self.forward(inputs)
        losses, dlogits = cross_entropy(logits, targets)
        dlogits *= weight / losses.size
        self.backward(dlogits, tape)
        return float(losses.mean())

    def save(self, path):
        with open(path, "wb") as f:  # given a name, savez would add ".npz" to it
            np.savez(f, **self.params)

    def load(self, path):
        """Raises ValueError if the file does not fit this model."""
        try:
            with np.load(path) as saved:
                arrays = dict(saved)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as e:
            raise ValueError(f"cannot read a checkpoint from {path}: {e}") from None
        theirs, ours = ({name: w.shape for name, w in a.items()} for a in (arrays, self.params))
        if theirs != ours:
            raise ValueError(f"the checkpoint {path} is of another model: {theirs}, not {ours}")
        for name, w in arrays.items():
            self.params[name][:] = w


def cross_entropy(logits, targets):
    """Losses in nats, and the gradient of their sum, which takes the place of the logits."""
    rows, targets = np.arange(len(logits)), targets.ravel()
    logits -= logits.max(-1, keepdims=True)
    target_logits = logits[rows, targets]
    np.exp(logits, out=logits)
    total = logits.sum(-1, keepdims=True)
    logits /= total
    logits[rows, targets] -= 1
    return np.log(total[:, 0]) - target_logits, logits


def build_model():
    """The model that the constants above describe, without weights."""
    head_dim = HEAD_DIM + HEAD_DIM % 2  # rotary positions turn pairs
    dim = -(-DEPTH * ASPECT_RATIO // head_dim) * head_dim
    return GPT(DEPTH, dim, head_dim, ACTIVATION)


# -----------------------------------------------------------------------------
# Optimizer


class AdamW:
    def __init__(self, model):
        self.model, self.t = model, 0
        self.m, self.v = np.zeros_like(model.flat), np.zeros_like(model.flat)
        self.lr, self.decay = np.empty_like(model.flat), np.zeros_like(model.flat)
        lrs = {"embedding": EMBEDDING_LR, "unembedding": UNEMBEDDING_LR, "matrix": MATRIX_LR, "scalar": SCALAR_LR}
        for group, where in model.groups.items():
            self.lr[where] = lrs[group]
        self.decay[model.groups["matrix"]] = WEIGHT_DECAY

    def step(self, lrm):
        """One update at lrm times the full learning rates; the gradients are zero afterwards."""
        beta1, beta2 = ADAM_BETAS
        w, g = self.model.flat, self.model.flat_grad
        self.t += 1
        self.m += (1 - beta1) * (g - self.m)
        self.v += (1 - beta2) * (g * g - self.v)
        update = np.sqrt(self.v / (1 - beta2**self.t)) + 1e-8
        np.divide(self.m / (1 - beta1**self.t), update, out=update)
        update += self.decay * w
        update *= self.lr
        w -= lrm * update
        g[:] = 0


def get_lr_multiplier(progress):
    if progress < WARMUP_RATIO:
        return progress / WARMUP_RATIO
    if progress < 1 - WARMDOWN_RATIO:
        return 1.0
    left = (1 - progress) / WARMDOWN_RATIO
    return left + (1 - left) * FINAL_LR_FRAC


# -----------------------------------------------------------------------------
# Training


def check(number):
    if not number < 100:  # exploded; a NaN is not less either
        print("\nFAIL")
        sys.exit(1)


def main():
    np.seterr(over="ignore", invalid="ignore")  # a run that explodes says FAIL, once
    seed = int(os.environ.get("SEED") or SEED)
    model = build_model()
    model.init_weights(np.random.default_rng(seed))
    if path := os.environ.get("CHECKPOINT_IN"):
        try:
            model.load(path)
        except ValueError as e:
            print(e, file=sys.stderr)
            sys.exit(3)
    optimizer = AdamW(model)
    num_seqs = max(1, TOTAL_BATCH_SIZE // MAX_SEQ_LEN)
    tokens_per_step = num_seqs * MAX_SEQ_LEN
    max_steps = steps_for_budget(tokens_per_step * model.flops_per_token()) if STEP_BUDGET else None
    loader = make_dataloader(num_seqs, seed)

    step, training_seconds, progress, smooth_loss, last_print = 0, 0.0, 0.0, 0.0, 0.0
    while progress < 1:
        t0 = time.perf_counter()
        inputs, targets, epoch = next(loader)
        loss = 0.0
        for i in range(0, num_seqs, DEVICE_BATCH_SIZE):  # the last one may be smaller, and weighs less
            micro = slice(i, i + DEVICE_BATCH_SIZE)
            weight = len(inputs[micro]) / num_seqs
            loss += weight * model.loss_and_grad(inputs[micro], targets[micro], weight)
        check(loss)
        lrm = get_lr_multiplier(progress)
        optimizer.step(lrm)
        step += 1
        dt = time.perf_counter() - t0
        training_seconds += dt
        progress = step / max_steps if STEP_BUDGET else training_seconds / TIME_BUDGET

        smooth_loss = 0.9 * smooth_loss + 0.1 * loss
        if t0 + dt - last_print > 0.1 or progress >= 1:
            last_print = t0 + dt
            debiased = smooth_loss / (1 - 0.9**step)
            remaining = max(0.0, training_seconds / progress - training_seconds)
            print(f"\rstep {step:05d} ({min(progress, 1):.1%}) | loss: {debiased:.6f} | lrm: {lrm:.2f} | "
                  f"dt: {dt * 1000:.0f}ms | tok/sec: {tokens_per_step / dt:,.0f} | epoch: {epoch} | "
                  f"remaining: {remaining:.0f}s    ", end="", flush=True)
    print()

    val_bpb = evaluate_bpb(model.loss)
    check(val_bpb)
    if path := os.environ.get("CHECKPOINT_OUT"):
        model.save(path)
    print("---")
    print(f"val_bpb:          {val_bpb:.6f}")
    print(f"training_seconds: {training_seconds:.1f}")
    print(f"total_seconds:    {time.perf_counter() - t_start:.1f}")
    print("peak_vram_mb:     0.0")  # no GPU
    print("mfu_percent:      0.00")
    print(f"total_tokens_M:   {step * tokens_per_step / 1e6:.1f}")
    print(f"num_steps:        {step}")
    print(f"num_params_M:     {model.flat.size / 1e6:.1f}")
    print(f"depth:            {DEPTH}")


if __name__ == "__main__":
    main()
