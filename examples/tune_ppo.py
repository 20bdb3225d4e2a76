"""The main program: PPO learns to balance CartPole with three learning rates at once, and the best one is found.

Each trial is a learner with three workers that play; it ends when a hundred episodes in a row were perfect (200), or
at the cap of time. Prints a live table, the best trial, and draws the curves.

    python examples/tune_ppo.py [--seconds 120] [--out eagleray_demo]
"""

import argparse
import os
import time

import eagleray as ray
import matplotlib
from eagleray import tune

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402


def plot(analysis, path):
    figure, (by_steps, by_time) = pyplot.subplots(1, 2, figsize=(11, 4), sharey=True)
    for trial in analysis.trials:
        rows = analysis.results_of(trial)
        rewards = [row["episode_reward_mean"] for row in rows]
        label = f"lr={trial.config['lr']:g}"
        by_steps.plot([row["timesteps_total"] for row in rows], rewards, label=label)
        by_time.plot([row["time_total_s"] for row in rows], rewards, label=label)
    for axes, name in ((by_steps, "steps of the environment"), (by_time, "seconds of the trial")):
        axes.axhline(200, color="grey", linewidth=0.8, linestyle=":")
        axes.set_xlabel(name)
        axes.grid(alpha=0.3)
    by_steps.set_ylabel("mean reward of the last 100 episodes")
    by_steps.legend()
    figure.suptitle("PPO on CartPole-v0, three learning rates")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=120, help="the cap of time")
    parser.add_argument("--out", default="eagleray_demo", help="directory for results and curves")
    options = parser.parse_args()
    began = time.time()
    analysis = tune.run(
        "PPO",
        stop={"episode_reward_mean": 200},
        config={
            "env": "CartPole-v0",
            "num_gpus": 0,
            "num_workers": 3,
            "lr": tune.grid_search([0.01, 0.001, 0.0001]),
        },
        metric="episode_reward_mean",
        mode="max",
        time_budget_s=options.seconds,
        storage_path=os.path.abspath(options.out),
        verbose=1,
    )
    path = os.path.join(options.out, "tune_ppo.png")
    plot(analysis, path)
    solved = [t for t in analysis.trials if t.last_result.get("episode_reward_mean", 0) >= 200]
    for trial in solved:
        steps, seconds = trial.last_result["timesteps_total"], trial.last_result["time_total_s"]
        print(f"lr={trial.config['lr']:g}: solved after {steps:,} steps in {seconds:.1f} s")
    best = analysis.best_trial
    print(
        f"best: lr={best.config['lr']:g}, mean reward {best.last_result['episode_reward_mean']:.1f}"
    )
    print(f"{time.time() - began:.1f} s in all   curves: {path}")
    ray.shutdown()
    if not solved:
        raise SystemExit("no trial was solved within the cap: give it more --seconds")


if __name__ == "__main__":
    main()
