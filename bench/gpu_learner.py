"""The learner in PyTorch on a GPU: that it learns what the CPU's does, and how long an update takes as one captured CUDA graph,
on CUDA without the graph, and on the CPU. 4,200 steps, 30 epochs of minibatches of 128, two 4-256-256 tanh nets.

    python bench/gpu_learner.py [--epochs 30] [--repeat 3]

It needs torch and numpy only: where eagleray is not built or gymnasium is not there, stand-ins of a few lines are put in their
places, so that it runs from the source tree. Exit status 1: results differ by more than 1e-4, or no graph was captured.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import statistics
import sys
import time
import types
from pathlib import Path

import numpy as np
import torch

ROWS, MINIBATCH, HIDDEN = 4200, 128, [256, 256]
TOLERANCE = 1e-4


def _module(name, **contents):
    module = types.ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module
    return module


def stand_ins():
    """eagleray without its native core, and the classes of gymnasium.spaces that the policies look at."""
    root = Path(__file__).resolve().parent.parent / "python" / "eagleray"
    if importlib.util.find_spec("eagleray") is None or not list(root.glob("_core*.so")):
        _module("eagleray", __path__=[str(root)])
        rllib = _module("eagleray.rllib", __path__=[str(root / "rllib")])
        sys.modules["eagleray"].rllib = rllib
    if importlib.util.find_spec("gymnasium") is None:
        names = "Space Box Discrete MultiDiscrete MultiBinary Dict Tuple".split()
        spaces = _module("gymnasium.spaces", **{name: type(name, (), {}) for name in names})
        _module("gymnasium", spaces=spaces)


def box(size):
    from gymnasium import spaces

    try:
        return spaces.Box(-np.inf, np.inf, (size,), np.float32)
    except TypeError:
        made = spaces.Box()
        made.shape, made.dtype = (size,), np.dtype(np.float32)
        made.low, made.high = np.full(size, -np.inf), np.full(size, np.inf)
        return made


def discrete(n):
    from gymnasium import spaces

    try:
        return spaces.Discrete(n)
    except TypeError:
        made = spaces.Discrete()
        made.n, made.start, made.shape, made.dtype = n, 0, (), np.dtype(np.int64)
        return made


def settings(device, graph=True, **more):
    from eagleray.rllib.algorithms.config_tables import COMMON
    from eagleray.rllib.models.defaults import MODEL_DEFAULTS

    ppo = {
        "use_critic": True,
        "use_kl_loss": True,
        "kl_coeff": 0.2,
        "kl_target": 0.01,
        "vf_loss_coeff": 1.0,
        "vf_clip_param": 10.0,
        "entropy_coeff": 0.01,
        "entropy_coeff_schedule": None,
        "clip_param": 0.3,
        "lr": 5e-4,
    }
    model = {**MODEL_DEFAULTS, "fcnet_hiddens": HIDDEN, "vf_share_layers": False}
    own = {"model": model, "num_gpus": int(device == "cuda"), "cuda_graph": graph, "seed": 1}
    return {**COMMON, **ppo, **own, **more}


def policy_on(device, graph=True, loss=None, **more):
    from eagleray.rllib.policy.ppo_torch_policy import PPOTorchPolicy

    made = type("Own", (PPOTorchPolicy,), {"loss": loss}) if loss else PPOTorchPolicy
    return made(box(4), discrete(2), settings(device, graph, **more))


def experience(policy):
    from eagleray.rllib.policy.sample_batch import SampleBatch

    random = np.random.default_rng(0)
    obs = random.normal(size=(ROWS, 4)).astype(np.float32)
    actions, _, extras = policy.act(obs)
    values = random.normal(size=ROWS).astype(np.float32)
    columns = {"obs": obs, "actions": actions, **extras}
    return SampleBatch({**columns, "advantages": values, "value_targets": values * 2 + 1})


def update(policy, batch, epochs, seed=3):
    """Seconds of one update, and its statistics."""
    began = time.perf_counter()
    stats = policy.learn(batch, epochs, MINIBATCH, np.random.default_rng(seed))["learner_stats"]
    if policy.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began, stats


def difference(one, other):
    """The largest difference of weights, and of statistics relative to their size."""
    mine, theirs = one[0].get_weights(), other[0].get_weights()
    weights = max(float(np.abs(mine[name] - theirs[name]).max()) for name in mine)
    stats = max(abs(one[1][name] - other[1][name]) / max(abs(one[1][name]), 1.0) for name in one[1])
    return weights, stats


def compare(name, batch, weights, epochs, **more):
    """Two updates on the CPU and on CUDA with and without the graph; the largest difference from the CPU's."""
    made = {}
    for kind, device, graph in (
        ("cpu", "cpu", True),
        ("eager", "cuda", False),
        ("graph", "cuda", True),
    ):
        if device == "cuda" and not torch.cuda.is_available():
            continue
        policy = policy_on(device, graph, **more)
        policy.set_weights(weights)
        update(policy, batch, epochs, seed=3)
        _, stats = update(policy, batch, epochs, seed=4)
        made[kind] = (policy, stats)
    worst = 0.0
    for kind, found in made.items():
        if kind == "cpu":
            continue
        by_weight, by_stat = difference(made["cpu"], found)
        worst = max(worst, by_weight, by_stat)
        print(f"{name}, {kind} against CPU: weights {by_weight:.1e}, statistics {by_stat:.1e}")
    if "graph" in made and made["graph"][0]._updates._replay is None:
        print(f"{name}: NO GRAPH WAS CAPTURED")
        worst = float("inf")
    return worst


def state_moves(batch, weights):
    """An update on CUDA after the state has been to the CPU and back is the update without the journey."""
    straight, moved, between = policy_on("cuda"), policy_on("cuda"), policy_on("cpu")
    for policy in (straight, moved):
        policy.set_weights(weights)
        update(policy, batch, 1)
    between.set_state(moved.get_state())
    moved.set_state(between.get_state())
    stats = [update(policy, batch, 1, seed=9)[1] for policy in (straight, moved)]
    found = max(difference((straight, stats[0]), (moved, stats[1])))
    print(f"state to the CPU and back: {found:.1e}")
    return found


def waits(batch, weights):
    """A loss that waits for the device cannot be captured: it is learned step by step, and equal to the CPU's."""
    from eagleray.rllib.policy.ppo_torch_policy import PPOTorchPolicy

    def loss(self, model, dist_class, train_batch):
        total = PPOTorchPolicy.loss(self, model, dist_class, train_batch)
        return total * (1.0 if total.item() == total.item() else 0.0)

    made = []
    for device in ("cpu", "cuda"):
        policy = policy_on(device, loss=loss)
        policy.set_weights(weights)
        made.append((policy, update(policy, batch, 1)[1]))
    found = max(difference(*made))
    instead = made[1][0]._updates._instead is not None
    print(f"a loss that cannot be captured: {found:.1e}, learned step by step: {instead}")
    return found if instead else float("inf")


def times(batch, weights, epochs, repeat):
    rows = [("CPU", "cpu", True)]
    if torch.cuda.is_available():
        rows = [("CUDA, one graph", "cuda", True), ("CUDA, step by step", "cuda", False), *rows]
    steps = epochs * (ROWS // MINIBATCH)
    for name, device, graph in rows:
        policy = policy_on(device, graph)
        policy.set_weights(weights)
        first = update(policy, batch, epochs)[0]
        seconds = statistics.median(update(policy, batch, epochs)[0] for _ in range(repeat))
        print(
            f"{name:20} {seconds:8.3f} s an update, {seconds / steps * 1e6:8.1f} us a minibatch; the first {first:.3f} s"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    stand_ins()
    torch.backends.cuda.matmul.allow_tf32 = False
    start = policy_on("cpu")
    batch, weights = experience(start), start.get_weights()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", end=", ")
    print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA here")
    worst = compare("an epoch", batch, weights, 1)
    worst = max(worst, compare("clipped", batch, weights, 1, grad_clip=0.5))
    annealed = {"lr_schedule": [[0, 5e-4], [100, 5e-5]], "kl_coeff": 0.0}
    worst = max(worst, compare("annealed, without KL", batch, weights, 1, **annealed))
    if torch.cuda.is_available():
        worst = max(worst, state_moves(batch, weights), waits(batch, weights))
    times(batch, weights, options.epochs, options.repeat)
    print(f"worst difference {worst:.1e} (allowed {TOLERANCE:.0e})")
    sys.exit(worst > TOLERANCE)


if __name__ == "__main__":
    main()
