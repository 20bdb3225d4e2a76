"""A parameter server: an actor holds the weights of a classifier of handwritten digits, worker tasks
compute gradients on their shards and push them. Prints progress, writes the curve as PNG and compares
with the same training in one process.

    python examples/parameter_server.py [--workers 2] [--rounds 150] [--out eagleray_demo]
"""

from __future__ import annotations

import argparse
import os
import time

import eagleray as ray
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HIDDEN = 512
LEARNING_RATE = 0.3


def digits():
    data = load_digits()
    images = data.data / 16.0
    return train_test_split(images, data.target, test_size=0.25, random_state=0)


def new_weights(seed=0):
    random = np.random.default_rng(seed)
    return [
        random.normal(0, 0.1, (64, HIDDEN)),
        np.zeros(HIDDEN),
        random.normal(0, 0.1, (HIDDEN, 10)),
        np.zeros(10),
    ]


def forward(weights, images):
    hidden = np.maximum(images @ weights[0] + weights[1], 0)
    scores = hidden @ weights[2] + weights[3]
    scores -= scores.max(axis=1, keepdims=True)
    odds = np.exp(scores)
    return hidden, odds / odds.sum(axis=1, keepdims=True)


def gradient(weights, images, labels):
    hidden, odds = forward(weights, images)
    error = odds.copy()
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    back = (error @ weights[2].T) * (hidden > 0)
    return [images.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]


def accuracy(weights, images, labels):
    return float((forward(weights, images)[1].argmax(axis=1) == labels).mean())


@ray.remote
class ParameterServer:
    """Holds the weights; applies gradients in the order in which they come."""

    def __init__(self):
        self.weights = new_weights()

    def apply(self, *gradients):
        for each in gradients:
            for weight, step in zip(self.weights, each, strict=True):
                weight -= LEARNING_RATE / len(gradients) * step
        return self.weights

    def get(self):
        return self.weights


@ray.remote
def compute(weights, images, labels):
    return gradient(weights, images, labels)


def train_alone(shards, rounds):
    weights = new_weights()
    start = time.perf_counter()
    for _ in range(rounds):
        gradients = [gradient(weights, *shard) for shard in shards]
        for each in gradients:
            for weight, step in zip(weights, each, strict=True):
                weight -= LEARNING_RATE / len(gradients) * step
    return weights, time.perf_counter() - start


def train_with_server(shards, rounds, test):
    server = ParameterServer.remote()
    kept = [[ray.put(part) for part in shard] for shard in shards]
    weights = server.get.remote()
    curve = []
    ray.get(compute.remote(weights, *kept[0]))
    start = time.perf_counter()
    for number in range(1, rounds + 1):
        weights = server.apply.remote(*[compute.remote(weights, *shard) for shard in kept])
        if number % 10 == 0 or number == rounds:
            score = accuracy(ray.get(weights), *test)
            curve.append((number, score))
            print(f"round {number:4d}/{rounds}  held-back digits right: {score:6.1%}", flush=True)
    return ray.get(weights), time.perf_counter() - start, curve


def plot(curve, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5))
    axes.plot([n for n, _ in curve], [100 * s for _, s in curve], marker="o", markersize=3)
    axes.axhline(95, linestyle="--", color="grey", linewidth=1)
    axes.set_xlabel("round")
    axes.set_ylabel("held-back digits right, %")
    axes.set_title("Parameter server on handwritten digits")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="shards, each computed by a task")
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--out", default="eagleray_demo", help="directory for the curve")
    options = parser.parse_args()
    train_x, test_x, train_y, test_y = digits()
    # Each shard is repeated, so that a gradient is work worth sending out.
    shards = [
        (np.tile(train_x[i :: options.workers], (8, 1)), np.tile(train_y[i :: options.workers], 8))
        for i in range(options.workers)
    ]
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with ray.init(num_cpus=options.workers + 1):
        weights, seconds, curve = train_with_server(shards, options.rounds, (test_x, test_y))
    alone, alone_seconds = train_alone(shards, options.rounds)
    score = accuracy(weights, test_x, test_y)
    os.makedirs(options.out, exist_ok=True)
    path = os.path.join(options.out, "parameter_server.png")
    plot(curve, path)
    print(f"with {options.workers} workers: {seconds:.2f} s, {score:.1%} right")
    print(f"one process:    {alone_seconds:.2f} s, {accuracy(alone, test_x, test_y):.1%} right")
    print(f"speed-up: {alone_seconds / seconds:.2f}x   curve: {path}")
    if score < 0.95:
        raise SystemExit("the classifier did not reach 95 %")


if __name__ == "__main__":
    # Comparable sides: BLAS uses one thread in the workers, and so it does here.
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        import sys

        os.execv(sys.executable, [sys.executable, *sys.argv])
    main()
