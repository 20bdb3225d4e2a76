"""The learner in PyTorch on a GPU: that it learns what the CPU's does, and how long an update takes as one captured CUDA graph,
on CUDA without the graph, and on the CPU. 4,200 steps, 30 epochs of minibatches of 128, two 4-256-256 tanh nets; and a fifth of the
epochs for an LSTM of 256 behind such a net, sequences of 20, and for the convolutions of 42x42 images, 1,024 of them. Equal are also
A2C, continuous actions, and nets, losses and optimisers of the user's (gpu_nets.py), of which a table says what became a graph.

    python bench/gpu_learner.py [--epochs 30] [--repeat 3]

It needs torch and numpy only: where eagleray is not built or gymnasium is not there, stand-ins of a few lines are put in their
places, so that it runs from the source tree. Exit status 1: results differ by more than 1e-4, or what should have become a graph
did not.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import time
import traceback

import numpy as np
import torch
from gpu_work import MINIBATCH, Work, box, discrete, stand_ins

TOLERANCE = 1e-4


def works():
    """What has been a graph all along, and the rest."""
    from eagleray.rllib.policy.actor_critic_torch_policies import A2CTorchPolicy
    from eagleray.rllib.policy.ppo_torch_policy import PPOTorchPolicy
    from gpu_nets import others, recurrent

    images = box(42, 42, 4, kind=np.uint8)
    plain = {
        "PPO": Work(PPOTorchPolicy, box(4), discrete(2)),
        "continuous": Work(PPOTorchPolicy, box(6), box(3)),
        "A2C": Work(A2CTorchPolicy, box(4), discrete(2), more={"lr": 1e-5}),
        "images": Work(PPOTorchPolicy, images, discrete(6), 1024, close_to_cpu=False),
    }
    return plain, recurrent(PPOTorchPolicy, A2CTorchPolicy), others(PPOTorchPolicy)


def update(policy, batch, epochs, minibatch=MINIBATCH, seed=3):
    """Seconds of one update, and its statistics."""
    began = time.perf_counter()
    stats = policy.learn(batch, epochs, minibatch, np.random.default_rng(seed))["learner_stats"]
    if policy.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began, stats


def difference(one, other):
    """The largest difference of weights, and of statistics relative to their size."""
    mine, theirs = one[0].get_weights(), other[0].get_weights()
    weights = max(float(np.abs(mine[name] - theirs[name]).max()) for name in mine)
    stats = max(abs(one[1][name] - other[1][name]) / max(abs(one[1][name]), 1.0) for name in one[1])
    return weights, stats


class Said(logging.Handler):
    """What the learner says while it goes on without a graph."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage().partition(": ")[2])


def compare(name, work, epochs=1, **more):
    """A few updates, every other with three quarters of the rows, on the CPU and on CUDA with and without the graph; the
    largest difference, of the graph's from the steps' on CUDA and, where they can be close, from the CPU's."""
    batch, weights = work.begin()
    fewer = batch.slice(0, work.rows * 3 // 4)
    made, said = {}, Said()
    for kind, device, graph in (
        ("cpu", "cpu", True),
        ("eager", "cuda", False),
        ("graph", "cuda", True),
    ):
        if device == "cuda" and not torch.cuda.is_available():
            continue
        logger = logging.getLogger("eagleray.rllib")
        logger.addHandler(said)
        policy = work.policy(device, graph, **more)
        policy.set_weights(weights)
        torch.manual_seed(5)
        for seed in range(4 if work.minibatch else 8):
            _, stats = update(policy, fewer if seed % 2 else batch, epochs, work.minibatch, seed)
        logger.removeHandler(said)
        made[kind] = (policy, stats)
    if "graph" not in made:
        print(f"{name:35} learned on the CPU")
        return 0.0
    found = {
        f"{kind}-{base}": max(difference(made[base], made[kind]))
        for kind, base in (("graph", "eager"), ("graph", "cpu"), ("eager", "cpu"))
    }
    updates = made["graph"][0]._updates
    is_graph = updates.kind == "recorded" and updates.recorded > 0
    how = f"{updates.recorded} recordings" if is_graph else f"no graph: {'; '.join(said.lines)}"
    print(f"{name:35}", *(f"{pair} {value:.1e}" for pair, value in found.items()), how, sep="  ")
    if is_graph != work.graph:
        print(f"{name}: {'A' if is_graph else 'NO'} GRAPH WAS CAPTURED")
        return float("inf")
    return max(found["graph-eager"], found["graph-cpu"] if work.close_to_cpu else 0.0)


def tried(name, work):
    """compare(), where an error does not end the table."""
    try:
        return compare(name, work)
    except RuntimeError:
        print(f"{name}: ", end="", flush=True)
        traceback.print_exc()
        return float("inf")


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


def steps_of(work, batch):
    """Minibatches of an epoch."""
    columns = work.policy("cpu")._tensors(batch)
    return columns.units // max(MINIBATCH // columns.per_unit, 1)


def times(name, work, epochs, repeat):
    batch, weights = work.begin()
    rows = [("CPU", "cpu", True)]
    if torch.cuda.is_available():
        rows = [("CUDA, one graph", "cuda", True), ("CUDA, step by step", "cuda", False), *rows]
    steps = epochs * steps_of(work, batch)
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
    stand_ins()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", end=", ")
    print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA here")
    plain, memories, others = works()
    worst = max(tried(name, work) for name, work in {**plain, **memories}.items())
    worst = max(worst, compare("clipped", plain["PPO"], grad_clip=0.5))
    annealed = {"lr_schedule": [[0, 5e-4], [100, 5e-5]], "kl_coeff": 0.0}
    worst = max(worst, compare("annealed, without KL", plain["PPO"], **annealed))
    if torch.cuda.is_available():
        worst = max(worst, state_moves(plain["PPO"]))
    torch.backends.cudnn.deterministic = False
    fewer = max(options.epochs // 5, 1)
    times("MLP", plain["PPO"], options.epochs, options.repeat)
    times("LSTM", memories["LSTM"], fewer, options.repeat)
    times("images", plain["images"], fewer, options.repeat)
    torch.backends.cudnn.deterministic = True
    worst = max(worst, *(tried(name, work) for name, work in others.items()))
    print(f"worst difference {worst:.1e} (allowed {TOLERANCE:.0e})")
    sys.exit(worst > TOLERANCE)


if __name__ == "__main__":
    main()
