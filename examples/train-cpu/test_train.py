"""python -m unittest    (in this folder; about ten seconds)"""
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np

import prepare
import train

HERE = os.path.dirname(os.path.abspath(__file__))
SUMMARY_KEYS = """val_bpb training_seconds total_seconds peak_vram_mb mfu_percent
    total_tokens_M num_steps num_params_M depth""".split()


def run(script, *args, code=0, **env):
    ours = ("SEED", "TIME_BUDGET", "STEP_BUDGET", "CHECKPOINT_IN", "CHECKPOINT_OUT")
    clean = {k: v for k, v in os.environ.items() if k not in ours}
    done = subprocess.run([sys.executable, script, *args], cwd=HERE, env={**clean, **env},
                          capture_output=True, text=True)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def summary(stdout):
    return dict(line.split(":", 1) for line in stdout.split("---\n")[1].splitlines())


class Backward(unittest.TestCase):
    def check(self, activation):
        """Every weight's gradient against the central difference, at weights where every path is open."""
        rng = np.random.default_rng(0)
        model = train.GPT(depth=2, dim=8, head_dim=4, activation=activation, dtype=np.float64)
        model.flat[:] = rng.normal(0, 0.5, model.flat.size)
        inputs, targets = rng.integers(0, 12, (2, 2, prepare.MAX_SEQ_LEN))  # few bytes, each many times
        # In two halves: the gradients of micro batches add up.
        for half in (slice(0, 1), slice(1, 2)):
            model.loss_and_grad(inputs[half], targets[half], weight=0.5)
        for name, w in model.params.items():
            # A random direction moves all entries of a weight, so a few of them see any wrong entry.
            for _ in range(4):
                direction = rng.normal(size=w.shape)
                numeric = self.central_difference(model, w, direction, inputs, targets)
                analytic = np.vdot(model.grads[name], direction)
                self.assertLess(abs(analytic - numeric) / abs(numeric), 1e-4, name)

    @staticmethod
    def central_difference(model, w, direction, inputs, targets, eps=1e-6):
        old, loss = w.copy(), []
        for sign in (1, -1):
            w[:] = old + sign * eps * direction
            loss.append(model.loss(inputs, targets).mean())
        w[:] = old
        return (loss[0] - loss[1]) / (2 * eps)

    def test_it_gives_the_gradient_with_relu2(self):
        self.check("relu2")

    def test_it_gives_the_gradient_with_gelu(self):
        self.check("gelu")

    def test_it_gives_the_gradient_with_silu(self):
        self.check("silu")


class Model(unittest.TestCase):
    def test_the_future_is_not_seen(self):
        model = train.build_model()
        model.flat[:] = np.random.default_rng(0).normal(0, 0.2, model.flat.size)
        a = np.random.default_rng(1).integers(0, 256, (1, prepare.MAX_SEQ_LEN))
        b = a.copy()
        b[0, 100:] = 7
        la, lb = model.forward(a)[0], model.forward(b)[0]
        np.testing.assert_allclose(la[:100], lb[:100], rtol=1e-4, atol=1e-4)
        self.assertGreater(np.abs(la[100:] - lb[100:]).max(), 0.1)

    def test_a_base_step_costs_what_prepare_says(self):
        model = train.GPT(depth=4, dim=64, head_dim=32, activation="relu2")
        self.assertEqual(512 * model.flops_per_token(), prepare.BASE_STEP_FLOPS)

    def test_no_held_out_module_is_trained_on(self):
        self.assertFalse(set(prepare.TRAIN_MODULES) & set(prepare.VAL_MODULES))


class Runs(unittest.TestCase):
    def test_same_seed_same_score_and_a_checkpoint_that_keeps_it(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "weights")
            first = summary(run("train.py", STEP_BUDGET="3", SEED="7", CHECKPOINT_OUT=path))
            again = summary(run("train.py", STEP_BUDGET="3", SEED="7"))
            other = summary(run("train.py", STEP_BUDGET="3", SEED="8"))
            self.assertEqual(list(first), SUMMARY_KEYS)
            self.assertEqual(first["val_bpb"], again["val_bpb"])
            self.assertNotEqual(first["val_bpb"], other["val_bpb"])

            for out in (run("evaluate.py", path), run("evaluate.py", CHECKPOINT_OUT=path)):
                self.assertAlmostEqual(float(out.split("val_bpb:")[1]), float(first["val_bpb"]), delta=1e-6)

            more = summary(run("train.py", STEP_BUDGET="3", SEED="7", CHECKPOINT_IN=path))
            self.assertLess(float(more["val_bpb"]), float(first["val_bpb"]))

    def test_a_checkpoint_that_does_not_fit_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "other")
            train.GPT(depth=1, dim=8, head_dim=4, activation="relu2").save(path)
            self.assertIn("another model", run("train.py", code=3, STEP_BUDGET="1", CHECKPOINT_IN=path))
            missing = os.path.join(folder, "missing")
            self.assertIn("cannot read", run("train.py", code=3, STEP_BUDGET="1", CHECKPOINT_IN=missing))

    def test_an_exploded_number_fails_the_run(self):
        for number in (float("nan"), float("inf"), 100.0):
            out = io.StringIO()
            with self.assertRaises(SystemExit) as end, contextlib.redirect_stdout(out):
                train.check(number)
            self.assertEqual((end.exception.code, out.getvalue().strip()), (1, "FAIL"))
        train.check(5.5)

    def test_the_clock_ends_a_run(self):
        out = summary(run("train.py", TIME_BUDGET="0.5"))
        self.assertGreaterEqual(float(out["training_seconds"]), 0.5)


if __name__ == "__main__":
    unittest.main()
