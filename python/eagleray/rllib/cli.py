"""`eagleray rllib train|evaluate|example`: train an algorithm and look at what it has learned, without a program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

__all__ = ["cli"]

# What `example` lists and runs: settings that are known to learn.
EXAMPLES: dict[str, dict[str, Any]] = {
    "cartpole-ppo": {
        "run": "PPO",
        "stop": {"episode_reward_mean": 150, "timesteps_total": 100_000},
        "config": {
            "env": "CartPole-v1",
            "num_workers": 1,
            "gamma": 0.99,
            "lr": 0.0003,
            "num_sgd_iter": 6,
            "observation_filter": "MeanStdFilter",
            "vf_loss_coeff": 0.01,
            "model": {"fcnet_hiddens": [32], "fcnet_activation": "linear", "vf_share_layers": True},
        },
    },
    "cartpole-grid": {
        "run": "PPO",
        "stop": {"episode_reward_mean": 200, "time_total_s": 600},
        "config": {
            "env": "CartPole-v0",
            "num_workers": 3,
            "lr": {"grid_search": [0.01, 0.001, 0.0001]},
        },
    },
    "pendulum-ppo": {
        "run": "PPO",
        "stop": {"episode_reward_mean": -300, "timesteps_total": 400_000},
        "config": {
            "env": "Pendulum-v1",
            "num_workers": 1,
            "num_envs_per_worker": 4,
            "train_batch_size": 2048,
            "sgd_minibatch_size": 64,
            "num_sgd_iter": 6,
            "lambda": 0.1,
            "gamma": 0.95,
            "lr": 0.0003,
            "vf_clip_param": 1e9,
            "model": {"fcnet_activation": "relu"},
        },
    },
}


def _json(_context: Any, parameter: click.Parameter, text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not JSON: {error}", param=parameter) from None
    if not isinstance(value, dict):
        raise click.BadParameter(f"{text!r} is no JSON object", param=parameter)
    return value


def _described(path: str) -> dict[str, Any]:
    """Experiments of a JSON or YAML file, by name."""
    text = Path(path).read_text()
    if path.endswith(".json"):
        loaded = json.loads(text)
    else:
        try:
            import yaml
        except ImportError:
            raise click.ClickException(
                f"reading {path} needs the package pyyaml; JSON needs nothing"
            ) from None
        loaded = yaml.safe_load(text)
    if not isinstance(loaded, dict) or not all(isinstance(part, dict) for part in loaded.values()):
        raise click.ClickException(
            f'{path} holds no experiments, as {{"name": {{"run": "PPO", ...}}}}'
        )
    for part in loaded.values():
        if "env" in part:  # beside the config, as in Ray's files
            part.setdefault("config", {})["env"] = part.pop("env")
    return loaded


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Reinforcement learning from the command line.

    \b
    Examples:
      eagleray rllib train --run PPO --env CartPole-v1 --stop '{"episode_reward_mean": 150}'
      eagleray rllib train -f tuned.yaml
      eagleray rllib evaluate ~/ray_results/.../checkpoint_000010 --episodes 5
      eagleray rllib example cartpole-ppo
    """


@cli.command()
@click.argument("words", nargs=-1, metavar="[file PATH]")
@click.option("--run", "--algo", "-a", "run", help="The algorithm, as PPO.")
@click.option("--env", "-e", help="The environment.")
@click.option("--stop", "-s", callback=_json, help="When to stop: '{\"training_iteration\": 10}'.")
@click.option("--config", "-c", callback=_json, help="Settings of the algorithm, as JSON.")
@click.option("--config-file", "-f", "file", help="Experiments in a YAML or JSON file.")
@click.option("--checkpoint-freq", default=0, help="Iterations between checkpoints.")
@click.option("--checkpoint-at-end/--no-checkpoint-at-end", default=True)
@click.option("--keep-checkpoints-num", type=int, help="How many checkpoints stay (all).")
@click.option("--checkpoint-score-attr", help="Which stay: those with the most of this metric.")
@click.option("--export-formats", help="checkpoint, model, onnx: what trials write at their end.")
@click.option("--max-failures", default=0, help="How often a failed trial is tried again.")
@click.option("--restore", help="A checkpoint that trials begin from.")
@click.option("--scheduler", help="Which trials go on, by its name: asha, hyperband...")
@click.option("--num-samples", default=1, help="How often each set of settings is tried.")
@click.option("--local-dir", "--storage-path", "directory", help="Where results go.")
@click.option("--experiment-name", "-n", "name", help="The name of the experiment.")
@click.option("--ray-num-cpus", "--num-cpus", "cpus", type=int, help="CPUs of the cluster started.")
@click.option(
    "--framework", "--torch", is_flag=False, flag_value="torch", default="torch", hidden=True
)
@click.option("--resume", is_flag=True, help="Go on with an experiment of this name.")
@click.option("-v", "verbose", count=True, help="More output.")
def train(
    words: tuple[str, ...], run: str | None, file: str | None, cpus: int | None, **options: Any
) -> None:
    """Train an algorithm, or the experiments of a file.

    \b
    Examples:
      eagleray rllib train --run PPO --env CartPole-v1 --stop '{"training_iteration": 10}'
      eagleray rllib train -f tuned.yaml
    """
    import eagleray as ray
    from eagleray import tune

    if words:
        if len(words) != 2 or words[0] != "file":
            raise click.UsageError(
                f"unexpected {' '.join(words)!r}; a file is given as: train file PATH"
            )
        file = words[1]
    if (run is None) == (file is None):
        raise click.UsageError("give --run and --env, or a file of experiments")
    ray.init(num_cpus=cpus, ignore_reinit_error=True)
    if file is not None:
        tune.run_experiments(
            _described(file), verbose=options["verbose"] + 1, resume=options["resume"]
        )
        return
    config = {**options["config"], "framework": options["framework"]}
    if options["env"]:
        config["env"] = options["env"]
    if not config.get("env") and not config.get("input"):
        raise click.UsageError("--env is missing")
    analysis = tune.run(
        run,
        name=options["name"],
        stop=options["stop"],
        config=config,
        num_samples=options["num_samples"],
        storage_path=options["directory"],
        checkpoint_freq=options["checkpoint_freq"],
        checkpoint_at_end=options["checkpoint_at_end"],
        keep_checkpoints_num=options["keep_checkpoints_num"],
        checkpoint_score_attr=options["checkpoint_score_attr"],
        export_formats=options["export_formats"],
        max_failures=options["max_failures"],
        restore=options["restore"],
        scheduler=options["scheduler"],
        resume=options["resume"],
        verbose=options["verbose"] + 1,
    )
    for trial in analysis.trials:
        path = getattr(trial.checkpoint, "path", None)
        if path:
            click.echo(f"Checkpoint of {trial}: {path}")


@cli.command()
@click.argument("checkpoint")
@click.option("--run", "--algo", "-a", "run", hidden=True, help="Known from the checkpoint.")
@click.option("--env", "-e", help="Another environment than that of the training.")
@click.option("--config", "-c", callback=_json, help="Settings to change, as JSON.")
@click.option("--steps", default=0, help="At least so many steps.")
@click.option("--episodes", default=0, help="At least so many episodes (10, if nothing is said).")
@click.option("--explore/--no-explore", default=False, help="Actions at random, as in training.")
@click.option("--out", help="A file for the rewards, as JSON.")
def evaluate(
    checkpoint: str,
    run: str | None,
    env: str | None,
    config: dict[str, Any],
    out: str | None,
    **options: Any,
) -> None:
    """Play episodes with the policy of a checkpoint and print their rewards.

    \b
    Example:
      eagleray rllib evaluate ~/ray_results/.../checkpoint_000010 --episodes 5
    """
    from .utils.checkpoints import read_state

    state = read_state(checkpoint)
    settings = {**state["config"], "num_env_runners": 0, **config}
    if env is not None:
        settings["env"] = env
    algorithm = state["algorithm"](config=settings)
    algorithm.restore(checkpoint)
    wanted = options["episodes"] or (0 if options["steps"] else 10)
    rewards: list[float] = []
    steps = 0
    while len(rewards) < wanted or steps < options["steps"]:
        records = play(algorithm, options["explore"])
        for record in records:
            rewards.append(record.reward)
            steps += record.length
            click.echo(f"Episode #{len(rewards)}: reward: {record.reward}, steps: {record.length}")
    algorithm.stop()
    click.echo(f"Mean reward of {len(rewards)} episodes: {sum(rewards) / len(rewards):.3f}")
    if out:
        Path(out).write_text(json.dumps(rewards) + "\n")


cli.add_command(evaluate, "rollout")  # its older name


def play(algorithm: Any, explore: bool) -> list[Any]:
    """One episode of each of the local environments."""
    sampler = algorithm.workers.local_worker().sampler
    sampler.episodes(1, 0, explore)
    records, sampler.records = list(sampler.records), []
    return records


@cli.command()
@click.argument("name", required=False)
def example(name: str | None) -> None:
    """List the examples, or run one.

    \b
    Examples:
      eagleray rllib example
      eagleray rllib example cartpole-ppo
    """
    if name is None or name == "list":
        for known, spec in EXAMPLES.items():
            click.echo(f"{known:16} {spec['run']} on {spec['config']['env']}")
        return
    name = name.removeprefix("get ").removeprefix("run ")
    if name not in EXAMPLES:
        from .utils.names import unknown

        raise click.ClickException(unknown("example", name, EXAMPLES))
    from eagleray import tune

    tune.run_experiments({name: EXAMPLES[name]})
