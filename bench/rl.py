"""Measures RLlib below its iterations: native environments, rollouts, the learning of one PPO iteration with the defaults of 2021
(4,200 steps, minibatches of 128, 30 epochs, two 4-256-256 tanh nets, Adam), and sampling through eagleray.rllib, native and of
gymnasium's environments. With --peer torch the same learning in bare PyTorch beside it, in alternation.

    python bench/rl.py [--peer torch] [--repeat 3] [--smoke]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of the row that measures it

import numpy as np
from eagleray import _rl

STEPS, MINIBATCH, EPOCHS = 4200, 128, 30


def timed(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def busy(run):
    """Seconds of processor: of one thread, they do not depend on who else runs."""
    start = time.process_time()
    run()
    return time.process_time() - start


def environments(n):
    """Steps a second through step(), with 1,024 environments; and one call for one environment."""
    figures = {}
    calls = max(int(200 * n), 3)
    for id in _rl.env_ids():
        env = _rl.VectorEnv(id, 1024)
        action = env.spec["action"]
        actions = (
            np.arange(1024) % action["n"]
            if action["type"] == "discrete"
            else np.zeros((1024, 1), np.float32)
        )
        seconds = timed(lambda: [env.step(actions) for _ in range(calls)])  # noqa: B023
        figures[f"{id}, steps/s"] = calls * 1024 / seconds
    env, action = _rl.VectorEnv("CartPole-v1", 1), np.zeros(1, np.int64)
    calls = max(int(50_000 * n), 10)
    figures["step() of one environment, us"] = (
        timed(lambda: [env.step(action) for _ in range(calls)]) / calls * 1e6
    )
    return figures


def rollouts(n):
    """CartPole with the policy in the loop, values and advantages included."""
    figures = {}
    for hiddens in ([64, 64], [256, 256]):
        for envs, threads in ((1, 1), (64, 1), (64, 2)):
            rollout = _rl.Rollout(
                _rl.VectorEnv("CartPole-v1", envs),
                _rl.Mlp(4, hiddens, num_actions=2),
                threads=threads,
                lambda_=0.95,
            )
            steps = max(int(n * (40_000 if envs > 1 else 10_000)) // envs, 2)
            rollout.sample(steps)
            seconds = timed(lambda: rollout.sample(steps))  # noqa: B023
            figures[f"{hiddens}, {envs} envs, {threads} threads, steps/s"] = steps * envs / seconds
    return figures


def experience(policy, n):
    rollout = _rl.Rollout(_rl.VectorEnv("CartPole-v0", 3), policy)
    return rollout.sample(max(int(STEPS * n) // 3, 50))


def learning(n):
    figures = {}
    for threads in (1, 2):
        policy = _rl.Mlp(4, [256, 256], num_actions=2)
        learner = _rl.PpoLearner(
            policy, num_sgd_iter=EPOCHS, sgd_minibatch_size=MINIBATCH, threads=threads
        )
        batch = experience(policy, n)
        figures[f"learning, {threads} threads, s"] = timed(lambda: learner.update(batch))  # noqa: B023
        if threads > 1:
            continue
        seconds = figures["learning, s of processor"] = busy(lambda: learner.update(batch))  # noqa: B023
        weights = sum(w.size for k, w in policy.get_weights().items() if k.endswith("weight"))
        work = EPOCHS * len(batch["obs"]) * (6 * weights - 2 * 2 * 4 * 256)
        figures["learning, GFLOP a second of processor"] = work / seconds / 1e9
    return figures


def iteration(n):
    """Sampling of 3 x 1,400 steps and learning, on two threads."""
    policy = _rl.Mlp(4, [256, 256], num_actions=2)
    rollout = _rl.Rollout(_rl.VectorEnv("CartPole-v0", 3), policy, threads=2)
    learner = _rl.PpoLearner(policy, threads=2)
    steps = max(int(1400 * n), 20)
    return {"PPO iteration, 2 threads, s": timed(lambda: learner.update(rollout.sample(steps)))}


def sampled(algorithm, steps):
    """Steps a second of Algorithm.sample(): by the clock, and by processor of this process."""
    algorithm.sample(steps)
    clock, processor = time.perf_counter(), time.process_time()
    batch = algorithm.sample(steps)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    return batch.count / clock, batch.count / processor


def native_sampling(n):
    """CartPole with the policy in the loop through eagleray.rllib: two rollout workers, 64 environments each."""
    import eagleray
    from eagleray.rllib.algorithms.ppo import PPO

    length = max(int(500 * n), 10)
    own_cluster = not eagleray.is_initialized()
    if own_cluster:
        eagleray.init(num_cpus=4, log_to_driver=False)
    algorithm = PPO(
        {
            "env": "CartPole-v1",
            "num_workers": 2,
            "num_envs_per_worker": 64,
            "rollout_fragment_length": length,
            "train_batch_size": 128 * length,
            "model": {"fcnet_hiddens": [64, 64]},
        }
    )
    by_clock, _ = sampled(algorithm, 128 * length)
    algorithm.stop()
    if own_cluster:
        eagleray.shutdown()
    return {"rllib, native CartPole, 2 workers, steps/s": by_clock}


def python_sampling(n):
    """gymnasium's own environments, in Python, one worker: steps a second of processor, and what the sampler itself takes."""
    import gymnasium
    from eagleray.rllib.algorithms.ppo import PPO
    from eagleray.tune import register_env

    figures = {}
    for name in ("CartPole-v1", "Pendulum-v1"):
        register_env("bench_env", lambda config, name=name: gymnasium.make(name))
        for envs in (1, 8):
            for backend in ("native", "torch"):
                steps = max(int(4000 * n), 160)
                algorithm = PPO(
                    {
                        "env": "bench_env",
                        "num_workers": 0,
                        "num_envs_per_worker": envs,
                        "rollout_fragment_length": steps // envs,
                        "train_batch_size": steps,
                        "learner_backend": backend,
                        "model": {"fcnet_hiddens": [64, 64]},
                    }
                )
                _, by_processor = sampled(algorithm, steps)
                figures[f"rllib, {name}, {envs} envs, {backend} net, steps/s"] = by_processor
                perf = algorithm._latest[-1].perf
                own = (perf.observations + perf.actions) / perf.steps * 1e6
                figures[
                    f"rllib, {name}, {envs} envs, {backend} net, us of Python a vector step"
                ] = own
                algorithm.stop()
    return figures


def products(n):
    """What OpenBLAS makes of the largest product of a minibatch, on one core."""
    a, b = np.ones((128, 256), np.float32), np.ones((256, 256), np.float32)
    calls = max(int(3000 * n), 5)
    seconds = busy(lambda: [a @ b for _ in range(calls)])
    return {
        "numpy (OpenBLAS), GFLOP a second of processor": calls * 2 * 128 * 256 * 256 / seconds / 1e9
    }


def torch_learning(n):
    import torch

    policy = _rl.Mlp(4, [256, 256], num_actions=2)
    batch = {k: torch.from_numpy(v) for k, v in experience(policy, n).items()}
    figures = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        figures[f"learning, {threads} threads, s"] = timed(lambda: _torch_update(torch, batch))
        if threads == 1:
            figures["learning, s of processor"] = busy(lambda: _torch_update(torch, batch))
    return figures


def _torch_update(torch, batch):
    """The loss of RLlib's PPO in as few calls of PyTorch as it takes."""

    def net(outputs):
        layers = [torch.nn.Linear(4, 256), torch.nn.Tanh(), torch.nn.Linear(256, 256)]
        return torch.nn.Sequential(*layers, torch.nn.Tanh(), torch.nn.Linear(256, outputs))

    policy, value = net(2), net(1)
    optimizer = torch.optim.Adam([*policy.parameters(), *value.parameters()], lr=5e-5)
    old = torch.log_softmax(batch["action_dist_inputs"], 1)
    rows = len(old)
    for _ in range(EPOCHS):
        order = torch.randperm(rows)
        for begin in range(0, rows, MINIBATCH):
            at = order[begin : begin + MINIBATCH]
            obs, actions, before = batch["obs"][at], batch["actions"][at], old[at]
            logp = torch.log_softmax(policy(obs), 1)
            ratio = torch.exp(logp.gather(1, actions[:, None])[:, 0] - batch["action_logp"][at])
            advantages = batch["advantages"][at]
            surrogate = torch.min(advantages * ratio, advantages * ratio.clamp(0.7, 1.3))
            kl = (before.exp() * (before - logp)).sum(1)
            error = value(obs)[:, 0] - batch["value_targets"][at]
            loss = (-surrogate + 0.2 * kl + torch.clamp(error**2, 0, 10.0)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


ROWS = (environments, rollouts, native_sampling, python_sampling, learning, iteration, products)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", choices=["torch"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="tiny input; only that it runs")
    options = parser.parse_args()
    n = 0.01 if options.smoke else 1.0
    rounds, theirs = [], []
    for _ in range(1 if options.smoke else options.repeat):
        figures = {}
        for row in ROWS:
            figures.update(row(n))
        rounds.append(figures)
        if options.peer:
            theirs.append(torch_learning(n))
    print(f"kernels: {_rl.kernels()}; median of {len(rounds)}")
    for name in rounds[0]:
        ours = statistics.median(r[name] for r in rounds)
        line = f"{name:68s} {ours:14,.2f}"
        if theirs and name in theirs[0]:
            peer = statistics.median(r[name] for r in theirs)
            line += f"   {options.peer} {peer:10.2f}   x {peer / ours:.1f}"
        print(line)


if __name__ == "__main__":
    main()
