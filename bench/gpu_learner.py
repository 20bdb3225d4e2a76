"""The learner in PyTorch on a GPU: that it learns what the CPU's does, and how long an update takes as one captured CUDA graph,
on CUDA without the graph, and on the CPU. 4,200 steps, 30 epochs of minibatches of 128, two 4-256-256 tanh nets; and a fifth of the
epochs for the convolutions of 42x42 images, 1,024 of them. Equal are also A2C and continuous actions.

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
from types import MappingProxyType
from typing import Any, NamedTuple

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


def box(*shape, kind=np.float32):
    from gymnasium import spaces

    low, high = (0, 255) if kind == np.uint8 else (-np.inf, np.inf)
    try:
        return spaces.Box(low, high, shape, kind)
    except TypeError:
        made = spaces.Box()
        made.shape, made.dtype = shape, np.dtype(kind)
        made.low, made.high = np.full(shape, low), np.full(shape, high)
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
        "use_gae": True,
    }
    model = {**MODEL_DEFAULTS, "fcnet_hiddens": HIDDEN, "vf_share_layers": False}
    own = {"model": model, "num_gpus": int(device == "cuda"), "cuda_graph": graph, "seed": 1}
    return {**COMMON, **ppo, **own, **more}


class Work(NamedTuple):
    """What is learned: the class of the policy, its spaces, the rows of its experience, other settings; whether the CPU must
    learn the same to TOLERANCE."""

    policy_class: Any
    observations: Any
    actions: Any
    rows: int = ROWS
    more: Any = MappingProxyType({})
    # Convolutions are summed in another order on a GPU, and Adam's first steps make a sign of the smallest gradient.
    close_to_cpu: bool = True

    def policy(self, device, graph=True, loss=None, **more):
        made = self.policy_class
        made = type("Own", (made,), {"loss": loss}) if loss else made
        return made(self.observations, self.actions, settings(device, graph, **self.more, **more))

    def experience(self, policy):
        from eagleray.rllib.policy.sample_batch import SampleBatch

        random, space = np.random.default_rng(0), self.observations
        if space.dtype == np.uint8:
            obs = random.integers(256, size=(self.rows, *space.shape), dtype=np.uint8)
        else:
            obs = random.normal(size=(self.rows, *space.shape)).astype(np.float32)
        actions, _, extras = policy.act(obs)
        values = random.normal(size=self.rows).astype(np.float32)
        columns = {"obs": obs, "actions": actions, **extras}
        return SampleBatch({**columns, "advantages": values, "value_targets": values * 2 + 1})

    def begin(self):
        """(experience, the weights to begin with)"""
        policy = self.policy("cpu")
        return self.experience(policy), policy.get_weights()


def works():
    from eagleray.rllib.policy.actor_critic_torch_policies import A2CTorchPolicy
    from eagleray.rllib.policy.ppo_torch_policy import PPOTorchPolicy

    images = box(42, 42, 4, kind=np.uint8)
    return {
        "PPO": Work(PPOTorchPolicy, box(4), discrete(2)),
        "continuous": Work(PPOTorchPolicy, box(6), box(3)),
        "A2C": Work(A2CTorchPolicy, box(4), discrete(2), more={"lr": 1e-5}),
        "images": Work(PPOTorchPolicy, images, discrete(6), 1024, close_to_cpu=False),
    }


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


def compare(name, work, epochs=1, **more):
    """Two updates on the CPU and on CUDA with and without the graph; the largest difference from the CPU's."""
    batch, weights = work.begin()
    made = {}
    for kind, device, graph in (
        ("cpu", "cpu", True),
        ("eager", "cuda", False),
        ("graph", "cuda", True),
    ):
        if device == "cuda" and not torch.cuda.is_available():
            continue
        policy = work.policy(device, graph, **more)
        policy.set_weights(weights)
        update(policy, batch, epochs, seed=3)
        _, stats = update(policy, batch, epochs, seed=4)
        made[kind] = (policy, stats)
    worst = 0.0
    for kind, base in (("eager", "cpu"), ("graph", "cpu"), ("graph", "eager")):
        if kind not in made:
            continue
        by_weight, by_stat = difference(made[base], made[kind])
        if base == "eager" or work.close_to_cpu:
            worst = max(worst, by_weight, by_stat)
        print(f"{name}, {kind} against {base}: weights {by_weight:.1e}, statistics {by_stat:.1e}")
    if "graph" in made and made["graph"][0]._updates._replay is None:
        print(f"{name}: NO GRAPH WAS CAPTURED")
        worst = float("inf")
    return worst


def state_moves(work):
    """An update on CUDA after the state has been to the CPU and back is the update without the journey."""
    batch, weights = work.begin()
    straight, moved, between = work.policy("cuda"), work.policy("cuda"), work.policy("cpu")
    for policy in (straight, moved):
        policy.set_weights(weights)
        update(policy, batch, 1)
    between.set_state(moved.get_state())
    moved.set_state(between.get_state())
    stats = [update(policy, batch, 1, seed=9)[1] for policy in (straight, moved)]
    found = max(difference((straight, stats[0]), (moved, stats[1])))
    print(f"state to the CPU and back: {found:.1e}")
    return found


def waits(work):
    """A loss that waits for the device cannot be captured: it is learned step by step, and equal to the CPU's."""
    from eagleray.rllib.policy.ppo_torch_policy import PPOTorchPolicy

    def loss(self, model, dist_class, train_batch):
        total = PPOTorchPolicy.loss(self, model, dist_class, train_batch)
        return total * (1.0 if total.item() == total.item() else 0.0)

    batch, weights = work.begin()
    made = []
    for device in ("cpu", "cuda"):
        policy = work.policy(device, loss=loss)
        policy.set_weights(weights)
        made.append((policy, update(policy, batch, 1)[1]))
    found = max(difference(*made))
    instead = made[1][0]._updates._instead is not None
    print(f"a loss that cannot be captured: {found:.1e}, learned step by step: {instead}")
    return found if instead else float("inf")


def times(name, work, epochs, repeat):
    batch, weights = work.begin()
    rows = [("CPU", "cpu", True)]
    if torch.cuda.is_available():
        rows = [("CUDA, one graph", "cuda", True), ("CUDA, step by step", "cuda", False), *rows]
    steps = epochs * (work.rows // MINIBATCH)
    for kind, device, graph in rows:
        policy = work.policy(device, graph)
        policy.set_weights(weights)
        first = update(policy, batch, epochs)[0]
        seconds = statistics.median(update(policy, batch, epochs)[0] for _ in range(repeat))
        print(
            f"{name}, {kind:20} {seconds:8.3f} s an update, {seconds / steps * 1e6:8.1f} us a minibatch; "
            f"the first {first:.3f} s"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    stand_ins()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", end=", ")
    print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA here")
    made = works()
    worst = max(compare(name, work) for name, work in made.items())
    worst = max(worst, compare("clipped", made["PPO"], grad_clip=0.5))
    annealed = {"lr_schedule": [[0, 5e-4], [100, 5e-5]], "kl_coeff": 0.0}
    worst = max(worst, compare("annealed, without KL", made["PPO"], **annealed))
    if torch.cuda.is_available():
        worst = max(worst, state_moves(made["PPO"]), waits(made["PPO"]))
    times("MLP", made["PPO"], options.epochs, options.repeat)
    times("images", made["images"], max(options.epochs // 5, 1), options.repeat)
    print(f"worst difference {worst:.1e} (allowed {TOLERANCE:.0e})")
    sys.exit(worst > TOLERANCE)


if __name__ == "__main__":
    main()
