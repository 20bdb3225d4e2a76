"""Rows of the libraries: what a trial of Tune costs, and an iteration of PPO. Run with `bench/run.py --libraries`; as
core_rows: functions of (ray, n), public API only, the same program for Ray."""

from __future__ import annotations

import importlib
import tempfile
import time

PPO_STEPS, MINIBATCH, EPOCHS = 4200, 128, 30  # of an iteration with the defaults of 2021
RECURRENT_EPOCHS = 5


def _tune(ray):
    return importlib.import_module(f"{ray.__name__}.tune")


def _run(tune, *arguments, **options):
    """tune.run() that prints nothing and leaves nothing; its seconds and the analysis."""
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        analysis = tune.run(*arguments, verbose=0, storage_path=directory, **options)
        return time.perf_counter() - began, analysis


def trials(ray, n):
    """20 trivial function trials, each in a process of its own."""
    tune = _tune(ray)

    def train(config):
        tune.report({"loss": config["x"]})

    count = max(int(20 * n), 2)
    seconds, _ = _run(
        tune, train, config={"x": tune.uniform(0, 1)}, num_samples=count, reuse_actors=False
    )
    return {"tune_20_trials_s": seconds * 20 / count}


def trials_reused(ray, n):
    """1,000 trivial function trials in processes that are used again (100 for Ray, which takes 1.5 s a trial)."""
    tune = _tune(ray)

    def train(config):
        tune.report({"loss": config["x"]})

    count = max(int((100 if ray.__name__ == "ray" else 1_000) * n), 10)
    seconds, _ = _run(
        tune, train, config={"x": tune.uniform(0, 1)}, num_samples=count, reuse_actors=True
    )
    return {"tune_reused_ms_a_trial": seconds / count * 1e3}


def results(ray, n):
    """What the loop costs per result: 4 trials that report as fast as they may."""
    tune = _tune(ray)
    count = max(int((100 if ray.__name__ == "ray" else 2_000) * n), 10)

    def train(config):
        for step in range(count):
            tune.report({"step": step})

    seconds, _ = _run(tune, train, num_samples=4)
    return {"tune_ms_a_result": seconds / (4 * count) * 1e3}


def queued_trials(ray, n):
    """How much more a trial costs when 10,000 are queued than when 1,000 are (ours only: Ray takes hours)."""
    if ray.__name__ == "ray":
        return {}
    tune = _tune(ray)

    def train(config):
        tune.report({"loss": config["x"]})

    def cost(count):
        seconds, _ = _run(tune, train, config={"x": tune.uniform(0, 1)}, num_samples=count)
        return seconds / count

    few = max(int(1_000 * n), 20)
    return {"tune_10000_to_1000_trials": cost(10 * few) / cost(few)}


def ppo_iteration(ray, n):
    """An iteration of PPO with the defaults of 2021: 4,000 steps, 30 epochs, two nets of 256 x 256 tanh."""
    ppo = importlib.import_module(f"{ray.__name__}.rllib.algorithms.ppo")
    config = ppo.PPOConfig().environment("CartPole-v1")
    if ray.__name__ == "ray":
        config = config.env_runners(num_env_runners=3).rl_module(
            model_config={"fcnet_hiddens": [256, 256], "fcnet_activation": "tanh"}
        )
    else:
        config = config.env_runners(num_env_runners=3)
    config = config.training(
        train_batch_size=4000, minibatch_size=128, num_epochs=max(int(30 * n), 1), lr=0.001
    )
    algorithm = config.build_algo()
    algorithm.train()
    times = []
    for _ in range(3):
        began = time.perf_counter()
        algorithm.train()
        times.append(time.perf_counter() - began)
    algorithm.stop()
    return {"ppo_iteration_s": sorted(times)[1]}


def torch_learning(ray, n):
    """Seconds of processor (one thread) that the learner in PyTorch takes for such an iteration (ours and SB3's)."""
    return _torch_learning(ray, n, "torch_learning", EPOCHS, PPO_STEPS // MINIBATCH)


def recurrent_learning(ray, n):
    """The same with an LSTM of 256 behind the net, sequences of 20 (ours and that of sb3-contrib, which learns from rows of
    whole episodes)."""
    steps = PPO_STEPS / MINIBATCH
    return _torch_learning(ray, n, "recurrent_learning", RECURRENT_EPOCHS, steps, use_lstm=True)


def _torch_learning(ray, n, name, epochs, steps, **model):
    if ray.__name__ == "ray":
        return {}
    import numpy as np
    import torch

    ppo = importlib.import_module(f"{ray.__name__}.rllib.algorithms.ppo")
    config = {"env": "CartPole-v1", "num_workers": 0, "rollout_fragment_length": PPO_STEPS}
    more = {"train_batch_size": PPO_STEPS, "learner_backend": "torch", "model": model}
    algorithm = ppo.PPO({**config, **more})
    batch, policy = algorithm.sample(PPO_STEPS), algorithm.get_policy()
    torch.set_num_threads(1)
    epochs, generator = max(int(epochs * n), 1), np.random.default_rng(0)
    policy.learn(batch, 1, MINIBATCH, generator)
    began = time.process_time()
    policy.learn(batch, epochs, MINIBATCH, generator)
    return _a_minibatch(name, began, epochs * steps)


def _a_minibatch(name, began, steps):
    return {f"{name}_cpu_ms_a_minibatch": (time.process_time() - began) / steps * 1e3}


def sb3_model(epochs):
    """PPO of Stable-Baselines3 with the same sizes, on one environment."""
    from stable_baselines3 import PPO

    return _sb3_model(PPO, "MlpPolicy", epochs)


def _sb3_model(made, policy, epochs, **net):
    import torch
    from stable_baselines3.common.env_util import make_vec_env

    net |= {"net_arch": {"pi": [256, 256], "vf": [256, 256]}, "activation_fn": torch.nn.Tanh}
    return made(
        policy,
        make_vec_env("CartPole-v1", n_envs=1),
        n_steps=PPO_STEPS,
        batch_size=MINIBATCH,
        n_epochs=epochs,
        learning_rate=5e-5,
        policy_kwargs=net,
        device="cpu",
    )


def sb3_ppo_iteration(n):
    model = sb3_model(max(int(EPOCHS * n), 1))
    times = []
    for _ in range(3):
        began = time.perf_counter()
        model.learn(PPO_STEPS, reset_num_timesteps=False)
        times.append(time.perf_counter() - began)
    return {"ppo_iteration_s": sorted(times)[1]}


def sb3_torch_learning(n):
    steps = -(-PPO_STEPS // MINIBATCH)  # the last has 104 rows only
    return _sb3_learning(sb3_model(1), "torch_learning", max(int(EPOCHS * n), 1), steps)


def sb3_recurrent_learning(n):
    """Nothing where sb3-contrib is not installed. Its two nets of 256x256 stand behind one LSTM."""
    try:
        from sb3_contrib import RecurrentPPO
    except ImportError:
        return {}
    one = {"lstm_hidden_size": 256, "shared_lstm": True, "enable_critic_lstm": False}
    model = _sb3_model(RecurrentPPO, "MlpLstmPolicy", 1, **one)
    epochs = max(int(RECURRENT_EPOCHS * n), 1)
    return _sb3_learning(model, "recurrent_learning", epochs, PPO_STEPS / MINIBATCH)


def _sb3_learning(model, name, epochs, steps):
    import torch

    torch.set_num_threads(1)
    model.learn(PPO_STEPS)
    model.n_epochs = epochs
    began = time.process_time()
    model.train()
    return _a_minibatch(name, began, epochs * steps)


def main_job(ray, n):
    """The program that eagleray exists for, until all three trials have a mean of 200, or 600 s have passed."""
    tune = _tune(ray)
    rates = tune.grid_search([0.01, 0.001, 0.0001])
    if ray.__name__ == "ray":
        name, config = "env_runners/episode_return_mean", _main_config_of_ray(rates)
    else:
        name = "episode_reward_mean"
        config = {"env": "CartPole-v0", "num_gpus": 0, "num_workers": 3, "lr": rates}
    stop = {name: 200} if n >= 1 else {"training_iteration": 1}
    seconds, analysis = _run(tune, "PPO", stop=stop, time_budget_s=600, config=config)
    ends = [_at(trial.last_result or {}, name) for trial in analysis.trials]
    return {
        "main_job_s": seconds,
        "main_job_trials_solved": sum(bool(end >= 200) for end in ends),
        "main_job_best_mean": float(max(ends)),
    }


def _main_config_of_ray(rates):
    """The defaults of 2021, spelled out for a Ray of today."""
    config = importlib.import_module("ray.rllib.algorithms.ppo").PPOConfig()
    return (
        config.environment("CartPole-v0")
        .env_runners(num_env_runners=3)
        .rl_module(model_config={"fcnet_hiddens": [256, 256], "fcnet_activation": "tanh"})
        .training(train_batch_size=4000, minibatch_size=MINIBATCH, num_epochs=EPOCHS, lr=rates)
    )


def _at(result, name):
    """The number at this path of keys, 0 where there is none yet."""
    for key in name.split("/"):
        result = result.get(key, {}) if isinstance(result, dict) else {}
    return result if isinstance(result, float | int) else 0.0


ROWS = [
    trials,
    trials_reused,
    results,
    queued_trials,
    ppo_iteration,
    torch_learning,
    recurrent_learning,
    main_job,
]
SB3_ROWS = [sb3_ppo_iteration, sb3_torch_learning, sb3_recurrent_learning]
# name: bound, whether higher is better
REACH = {
    "tune_20_trials_s": (0.6, False),
    "tune_reused_ms_a_trial": (1.0, False),
    "tune_ms_a_result": (0.3, False),
    "tune_10000_to_1000_trials": (1.2, False),
    "ppo_iteration_s": (1.5, False),
    "torch_learning_cpu_ms_a_minibatch": (2.6, False),  # what SB3 takes on the machine of BASELINES
    "recurrent_learning_cpu_ms_a_minibatch": (32.0, False),  # sb3-contrib's
    "main_job_s": (600.0, False),
    "main_job_trials_solved": (1, True),
}
