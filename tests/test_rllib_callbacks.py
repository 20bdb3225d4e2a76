"""Call-backs, custom metrics, curricula, workers' interface, hanging environments."""

import numpy as np
import pytest
from _support import PEER, ray

pytestmark = pytest.mark.skipif(PEER, reason="our library")
gymnasium = pytest.importorskip("gymnasium")
from gymnasium.spaces import Box, Discrete  # noqa: E402

if not PEER:
    from eagleray.rllib.algorithms.callbacks import HOOKS, DefaultCallbacks
    from eagleray.rllib.algorithms.ppo import PPO, PPOConfig
    from eagleray.rllib.evaluation.worker_set import EnvHungError

SMALL = {
    "env": "CartPole-v1",
    "num_workers": 0,
    "train_batch_size": 200,
    "rollout_fragment_length": 100,
    "sgd_minibatch_size": 100,
    "num_sgd_iter": 1,
    "model": {"fcnet_hiddens": [8]},
    "seed": 1,
}


class Counted(DefaultCallbacks):
    called: dict = {}


def _counting(name):
    def method(self, **kwargs):
        Counted.called.setdefault(name, []).append(kwargs)

    return method


for _name in HOOKS if not PEER else ():
    setattr(Counted, _name, _counting(_name))


def test_every_hook_is_called_with_what_it_needs(tmp_path):
    Counted.called = called = {}
    algorithm = PPO(
        config={
            **SMALL,
            "callbacks": Counted,
            "evaluation_interval": 1,
            "evaluation_num_episodes": 1,
        }
    )
    result = algorithm.train()
    algorithm.restore(algorithm.save_to_path(tmp_path / "checkpoint"))
    assert set(HOOKS) - set(called) == {"on_env_runners_recreated", "on_workers_recreated"}
    ends = [
        kwargs
        for kwargs in called["on_episode_end"]
        if not kwargs["worker"].config["in_evaluation"]
    ]
    assert len(ends) == result["episodes_this_iter"]
    episode = ends[0]["episode"]
    assert episode.total_reward == episode.length == result["hist_stats"]["episode_reward"][0]
    assert (
        episode.is_done
        and episode.get_agents() == ["agent0"]
        and episode.policy_for() == "default_policy"
    )
    assert episode.last_observation_for().shape == (4,) and episode.last_action_for() in (0, 1)
    steps = [k for k in called["on_episode_step"] if not k["worker"].config["in_evaluation"]]
    assert len(steps) == 200  # as in Ray, also the last of an episode
    assert called["on_learn_on_batch"][0]["train_batch"].count == 200


def test_numbers_of_call_backs_come_out_in_the_result():
    class Own(DefaultCallbacks):
        def on_episode_end(self, *, worker, base_env, policies, episode, **kwargs):
            episode.custom_metrics["angle"] = abs(float(episode.last_observation_for()[2]))
            episode.hist_data["lengths"] = [episode.length]

        def on_train_result(self, *, algorithm, result, **kwargs):
            result["mine"] = algorithm.iteration

        def on_learn_on_batch(self, *, policy, train_batch, result, **kwargs):
            result["rows"] = train_batch.count

    result = PPO(config={**SMALL, "callbacks": Own}).train()
    metrics = result["custom_metrics"]
    assert metrics["angle_min"] <= metrics["angle_mean"] <= metrics["angle_max"]
    assert sum(result["hist_stats"]["lengths"]) == sum(result["hist_stats"]["episode_lengths"])
    assert result["mine"] == 0
    assert result["info"]["learner"]["default_policy"]["custom_metrics"] == {"rows": 200}
    kept = PPO(config={**SMALL, "callbacks": Own, "keep_per_episode_custom_metrics": True}).train()
    assert len(kept["custom_metrics"]["angle"]) == kept["episodes_this_iter"]


def test_functions_and_the_metrics_logger_of_today():
    def ended(episode, metrics_logger, **kwargs):
        metrics_logger.log_value("return_seen", episode.get_return(), reduce="max")

    config = PPOConfig.from_dict(SMALL).callbacks(on_episode_end=ended)
    result = config.build_algo().train()
    assert result["return_seen"] == result["episode_reward_max"]
    assert result["env_runners"]["return_seen"] == result["episode_reward_max"]


def test_the_dict_of_functions_of_old():
    seen = []
    callbacks = {"on_episode_end": lambda info: seen.append(info["episode"].length)}
    result = PPO(config={**SMALL, "callbacks": callbacks}).train()
    assert seen == result["hist_stats"]["episode_lengths"]


def test_trajectories_and_samples_can_be_changed():
    class Own(DefaultCallbacks):
        def on_postprocess_trajectory(self, *, postprocessed_batch, **kwargs):
            postprocessed_batch["advantages"][:] = 7.0

    algorithm = PPO(config={**SMALL, "callbacks": Own})
    assert set(algorithm.sample(200)["advantages"]) == {7.0}


class Taskable(gymnasium.Env):
    observation_space, action_space = Box(-1.0, 1.0, (1,)), Discrete(2)

    def __init__(self, config):
        self.task = 1

    def set_task(self, task):
        self.task = task

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.zeros(1, np.float32), 1.0, self.steps >= self.task, False, {}


def test_curricula_set_tasks():
    def harder(result, env, context):
        return env.task + 1

    algorithm = PPO(config={**SMALL, "env": Taskable, "env_task_fn": harder})
    assert algorithm.train()["episode_reward_max"] == 1.0
    algorithm.train()
    assert algorithm.train()["episode_reward_max"] == 3.0


def test_an_evaluation_of_the_user_s_own():
    def evaluate(algorithm, workers):
        worker = workers.local_worker()
        return {"weights_are_there": len(worker.get_weights()["default_policy"])}

    algorithm = PPO(config={**SMALL, "evaluation_interval": 1, "custom_eval_function": evaluate})
    assert algorithm.train()["evaluation"]["weights_are_there"] > 3


class HangsOnce(Taskable):
    def __init__(self, config):
        super().__init__(config)
        self.hangs = not config.recreated_worker and config.worker_index == 2

    def step(self, action):
        while self.hangs:
            ray.get(ray.remote(lambda: None).options(num_cpus=0).remote())
        return super().step(action)


@pytest.fixture(scope="module")
def small_cluster():
    ray.init(num_cpus=4)
    yield
    ray.shutdown()


def test_a_hanging_environment_is_named_and_its_worker_replaced(small_cluster):
    settings = {**SMALL, "env": HangsOnce, "num_workers": 2, "sample_timeout_s": 0.5}
    algorithm = PPO(config={**settings, "recreate_failed_workers": False})
    with pytest.raises(EnvHungError, match=r"HangsOnce number 1 \(worker 2.*step\(\)"):
        algorithm.train()
    algorithm.stop()
    algorithm = PPO(config=settings)
    result = algorithm.train()
    assert result["num_remote_worker_restarts"] == 1 and result["timesteps_total"] == 200
    algorithm.stop()


def test_workers_can_be_asked(small_cluster):
    algorithm = PPO(config={**SMALL, "num_workers": 2})
    workers = algorithm.workers
    assert workers.foreach_worker(lambda worker: worker.worker_index) == [0, 1, 2]
    assert (
        workers.foreach_worker_with_index(lambda worker, index: index == worker.worker_index)
        == [True] * 3
    )
    assert len(workers.foreach_policy(lambda policy, name: name)) == 3
    workers.sync_weights()
    first, second, third = workers.foreach_worker(
        lambda w: w.get_weights()["default_policy"]["policy.0.weight"]
    )
    assert np.array_equal(first, second) and np.array_equal(first, third)
    algorithm.stop()
