"""Learns CartPole-v1 within a budget of steps, with the same settings in eagleray, Stable-Baselines3 and RLlib, over
several seeds: faster must not be worse at learning. Prints a table and draws a picture.

    python bench/learning.py [--sides eagleray sb3 ray] [--seeds 10] [--steps 20000] [--picture FILE.png]

The peers run in .venv-ray (`pip install stable-baselines3 "ray[rllib]" torch`). PPO with minibatches of 128, 10 epochs,
two nets of 64 x 64 tanh, learning rate 0.0003, batches of 2,048 steps; what is compared is the greedy policy
after the budget, over 20 episodes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BATCH, MINIBATCH, EPOCHS, RATE, NET = 2048, 128, 10, 3e-4, [64, 64]
EPISODES = 20


def greedy(act):
    """Mean return of the policy `act(observation)` over some episodes."""
    import gymnasium

    env = gymnasium.make("CartPole-v1")
    returns = []
    for episode in range(EPISODES):
        observation, _ = env.reset(seed=1000 + episode)
        total, done = 0.0, False
        while not done:
            observation, reward, terminated, truncated, _ = env.step(act(observation))
            total, done = total + float(reward), terminated or truncated
        returns.append(total)
    return statistics.mean(returns)


def learn_eagleray(seed, steps):
    from eagleray.rllib.algorithms.ppo import PPO

    algorithm = PPO(
        {
            "env": "CartPole-v1",
            "num_workers": 0,
            "num_envs_per_worker": 1,
            "rollout_fragment_length": BATCH,
            "train_batch_size": BATCH,
            "sgd_minibatch_size": MINIBATCH,
            "num_sgd_iter": EPOCHS,
            "lr": RATE,
            "lambda": 0.95,
            "clip_param": 0.2,
            "vf_clip_param": 1e9,
            "vf_loss_coeff": 0.5,
            "kl_coeff": 0.0,
            "grad_clip": 0.5,
            "model": {"fcnet_hiddens": NET},
            "seed": seed,
        }
    )
    while algorithm.train()["timesteps_total"] < steps:
        pass
    return algorithm, lambda observation: algorithm.compute_single_action(
        observation, explore=False
    )


def learn_sb3(seed, steps):
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    model = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=1, seed=seed),
        n_steps=BATCH,
        batch_size=MINIBATCH,
        n_epochs=EPOCHS,
        learning_rate=RATE,
        policy_kwargs={"net_arch": {"pi": NET, "vf": NET}, "activation_fn": torch.nn.Tanh},
        seed=seed,
        device="cpu",
    )
    model.learn(steps)
    return model, lambda observation: int(model.predict(observation, deterministic=True)[0])


def learn_ray(seed, steps):
    import torch
    from ray.rllib.algorithms.ppo import PPOConfig

    config = (
        PPOConfig()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=0)
        .training(
            train_batch_size=BATCH,
            minibatch_size=MINIBATCH,
            num_epochs=EPOCHS,
            lr=RATE,
            lambda_=0.95,
            clip_param=0.2,
            vf_clip_param=1e9,
            vf_loss_coeff=0.5,
            use_kl_loss=False,
            grad_clip=0.5,
        )
        .rl_module(model_config={"fcnet_hiddens": NET, "fcnet_activation": "tanh"})
        .debugging(seed=seed)
    )
    algorithm = config.build_algo()
    taken = 0
    while taken < steps:
        algorithm.train()
        taken += BATCH
    module = algorithm.get_module()

    def act(observation):
        with torch.no_grad():
            out = module.forward_inference({"obs": torch.from_numpy(observation[None])})
        return int(out["action_dist_inputs"][0].argmax())

    return algorithm, act


SIDES = {"eagleray": learn_eagleray, "sb3": learn_sb3, "ray": learn_ray}


def run_side(side, seed, steps):
    python = sys.executable
    if side != "eagleray":
        python = os.path.join(os.path.dirname(HERE), ".venv-ray", "bin", "python")
    command = [python, os.path.abspath(__file__), "--side", side, "--seed", str(seed)]
    done = subprocess.run([*command, "--steps", str(steps)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


def draw(found, steps, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (returns, seconds) = pyplot.subplots(1, 2, figsize=(9, 3.6))
    names = list(found)
    returns.boxplot([[run["greedy"] for run in found[name]] for name in names], tick_labels=names)
    returns.set_ylabel(f"greedy return after {steps:,} steps")
    medians = [statistics.median(run["seconds"] for run in found[name]) for name in names]
    seconds.bar(names, medians)
    seconds.set_ylabel("seconds to learn (median)")
    seconds.bar_label(seconds.containers[0], fmt="%.1f")
    figure.suptitle(f"PPO on CartPole-v1, {len(found[names[0]])} seeds")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=["eagleray", "sb3"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--picture")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        began = time.perf_counter()
        _, act = SIDES[options.side](options.seed, options.steps)
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "greedy": greedy(act)}))
        os._exit(0)  # peers leave threads and processes that take their time
    found = {side: [] for side in options.sides}
    for seed in range(options.seeds):
        for side in options.sides:
            found[side].append(run_side(side, seed, options.steps))
    print(f"{'':10}{'median':>9}{'mean':>9}{'least':>9}{'most':>9}{'seconds':>10}")
    for side, runs in found.items():
        values = sorted(run["greedy"] for run in runs)
        seconds = statistics.median(run["seconds"] for run in runs)
        print(
            f"{side:10}{statistics.median(values):9.1f}{statistics.mean(values):9.1f}"
            f"{values[0]:9.1f}{values[-1]:9.1f}{seconds:10.2f}"
        )
    if options.picture:
        draw(found, options.steps, options.picture)


if __name__ == "__main__":
    main()
