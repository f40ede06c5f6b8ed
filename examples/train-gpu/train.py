"""
A byte-level GPT in PyTorch on one GPU. One file, one number: val_bpb.
This is the file to edit.    Usage: python train.py
"""
import time
t_start = time.perf_counter()

import os
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from prepare import MAX_SEQ_LEN, TIME_BUDGET, VOCAB_SIZE
from prepare import evaluate_bpb, make_dataloader

# -----------------------------------------------------------------------------
# Hyperparameters

# Model
DEPTH = 6                    # number of transformer layers
ASPECT_RATIO = 64            # model dim = DEPTH * ASPECT_RATIO, rounded up to HEAD_DIM
HEAD_DIM = 64                # size of an attention head
ACTIVATION = "relu2"         # of the MLP: "relu2", "gelu" or "silu"

# Optimization
TOTAL_BATCH_SIZE = 32768     # tokens per optimizer step
DEVICE_BATCH_SIZE = 128      # sequences per forward pass: changes the speed and the memory, not the step
EMBEDDING_LR = 0.02          # token embeddings
UNEMBEDDING_LR = 0.004       # the matrix that makes logits
MATRIX_LR = 0.002            # attention and MLP matrices
SCALAR_LR = 0.02             # how much of the stream, and of the embedding, enters a layer
WEIGHT_DECAY = 0.1           # decoupled, for the matrices only
ADAM_BETAS = (0.8, 0.95)     # decay of the running mean of gradients, and of their squares
WARMUP_RATIO = 0.05          # share of the budget in which the learning rate rises
WARMDOWN_RATIO = 0.4         # share of the budget in which it falls
FINAL_LR_FRAC = 0.0          # the learning rate at the end, as a share of the full one

SEED = 42                    # of weights and data; the environment variable SEED overrides it

# -----------------------------------------------------------------------------
# Model

ACTIVATIONS = {"relu2": lambda x: F.relu(x).square(), "gelu": F.gelu, "silu": F.silu}


def norm(x):
    """RMSNorm without a gain."""
    return F.rms_norm(x, (x.size(-1),))


class Block(nn.Module):
    def __init__(self, dim, head_dim, activation):
        super().__init__()
        self.head_dim, self.activation = head_dim, ACTIVATIONS[activation]
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim, bias=False)
        self.fc = nn.Linear(dim, 4 * dim, bias=False)
        self.out = nn.Linear(4 * dim, dim, bias=False)

    def forward(self, x, cos, sin):
        batch, length, dim = x.shape
        qkv = self.qkv(norm(x)).view(batch, length, 3, -1, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (batch, heads, length, head_dim)
        q, k = norm(rotate(q, cos, sin)), norm(rotate(k, cos, sin))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(batch, length, dim))
        return x + self.out(self.activation(self.fc(norm(x))))


def rotate(x, cos, sin):
    """Rotary positions: two halves of a head turn by the angle of their position."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


class GPT(nn.Module):
    def __init__(self, depth, dim, head_dim, activation):
        super().__init__()
        self.depth, self.dim = depth, dim
        self.wte = nn.Embedding(VOCAB_SIZE, dim)
        self.blocks = nn.ModuleList(Block(dim, head_dim, activation) for _ in range(depth))
        self.lm_head = nn.Linear(dim, VOCAB_SIZE, bias=False)
        self.resid_lambdas = nn.Parameter(torch.ones(depth))
        self.x0_lambdas = nn.Parameter(torch.zeros(depth))
        speeds = 1000.0 ** -torch.linspace(0, 1, head_dim // 2)
        angles = torch.outer(torch.arange(MAX_SEQ_LEN), speeds)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    @torch.no_grad()
    def init_weights(self):
        """Every layer begins as the identity (proj and out are zero), and every byte as likely as any."""
        bound = (3 / self.dim) ** 0.5  # a uniform of this width has the deviation 1/sqrt(dim)
        for block in self.blocks:
            nn.init.uniform_(block.qkv.weight, -bound, bound)
            nn.init.uniform_(block.fc.weight, -bound, bound)
            nn.init.zeros_(block.proj.weight)
            nn.init.zeros_(block.out.weight)
        nn.init.normal_(self.wte.weight)
        nn.init.normal_(self.lm_head.weight, std=0.001)

    def forward(self, inputs):
        """Logits, (batch, length, VOCAB_SIZE)."""
        length = inputs.size(1)
        cos, sin = self.cos[:length], self.sin[:length]
        x = x0 = norm(self.wte(inputs))
        for i, block in enumerate(self.blocks):
            x = block(self.resid_lambdas[i] * x + self.x0_lambdas[i] * x0, cos, sin)
        return self.lm_head(norm(x))

    def loss(self, inputs, targets):
        """The loss of every target in nats."""
        logits = self(inputs).float()
        return F.cross_entropy(logits.view(-1, VOCAB_SIZE), targets.reshape(-1), reduction="none")

    def flops_per_token(self):
        """As usual: 6 for each weight of a matmul, and 12 * dim * length for each layer."""
        matrices = sum(p.numel() for name, p in self.named_parameters() if p.ndim == 2 and name != "wte.weight")
        return 6 * matrices + 12 * self.depth * self.dim * MAX_SEQ_LEN


def build_model():
    """The model that the constants above describe, without weights."""
    head_dim = HEAD_DIM + HEAD_DIM % 2  # rotary positions turn pairs
    dim = -(-DEPTH * ASPECT_RATIO // head_dim) * head_dim
    return GPT(DEPTH, dim, head_dim, ACTIVATION)


def build_optimizer(model):
    matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
    groups = [
        {"params": [model.wte.weight], "lr": EMBEDDING_LR, "weight_decay": 0.0},
        {"params": [model.lm_head.weight], "lr": UNEMBEDDING_LR, "weight_decay": 0.0},
        {"params": matrices, "lr": MATRIX_LR, "weight_decay": WEIGHT_DECAY},
        {"params": [model.resid_lambdas, model.x0_lambdas], "lr": SCALAR_LR, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=ADAM_BETAS, eps=1e-8)
    for group in optimizer.param_groups:
        group["full_lr"] = group["lr"]
    return optimizer


def get_lr_multiplier(progress):
    if progress < WARMUP_RATIO:
        return progress / WARMUP_RATIO
    if progress < 1 - WARMDOWN_RATIO:
        return 1.0
    left = max(0.0, (1 - progress) / WARMDOWN_RATIO)
    return left + (1 - left) * FINAL_LR_FRAC


# -----------------------------------------------------------------------------
# Training


def peak_flops(device):
    """Of dense bfloat16, for the share of it that is used; 0 where it is not known."""
    if device.type != "cuda":
        return 0.0
    name = torch.cuda.get_device_name(device)
    known = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "4090": 165e12, "3090": 71e12, "L4": 121e12}
    return next((flops for part, flops in known.items() if part in name), 0.0)


def check(number):
    if not number < 100:  # exploded; a NaN is not less either
        print("\nFAIL")
        sys.exit(1)


def main():
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    on_gpu = device.type == "cuda"
    wait = torch.cuda.synchronize if on_gpu else (lambda: None)
    seed = int(os.environ.get("SEED") or SEED)
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    model = build_model()
    model.init_weights()
    model.to(device)
    optimizer = build_optimizer(model)
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=on_gpu)

    # Without a GPU a step of full size takes half a minute: then it is a smaller one, and a try, not a score.
    num_seqs = max(1, (TOTAL_BATCH_SIZE if on_gpu else min(TOTAL_BATCH_SIZE, 2 * MAX_SEQ_LEN)) // MAX_SEQ_LEN)
    tokens_per_step = num_seqs * MAX_SEQ_LEN
    loader = make_dataloader(num_seqs, seed, device)

    step, training_seconds, progress, smooth_loss, last_print = 0, 0.0, 0.0, 0.0, 0.0
    while progress < 1:
        wait()
        t0 = time.perf_counter()
        inputs, targets, epoch = next(loader)
        if step == 0:  # the corpus was made by the way: that is no training
            wait()
            t0 = time.perf_counter()
        lrm = get_lr_multiplier(progress)
        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * lrm
        loss = torch.zeros((), device=device)
        for i in range(0, num_seqs, DEVICE_BATCH_SIZE):  # the last one may be smaller, and weighs less
            with autocast:
                part = model.loss(inputs[i : i + DEVICE_BATCH_SIZE], targets[i : i + DEVICE_BATCH_SIZE])
            part = part.sum() / targets.numel()
            part.backward()
            loss += part.detach()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss = loss.item()
        check(loss)
        wait()
        dt = time.perf_counter() - t0
        step += 1
        training_seconds += dt
        progress = training_seconds / TIME_BUDGET

        smooth_loss = 0.9 * smooth_loss + 0.1 * loss
        if t0 + dt - last_print > 0.5 or progress >= 1:
            last_print = t0 + dt
            debiased = smooth_loss / (1 - 0.9**step)
            remaining = max(0.0, TIME_BUDGET - training_seconds)
            print(f"\rstep {step:05d} ({min(progress, 1):.1%}) | loss: {debiased:.6f} | lrm: {lrm:.2f} | "
                  f"dt: {dt * 1000:.0f}ms | tok/sec: {tokens_per_step / dt:,.0f} | epoch: {epoch} | "
                  f"remaining: {remaining:.0f}s    ", end="", flush=True)
    print()

    def loss_fn(inputs, targets):
        with autocast:
            return model.loss(inputs, targets)

    val_bpb = evaluate_bpb(loss_fn, device)
    check(val_bpb)
    peak = peak_flops(device)
    used = model.flops_per_token() * step * tokens_per_step / training_seconds
    vram = torch.cuda.max_memory_allocated(device) / 2**20 if on_gpu else 0.0
    print("---")
    print(f"val_bpb:          {val_bpb:.6f}")
    print(f"training_seconds: {training_seconds:.1f}")
    print(f"total_seconds:    {time.perf_counter() - t_start:.1f}")
    print(f"peak_vram_mb:     {vram:.1f}")
    print(f"mfu_percent:      {100 * used / peak if peak else 0:.2f}")
    print(f"total_tokens_M:   {step * tokens_per_step / 1e6:.1f}")
    print(f"num_steps:        {step}")
    print(f"num_params_M:     {sum(p.numel() for p in model.parameters()) / 1e6:.1f}")
    print(f"depth:            {DEPTH}")


if __name__ == "__main__":
    main()
