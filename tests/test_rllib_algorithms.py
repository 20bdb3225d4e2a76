"""The other algorithms: each runs, learns something small, and goes on from a checkpoint."""

import json
import os
import signal

import numpy as np
import pytest
from _support import PEER, ray, wait_for

pytestmark = pytest.mark.skipif(PEER, reason="our library")
gymnasium = pytest.importorskip("gymnasium")
from gymnasium.spaces import Box, Discrete  # noqa: E402

if not PEER:
    from eagleray.rllib.algorithms.es.es import centered_ranks
    from eagleray.rllib.algorithms.registry import ALGORITHMS, get_algorithm_class
    from eagleray.rllib.evaluation.perturbed import flat, unflat
    from eagleray.rllib.offline import JsonReader, JsonWriter, ParquetWriter
    from eagleray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch


class Choose(gymnasium.Env):
    """One right action of three; ten steps."""

    observation_space, action_space = Box(-1.0, 1.0, (2,)), Discrete(3)

    def __init__(self, config=None):
        pass

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.ones(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.ones(2, np.float32), float(action == 2), self.steps == 10, False, {}


SMALL = {
    "env": Choose,
    "num_workers": 0,
    "model": {"fcnet_hiddens": [8]},
    "seed": 1,
    "min_time_s_per_iteration": 0,
}
ONLINE = {
    "A2C": {"lr": 0.02, "train_batch_size": 100},
    "A3C": {"lr": 0.02, "rollout_fragment_length": 50},
    "PG": {"lr": 0.05, "train_batch_size": 100},
    "ES": {"stepsize": 0.05, "noise_stdev": 0.1, "episodes_per_batch": 20, "train_batch_size": 100},
    "ARS": {"sgd_stepsize": 0.05, "noise_stdev": 0.1, "num_rollouts": 8, "rollouts_used": 4},
}


@pytest.mark.parametrize("backend", ["native", "torch"])
@pytest.mark.parametrize("name", ONLINE)
def test_they_learn_to_choose(name, backend):
    if backend == "torch":
        pytest.importorskip("torch")
    made = get_algorithm_class(name)
    algorithm = made(config={**SMALL, **ONLINE[name], "learner_backend": backend})
    assert algorithm.get_policy().framework == backend
    for _ in range(30):
        algorithm.train()
    right = [algorithm.compute_single_action(np.ones(2), explore=False) for _ in range(5)]
    assert right == [2] * 5


@pytest.mark.parametrize("name", ONLINE)
def test_they_go_on_from_a_checkpoint(name, tmp_path):
    made = get_algorithm_class(name)
    algorithm = made(config={**SMALL, **ONLINE[name]})
    algorithm.train()
    path = algorithm.save_to_path(tmp_path / "checkpoint")
    again = made.from_checkpoint(path)
    for one in (algorithm, again):
        one.train()
    ours, theirs = (one.get_weights()["default_policy"] for one in (algorithm, again))
    assert all(np.array_equal(ours[key], theirs[key]) for key in ours)


def test_every_name_has_a_configuration():
    for name in ALGORITHMS:
        made = get_algorithm_class(name)
        config = made.get_default_config()
        assert config.algo_class is made
        assert type(config).from_dict(config.to_dict()) == config


def test_evolution_is_the_same_with_workers():
    ray.init(num_cpus=4)
    weights = []
    for workers in (0, 2):
        settings = {
            **SMALL,
            **ONLINE["ES"],
            "num_workers": workers,
            "observation_filter": "NoFilter",
        }
        algorithm = get_algorithm_class("ES")(config=settings)
        result = algorithm.train()
        assert result["episodes_this_iter"] >= 20
        weights.append(flat(algorithm.get_weights()["default_policy"]))
        algorithm.stop()
    ray.shutdown()
    assert np.array_equal(*weights)


def test_ranks_and_vectors():
    assert centered_ranks(np.array([[3.0, 1.0], [2.0, 9.0]])).tolist() == pytest.approx(
        np.array([[1 / 6, -0.5], [-1 / 6, 0.5]])
    )
    weights = {"b": np.arange(3, dtype=np.float32), "a": np.ones((2, 2), np.float32)}
    back = unflat(flat(weights), weights)
    assert all(np.array_equal(back[key], weights[key]) for key in weights)


def expert(count=60):
    """Episodes of somebody who mostly chooses right; a wrong choice pays nothing."""
    random = np.random.default_rng(1)
    for episode in range(count):
        actions = np.where(random.random(10) < 0.8, 2, random.integers(0, 2, 10))
        yield SampleBatch(
            obs=np.ones((10, 2), np.float32),
            new_obs=np.ones((10, 2), np.float32),
            actions=actions,
            rewards=(actions == 2).astype(np.float32),
            terminateds=np.arange(10) == 9,
            truncateds=np.zeros(10, bool),
            eps_id=np.full(10, episode),
        )


@pytest.mark.parametrize("kind", ["json", "parquet"])
@pytest.mark.parametrize("name", ["BC", "MARWIL"])
def test_experience_is_imitated(name, kind, tmp_path):
    pytest.importorskip("torch")
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    writer = (JsonWriter if kind == "json" else ParquetWriter)(str(tmp_path))
    for batch in expert():
        writer.write(batch)
    writer.close()
    settings = {
        **SMALL,
        "input": str(tmp_path),
        "lr": 0.02,
        "train_batch_size": 200,
        "evaluation_interval": 30,
    }
    if name == "MARWIL":
        settings["moving_average_sqd_adv_norm_start"] = 1.0
    algorithm = get_algorithm_class(name)(
        config={**settings, "evaluation_config": {"explore": False}}
    )
    for _ in range(30):
        result = algorithm.train()
    assert result["evaluation"]["episode_reward_mean"] == 10.0
    assert result["timesteps_total"] >= 30 * 200


def test_experience_without_an_environment(tmp_path):
    pytest.importorskip("torch")
    writer = JsonWriter(str(tmp_path))
    for batch in expert(3):
        writer.write(batch)
    settings = {
        "input": str(tmp_path),
        "observation_space": Choose.observation_space,
        "train_batch_size": 20,
    }
    algorithm = get_algorithm_class("BC")(config={**settings, "action_space": Choose.action_space})
    assert np.isfinite(
        algorithm.train()["info"]["learner"]["default_policy"]["learner_stats"]["policy_loss"]
    )
    with pytest.raises(ValueError, match="no files of experience"):
        get_algorithm_class("BC")(
            config={**settings, "action_space": Choose.action_space, "input": "/nowhere"}
        )
    with pytest.raises(ValueError, match="set input"):
        get_algorithm_class("MARWIL")(config={"env": Choose})


def test_what_is_sampled_is_written_and_read_back(tmp_path):
    settings = {
        **SMALL,
        "train_batch_size": 100,
        "rollout_fragment_length": 50,
        "sgd_minibatch_size": 50,
    }
    algorithm = get_algorithm_class("PPO")(
        config={**settings, "num_sgd_iter": 1, "output": str(tmp_path)}
    )
    sampled = algorithm.sample(100)
    algorithm.stop()
    (read,) = list(JsonReader(str(tmp_path)))
    assert read.count == 100 and {"obs", "new_obs", "actions", "rewards", "eps_id"} <= set(read)
    for key in ("obs", "actions", "rewards", "terminateds"):
        np.testing.assert_allclose(read[key], sampled[key], rtol=1e-6)


def test_files_are_cut_and_several_policies_kept(tmp_path):
    writer = JsonWriter(str(tmp_path), max_file_size=1000)
    batch = MultiAgentBatch({"a": next(expert(1)), "b": next(expert(1))}, 10)
    for _ in range(3):
        writer.write(batch)
    writer.close()
    assert len(list(tmp_path.iterdir())) == 3
    back = JsonReader(str(tmp_path)).next()
    assert back.count == 10 and np.array_equal(back["b"]["obs"], batch["b"]["obs"])


def test_lines_of_ray_s_own_are_read(tmp_path):
    line = {
        "type": "SampleBatch",
        "obs": [[1.0, 2.0]],
        "actions": [1],
        "rewards": [0.5],
        "dones": [True],
    }
    (tmp_path / "ray.json").write_text(json.dumps(line) + "\n")
    batch = JsonReader(str(tmp_path)).next()
    assert batch["obs"].dtype == np.float32 and batch.dones().tolist() == [True]
    (tmp_path / "ray.json").write_text("nonsense\n")
    with pytest.raises(ValueError, match="JSON"):
        JsonReader(str(tmp_path)).next()


def test_old_names():
    from eagleray.rllib.agents.a3c import A2CTrainer, A3CTrainer
    from eagleray.rllib.agents.marwil import BCTrainer
    from eagleray.rllib.agents.pg import DEFAULT_CONFIG, PGTrainer
    from eagleray.rllib.algorithms import A2C, A3C, BC, PG

    assert (A2CTrainer, A3CTrainer, BCTrainer, PGTrainer) == (A2C, A3C, BC, PG)
    assert DEFAULT_CONFIG["lr"] == 4e-4


# A3C


class Gated(Choose):
    """In worker 1 a step waits until the file is there."""

    def __init__(self, config):
        super().__init__(config)
        self.index, self.gate = config.worker_index, config["gate"]

    def step(self, action):
        if self.index == 1:
            wait_for(lambda: os.path.exists(self.gate), 60.0)
        return super().step(action)


A3C_SMALL = {**SMALL, "lr": 0.02, "num_workers": 2, "rollout_fragment_length": 20}


@pytest.fixture
def four_cpus():
    ray.init(num_cpus=4)
    yield
    ray.shutdown()


def test_gradients_of_a3c_are_applied_as_they_come(tmp_path, four_cpus):
    gate = str(tmp_path / "gate")
    algorithm = get_algorithm_class("A3C")(
        config={**A3C_SMALL, "env": Gated, "env_config": {"gate": gate}}
    )
    for _ in range(5):
        result = algorithm.train()
    assert result["timesteps_total"] == 5 * 20  # all of worker 2
    (tmp_path / "gate").touch()
    seen = set()

    def other_came():
        algorithm.train()
        for answer in algorithm._latest:
            seen.update(record.eps_id >> 32 for record in answer.episodes)
        return seen == {0, 1}

    wait_for(other_came, 60.0)
    assert result["num_env_steps_trained"] == result["num_env_steps_sampled"]
    algorithm.stop()


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_a3c_learns_with_workers_and_replaces_them(backend, four_cpus):
    if backend == "torch":
        pytest.importorskip("torch")
    algorithm = get_algorithm_class("A3C")(config={**A3C_SMALL, "learner_backend": backend})
    pid = algorithm.workers.foreach_worker(lambda worker: os.getpid(), local_worker=False)[0]
    algorithm.train()
    os.kill(pid, signal.SIGKILL)
    best = 0.0
    for _ in range(300):
        best = max(best, algorithm.train()["episode_reward_mean"])
        if best >= 8.0 and algorithm.workers.restarts:
            break
    assert best >= 8.0 and algorithm.workers.restarts == 1
    path = algorithm.save_to_path()
    again = get_algorithm_class("A3C").from_checkpoint(path)
    assert again.train()["training_iteration"] == algorithm.iteration + 1
    again.stop()
    algorithm.stop()


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_computed_gradients_applied_are_an_update(backend):
    if backend == "torch":
        pytest.importorskip("torch")
    settings = {**SMALL, "learner_backend": backend, "train_batch_size": 40, "lr": 0.01}
    one, two = (get_algorithm_class("A2C")(config=settings) for _ in range(2))
    batch = one.sample(40)
    for _ in range(2):
        learned = one.get_policy().learn_on_batch(batch)["learner_stats"]
        gradients, info = two.get_policy().compute_gradients(batch)
        two.get_policy().apply_gradients(gradients)
        assert info["learner_stats"]["total_loss"] == pytest.approx(learned["total_loss"], rel=1e-4)
    after, other = (a.get_weights()["default_policy"] for a in (one, two))
    for name, value in after.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-4, atol=1e-6)
