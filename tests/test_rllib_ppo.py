"""PPO on native environments: results, determinism, checkpoints, faults."""

import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from _support import PEER, ray

pytestmark = pytest.mark.skipif(PEER, reason="our library")
if not PEER:
    from eagleray.rllib.agents.ppo import PPOTrainer
    from eagleray.rllib.algorithms.algorithm import Algorithm
    from eagleray.rllib.algorithms.ppo import PPO, PPOConfig
    from eagleray.rllib.algorithms.results import EpisodeHistory, episode_metrics
    from eagleray.rllib.evaluation.collected import Perf
    from eagleray.rllib.evaluation.episode import EpisodeRecord

SMALL = {
    "num_workers": 0,
    "train_batch_size": 400,
    "rollout_fragment_length": 100,
    "sgd_minibatch_size": 100,
    "num_sgd_iter": 2,
    "model": {"fcnet_hiddens": [16, 16]},
    "seed": 3,
}


@pytest.fixture(scope="module")
def big_cluster():
    ray.init(num_cpus=12)
    yield
    ray.shutdown()


def make(**settings):
    return PPOTrainer(config={**SMALL, **settings}, env=settings.get("env", "CartPole-v0"))


def same(a, b):
    return all(np.array_equal(a[name], b[name]) for name in a) and a.keys() == b.keys()


def test_importing_it_needs_no_torch():
    code = (
        "import sys, eagleray.rllib.algorithms.ppo as p\n"
        "a = p.PPO({'env': 'CartPole-v0', 'num_workers': 0, 'train_batch_size': 200, 'num_sgd_iter': 1})\n"
        "a.train()\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_field_of_a_result():
    algorithm = make()
    result = [algorithm.train() for _ in range(2)][-1]
    learner = result["info"]["learner"]["default_policy"]["learner_stats"]
    for name in "cur_kl_coeff cur_lr entropy entropy_coeff kl policy_loss total_loss vf_explained_var vf_loss".split():
        assert math.isfinite(learner[name]), name
    fields = """episode_reward_max episode_reward_min episode_reward_mean episode_len_mean episodes_this_iter
        episodes_total episode_media policy_reward_min policy_reward_max policy_reward_mean custom_metrics
        hist_stats sampler_perf off_policy_estimator num_healthy_workers timers info perf timesteps_total
        agent_timesteps_total training_iteration time_this_iter_s time_total_s time_since_restore
        timesteps_since_restore iterations_since_restore date timestamp pid hostname node_ip experiment_id
        experiment_tag trial_id done config counters env_runners learners num_env_steps_sampled_lifetime"""
    assert not [name for name in fields.split() if name not in result]
    assert result["timesteps_total"] == 800 == result["counters"]["num_env_steps_sampled"]
    assert result["num_env_steps_sampled_this_iter"] == 400 and result["training_iteration"] == 2
    new = result["env_runners"]
    assert new["episode_return_mean"] == result["episode_reward_mean"]
    assert new["num_module_steps_sampled_lifetime"] == {"default_policy": 800}
    assert new["num_episodes_lifetime"] == result["episodes_total"]
    assert result["learners"]["default_policy"]["mean_kl_loss"] == learner["kl"]
    assert result["learners"]["__all_modules__"]["num_env_steps_trained_lifetime"] == 800
    assert result["num_training_step_calls_per_iteration"] == 1
    assert len(result["hist_stats"]["episode_reward"]) == min(result["episodes_total"], 100)
    assert np.mean(result["hist_stats"]["episode_reward"]) == result["episode_reward_mean"]
    assert {
        *("sample_time_ms", "sample_throughput", "learn_time_ms", "learn_throughput"),
        *("load_time_ms", "load_throughput", "update_time_ms", "synch_weights"),
    } <= set(result["timers"])


def test_means_are_over_an_iteration_s_episodes_filled_up_to_a_hundred():
    history = EpisodeHistory(100)

    def records(count, reward):
        return [EpisodeRecord(length=5, reward=reward) for _ in range(count)]

    def mean(count, reward):
        fresh = records(count, reward)
        return episode_metrics(history.add(fresh), fresh, Perf(), False)["episode_reward_mean"]

    assert math.isnan(mean(0, 0.0))
    assert mean(20, 1.0) == 1.0
    assert mean(20, 2.0) == 1.5  # 20 old, 20 new
    assert mean(150, 3.0) == 3.0  # more than 100: all of them, nothing older
    assert mean(1, 4.0) == pytest.approx((99 * 3 + 4) / 100)
    assert history.total == 191


def test_three_workers_make_4200_steps_of_4000(big_cluster):
    algorithm = PPO({"env": "CartPole-v0", "num_workers": 3, "num_sgd_iter": 1, "seed": 1})
    result = algorithm.train()
    assert result["timesteps_total"] == 4200 and result["num_healthy_workers"] == 3
    assert result["info"]["learner"]["default_policy"]["learner_stats"]["num_grad_updates"] == 32
    algorithm.stop()


def test_a_seed_gives_the_same_bits_whatever_the_number_of_workers(big_cluster):
    weights, means = [], []
    for workers, envs in ((0, 6), (1, 6), (2, 3), (3, 2)):
        algorithm = make(num_workers=workers, num_envs_per_worker=envs, train_batch_size=1200)
        means.append([algorithm.train()["episode_reward_mean"] for _ in range(2)])
        weights.append(algorithm.get_weights()["default_policy"])
        algorithm.stop()
    assert means[1:] == means[:1] * 3
    assert all(same(weights[0], other) for other in weights[1:])


def test_a_restored_run_goes_on_with_the_same_bits(tmp_path):
    straight = make()
    for _ in range(2):
        straight.train()
    path = straight.save_to_path(tmp_path / "checkpoint")
    expected = straight.train()
    restored = make(seed=99)
    restored.restore(path)
    again = restored.train()
    rebuilt = Algorithm.from_checkpoint(path)
    assert rebuilt.iteration == 2
    third = rebuilt.train()
    for result, algorithm in ((again, restored), (third, rebuilt)):
        assert same(
            algorithm.get_weights()["default_policy"], straight.get_weights()["default_policy"]
        )
        for name in (
            "episode_reward_mean",
            "timesteps_total",
            "training_iteration",
            "episodes_total",
        ):
            assert result[name] == expected[name], name


def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path):
    algorithm = make()
    with pytest.raises((ValueError, FileNotFoundError)):
        algorithm.restore(str(tmp_path))
    path = algorithm.save_to_path(tmp_path / "checkpoint")
    description = os.path.join(path, "rllib_checkpoint.json")
    text = (
        open(description)
        .read()
        .replace('"checkpoint_version": "1.0"', '"checkpoint_version": "9.0"')
    )
    open(description, "w").write(text)
    with pytest.raises(ValueError):
        Algorithm.from_checkpoint(path)


def test_actions_of_single_observations():
    algorithm = make()
    algorithm.train()
    observation = np.array([0.0, 0.1, 0.0, -0.1])
    actions = {algorithm.compute_single_action(observation, explore=False) for _ in range(5)}
    assert len(actions) == 1 and actions <= {0, 1}
    action, state, columns = algorithm.compute_action(observation, full_fetch=True)
    assert state == [] and columns["action_prob"] == pytest.approx(np.exp(columns["action_logp"]))
    assert set(algorithm.compute_actions({"a": observation, "b": observation})) == {"a", "b"}
    policy = algorithm.get_policy()
    batch, _, _ = policy.compute_actions(np.stack([observation] * 7))
    assert batch.shape == (7,)
    with pytest.raises(ValueError, match="shape"):
        algorithm.compute_single_action([1.0, 2.0])


def test_weights_can_be_taken_and_given():
    one, other = make(), make(seed=4)
    assert not same(one.get_weights()["default_policy"], other.get_weights()["default_policy"])
    other.set_weights(one.get_weights())
    assert same(one.get_weights()["default_policy"], other.get_weights()["default_policy"])


def test_a_dead_worker_is_replaced_and_the_iteration_goes_on(big_cluster):
    algorithm = make(num_workers=2)
    algorithm.train()
    first, second = algorithm.workers.foreach_worker(lambda worker: os.getpid(), local_worker=False)
    os.kill(second, signal.SIGKILL)
    result = algorithm.train()
    assert result["timesteps_total"] == 800
    assert result["num_healthy_workers"] == 2 and result["num_remote_worker_restarts"] == 1
    pids = algorithm.workers.foreach_worker(lambda worker: os.getpid(), local_worker=False)
    assert pids[0] == first and pids[1] != second
    algorithm.stop()


def test_a_dead_worker_can_be_left_out_or_end_the_run(big_cluster):
    algorithm = make(num_workers=2, recreate_failed_workers=False, ignore_worker_failures=True)
    pids = algorithm.workers.foreach_worker(lambda worker: os.getpid(), local_worker=False)
    os.kill(pids[0], signal.SIGKILL)
    assert algorithm.train()["num_healthy_workers"] == 1
    assert algorithm.train()["timesteps_total"] == 600  # 200 of the first, then all of one worker
    algorithm.stop()
    algorithm = make(num_workers=1, recreate_failed_workers=False)
    pids = algorithm.workers.foreach_worker(lambda worker: os.getpid(), local_worker=False)
    os.kill(pids[0], signal.SIGKILL)
    with pytest.raises(ray.exceptions.RayActorError):
        algorithm.train()
    algorithm.stop()


def test_evaluation_in_workers_of_its_own(big_cluster):
    algorithm = make(
        num_workers=1,
        evaluation_interval=2,
        evaluation_num_workers=2,
        evaluation_num_episodes=5,
        evaluation_config={"explore": False},
    )
    assert "evaluation" not in algorithm.train()
    metrics = algorithm.train()["evaluation"]
    assert metrics["episodes_this_iter"] == 5 == len(metrics["hist_stats"]["episode_reward"])
    assert metrics["env_runners"]["episode_return_mean"] == metrics["episode_reward_mean"]
    assert algorithm.train()["evaluation"]["episode_reward_mean"] == metrics["episode_reward_mean"]
    before = algorithm.iteration
    assert (
        algorithm.evaluate()["evaluation"]["episodes_this_iter"] == 5
        and algorithm.iteration == before
    )
    algorithm.stop()


def test_evaluation_goes_on_without_a_worker_that_was_left_out(big_cluster):
    algorithm = make(
        num_workers=0,
        evaluation_num_workers=2,
        evaluation_num_episodes=4,
        evaluation_interval=1,
        recreate_failed_workers=False,
        ignore_worker_failures=True,
    )
    algorithm.train()
    workers = algorithm.evaluation_workers
    pids = workers.foreach_worker(lambda worker: os.getpid(), local_worker=False)
    os.kill(pids[0], signal.SIGKILL)
    assert algorithm.train()["evaluation"]["episodes_this_iter"] == 2  # the share of the other
    assert workers.healthy_worker_ids() == [2]
    assert algorithm.train()["evaluation"]["episodes_this_iter"] == 4
    algorithm.stop()


def test_evaluation_beside_training(big_cluster):
    config = (
        PPOConfig()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=1, rollout_fragment_length=100)
        .training(train_batch_size=200, minibatch_size=100, num_epochs=1)
        .evaluation(
            evaluation_interval=1,
            evaluation_num_env_runners=1,
            evaluation_duration=3,
            evaluation_parallel_to_training=True,
        )
    )
    algorithm = config.build_algo()
    assert algorithm.train()["evaluation"]["episodes_this_iter"] == 3
    algorithm.stop()


def test_the_backend_can_be_chosen_and_says_why_not():
    with pytest.raises(ValueError, match="use_lstm"):
        make(learner_backend="native", model={"use_lstm": True})
    assert make().get_policy().framework == "native"


def test_cartpole_is_learned():
    algorithm = PPO(
        {
            "env": "CartPole-v1",
            "num_workers": 0,
            "num_envs_per_worker": 4,
            "lr": 0.0005,
            "train_batch_size": 2000,
            "num_sgd_iter": 10,
            "lambda": 0.95,
            "model": {"fcnet_hiddens": [64, 64]},
            "seed": 1,
        }
    )
    best = max(algorithm.train()["episode_reward_mean"] for _ in range(15))
    assert best > 150


class _BreaksOnce:
    """gym's interface; the first worker 2 has an error of its own."""

    def __init__(self, config):
        from gymnasium.spaces import Box, Discrete

        self.observation_space, self.action_space = Box(0.0, 1.0, (1,)), Discrete(2)
        self.breaks = config.worker_index == 2 and not config.recreated_worker

    def reset(self):
        self.steps = 0
        return [0.0]

    def step(self, action):
        self.steps += 1
        if self.breaks and self.steps == 3:
            raise RuntimeError("broken")
        return [0.5], 1.0, self.steps == 5, {}


def test_an_environment_s_error_in_a_worker_is_raised_or_ignored(big_cluster):
    algorithm = make(env=_BreaksOnce, num_workers=2)
    with pytest.raises(RuntimeError, match="broken"):
        algorithm.train()
    algorithm.stop()
    algorithm = make(env=_BreaksOnce, num_workers=2, ignore_worker_failures=True)
    result = algorithm.train()
    assert result["num_remote_worker_restarts"] == 1 and result["timesteps_total"] == 400
    algorithm.stop()


def test_a_restored_run_with_workers_goes_on_with_the_same_bits(big_cluster, tmp_path):
    straight = make(num_workers=2)
    straight.train()
    again = Algorithm.from_checkpoint(straight.save_to_path(tmp_path / "checkpoint"))
    results = [algorithm.train() for algorithm in (straight, again)]
    weights = [algorithm.get_weights()["default_policy"] for algorithm in (straight, again)]
    assert same(*weights) and results[0]["hist_stats"] == results[1]["hist_stats"]
    straight.stop()
    again.stop()


def test_evaluation_by_time_steps():
    algorithm = make(evaluation_duration=250, evaluation_duration_unit="timesteps")
    assert algorithm.evaluate()["evaluation"]["timesteps_this_iter"] == 250
