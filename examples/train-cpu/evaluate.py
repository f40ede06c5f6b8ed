"""
Scores a checkpoint without training: the model is train.py's, the metric prepare.py's.
Usage: python evaluate.py CHECKPOINT    (or CHECKPOINT_OUT=... python evaluate.py)
"""
import os
import sys

from prepare import evaluate_bpb
from train import build_model


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CHECKPOINT_OUT")
    if not path:
        print("which checkpoint? name it as the argument or in CHECKPOINT_OUT", file=sys.stderr)
        sys.exit(2)
    model = build_model()
    try:
        model.load(path)
    except ValueError as e:
        print(e, file=sys.stderr)
        sys.exit(3)
    print(f"val_bpb: {evaluate_bpb(model.loss):.6f}")


if __name__ == "__main__":
    main()
