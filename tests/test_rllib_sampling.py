"""What a worker samples, row by row. The rows, and which call-backs come when, are those that Ray 2.60 gives for the same
environments and settings."""

import itertools

import numpy as np
import pytest
from _support import PEER

if PEER:
    pytest.skip("our library", allow_module_level=True)
else:
    import gymnasium
    from eagleray.rllib.algorithms.callbacks import DefaultCallbacks
    from eagleray.rllib.algorithms.ppo import PPO
    from eagleray.rllib.env import MultiAgentEnv
    from gymnasium.spaces import Box, Discrete


class Counting(gymnasium.Env):
    """Episodes of five steps; step t of episode e shows 10 e + t and pays t."""

    def __init__(self, config):
        self.observation_space = Box(-100, 100, (1,), np.float32)
        self.action_space = Discrete(2)
        self.cut = config.get("cut", False)
        self.episode = 0

    def reset(self, *, seed=None, options=None):
        self.episode += 1
        self.t = 0
        return np.array([10 * self.episode], np.float32), {}

    def step(self, action):
        self.t += 1
        end = self.t >= 5
        obs = np.array([10 * self.episode + self.t], np.float32)
        return obs, float(self.t), end and not self.cut, end and self.cut, {}


class Coming(MultiAgentEnv):
    """Six steps. Agent a acts in each; b from step 2 until it is done at 4; c at even ones, and is paid between them."""

    def __init__(self, config=None):
        self.agents = self.possible_agents = ["a", "b", "c"]
        self.observation_space = Box(-100, 100, (1,), np.float32)
        self.action_space = Discrete(2)
        super().__init__()

    def _obs(self, names):
        return {n: np.array([self.t * 10 + "abc".index(n)], np.float32) for n in names}

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return self._obs("ac"), {}

    def step(self, action_dict):
        self.t += 1
        names = "a" + ("b" if 2 <= self.t <= 4 else "") + ("c" if self.t % 2 == 0 else "")
        rewards = {"a": 1.0, "c": 0.5} | ({"b": 2.0} if 3 <= self.t <= 4 else {})
        over = self.t >= 6
        terminateds = {"__all__": over} | ({"b": True} if self.t == 4 else {})
        return self._obs("ac" if over else names), rewards, terminateds, {"__all__": False}, {}


class Log(DefaultCallbacks):
    calls: list = []

    def on_episode_start(self, **_):
        self.calls.append("S")

    def on_episode_step(self, **_):
        self.calls.append(".")

    def on_episode_end(self, **_):
        self.calls.append("E")


def worker_of(env, fragment, **settings):
    Log.calls.clear()
    algo = PPO(
        {
            "num_workers": 0,
            "rollout_fragment_length": fragment,
            "train_batch_size": 56,
            "sgd_minibatch_size": 28,
            "num_sgd_iter": 1,
            "model": {"fcnet_hiddens": [4]},
            "callbacks": Log,
            "seed": 1,
            **settings,
        },
        env,
    )
    return algo.workers.local_worker()


def columns(batch):
    names = ("obs", "new_obs", "rewards", "terminateds", "truncateds", "t")
    found = {name: np.ravel(batch[name]).astype(float).tolist() for name in names}
    found["episodes"] = [len(list(g)) for _, g in itertools.groupby(batch["eps_id"].tolist())]
    return found


@pytest.mark.parametrize("cut", [False, True])
def test_fragments_go_on_where_the_last_one_ended(cut):
    worker = worker_of(Counting, 7, env_config={"cut": cut})
    end = "truncateds" if cut else "terminateds"
    first, second = columns(worker.sample()), columns(worker.sample())
    assert first["obs"] == [10, 11, 12, 13, 14, 20, 21]
    assert first["new_obs"] == [11, 12, 13, 14, 15, 21, 22]
    assert first["rewards"] == [1, 2, 3, 4, 5, 1, 2]
    assert first[end] == [0, 0, 0, 0, 1, 0, 0]
    assert not any(first["terminateds" if cut else "truncateds"])
    assert first["t"] == [0, 1, 2, 3, 4, 0, 1]
    assert first["episodes"] == [5, 2]
    assert second["obs"] == [22, 23, 24, 30, 31, 32, 33]
    assert second["t"] == [2, 3, 4, 0, 1, 2, 3]
    assert second["episodes"] == [3, 4]
    assert "".join(Log.calls) == "S.....ES.....ES...."


def test_complete_episodes_begin_where_the_last_ones_ended():
    worker = worker_of(Counting, 7, batch_mode="complete_episodes")
    first, second = columns(worker.sample()), columns(worker.sample())
    assert first["episodes"] == second["episodes"] == [5, 5]
    assert first["obs"] == [10, 11, 12, 13, 14, 20, 21, 22, 23, 24]
    assert second["obs"] == [30, 31, 32, 33, 34, 40, 41, 42, 43, 44]  # no episode is thrown away
    assert "".join(Log.calls) == "S.....ES.....ES.....ES.....ES"


def test_environments_beside_each_other():
    first = columns(worker_of(Counting, 7, num_envs_per_worker=2).sample())
    assert first["obs"] == [10, 11, 12, 13, 14, 20, 21] * 2
    assert first["episodes"] == [5, 2, 5, 2]


TWO = {
    "policies": {"p", "q"},
    "policy_mapping_fn": lambda agent, *_, **__: "q" if agent == "c" else "p",
}


@pytest.mark.parametrize("mode", ["truncate_episodes", "complete_episodes"])
def test_agents_that_come_and_go(mode):
    worker = worker_of(Coming, 8, multiagent=TWO, batch_mode=mode)
    batch = worker.sample()
    p, q = columns(batch["p"]), columns(batch["q"])
    a = {
        "obs": [0, 10, 20, 30, 40, 50],
        "new_obs": [10, 20, 30, 40, 50, 60],
        "rewards": [1] * 6,
        "terminateds": [0, 0, 0, 0, 0, 1],
        "t": [0, 1, 2, 3, 4, 5],
    }
    b = {
        "obs": [21, 31],
        "new_obs": [31, 41],
        "rewards": [2, 2],
        "terminateds": [0, 1],
        "t": [2, 3],
    }
    c = {
        "obs": [2, 22, 42],
        "new_obs": [22, 42, 62],
        "rewards": [1, 1, 1],
        "terminateds": [0, 0, 1],
        "t": [1, 3, 5],
    }
    for name in a:
        assert p[name][:8] == a[name] + b[name], name
        assert q[name][:3] == c[name], name
    if mode == "complete_episodes":
        assert (len(p["t"]), len(q["t"])) == (16, 6)
        assert "".join(Log.calls) == "S......ES......ES"
    else:
        assert (len(p["t"]), len(q["t"])) == (10, 4)
        worker.sample()
        assert "".join(Log.calls) == "S......ES......ES...."


def test_evaluation_throws_no_episode_away():
    algo = PPO(
        {
            "num_workers": 0,
            "train_batch_size": 56,
            "rollout_fragment_length": 7,
            "sgd_minibatch_size": 28,
            "num_sgd_iter": 1,
            "model": {"fcnet_hiddens": [4]},
            "evaluation_num_episodes": 2,
            "evaluation_config": {"callbacks": Log},
        },
        Counting,
    )
    Log.calls.clear()
    for _ in range(2):
        assert algo.evaluate()["episode_reward_mean"] == 15.0
    assert "".join(Log.calls) == "S.....ES.....ES.....ES.....ES"


def test_actions_are_given_as_they_are_asked_for():
    space = Box(2.0, 4.0, (1,), np.float32)

    class Continuous(Counting):
        def __init__(self, config):
            super().__init__(config)
            self.action_space = space

    algo = PPO({"num_workers": 0, "model": {"fcnet_hiddens": [4]}}, Continuous)
    obs = np.zeros(1, np.float32)
    raw = algo.compute_single_action(obs, explore=False, unsquash_action=False, clip_action=False)
    assert algo.compute_single_action(obs, explore=False) == pytest.approx(raw + 3.0)
    assert algo.compute_action(obs, [], explore=False) == pytest.approx(raw + 3.0)  # no tuple
    clipped = algo.compute_single_action(
        obs, explore=False, unsquash_action=False, clip_action=True
    )
    assert clipped == pytest.approx(np.clip(raw, 2.0, 4.0))
    several = algo.compute_actions(
        {"x": obs}, explore=False, unsquash_actions=False, clip_action=False
    )
    assert several["x"] == pytest.approx(raw)
    assert len(algo.compute_single_action(obs, full_fetch=True)) == 3


def test_batches_as_programs_use_them():
    pytest.importorskip("torch")
    from eagleray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

    worker = worker_of(Coming, 8, multiagent=TWO)
    batch = worker.sample()
    parts = batch.timeslices(3)
    assert [part.env_steps() for part in parts] == [3, 3, 2]
    assert [part["p"].count for part in parts] == [4, 4, 2]
    assert sum(part.size_bytes() for part in parts) == batch.size_bytes()
    copied = batch.copy()
    copied["p"]["obs"][:] = -1
    assert batch["p"]["obs"].min() >= 0
    moved = batch.to_device("cpu")
    assert moved["p"]["obs"].dtype.is_floating_point
    assert isinstance(moved, MultiAgentBatch)
    one = SampleBatch(
        obs=np.arange(5.0),
        terminateds=np.array([0, 0, 0, 0, 1], bool),
        seq_lens=np.array([2, 3]),
    )
    assert one.is_single_trajectory() and one.is_terminated_or_truncated()
    assert one.agent_steps() == 5
    one.set_training()
    assert one.is_training
    for bulk in (True, False):
        one.compress(bulk)
        assert one["obs"] is not None and not np.issubdtype(np.asarray(one["obs"]).dtype, float)
        assert one.decompress_if_needed()["obs"].tolist() == [0, 1, 2, 3, 4]
    one.right_zero_pad(3)
    assert one["obs"].tolist() == [0, 1, 0, 2, 3, 4]
    with pytest.raises(ValueError, match="seq_lens"):
        SampleBatch(obs=np.arange(3)).right_zero_pad(3)
    with pytest.raises(NotImplementedError, match="view requirements"):
        one.set_get_interceptor(None)


def test_workers_as_programs_use_them():
    pytest.importorskip("torch")
    worker = worker_of(Coming, 8, multiagent=TWO, learner_backend="torch")
    batch, steps = worker.sample_with_count()
    assert steps == 8
    assert len(worker.get_metrics()) == 1
    assert worker.get_metrics() == []
    before = worker.save()
    weights = worker.get_weights()["p"]
    info = worker.learn_on_batch(batch)
    assert set(info) == {"p", "q"}
    assert not np.allclose(
        worker.get_weights()["p"]["_head._model.0.weight"], weights["_head._model.0.weight"]
    )
    worker.restore(before)
    assert np.allclose(
        worker.get_weights()["p"]["_head._model.0.weight"], weights["_head._model.0.weight"]
    )
    worker.set_is_policy_to_train(["q"])
    assert set(worker.learn_on_batch(batch)) == {"q"}
    worker.set_global_vars({"timestep": 7})
    assert worker.get_global_vars("p") == {"timestep": 7}
    worker.set_policy_mapping_fn(lambda agent, *_, **__: "p")
    assert worker.policy_for("c", None) == "p"
    assert worker.for_policy(lambda policy: policy.get_exploration_state(), "p") == {
        "last_timestep": 7
    } or worker.for_policy(lambda policy: policy.get_exploration_state(), "p")
    with pytest.raises(NotImplementedError, match=r"RolloutWorker.add_policy\(\).*running"):
        worker.add_policy("new")


def test_algorithms_and_settings_as_programs_use_them():
    algo = PPO({"num_workers": 0, "train_batch_size": 128, "num_sgd_iter": 1}, Counting)
    algo.train()
    assert algo.env_runner is algo.workers.local_worker()
    assert algo.eval_env_runner is None
    algo.evaluate()
    assert algo.eval_env_runner is algo.evaluation_workers.local_worker()
    assert algo.collect_metrics()["episode_reward_mean"] == 15.0
    again = PPO.from_state(algo.get_state())
    assert again._counters == algo._counters
    merged = PPO.merge_trainer_configs({"a": {"b": 1}}, {"a": {"c": 2}})
    assert merged == {"a": {"b": 1, "c": 2}}
    with pytest.raises(NotImplementedError, match="add_policy.*running algorithm"):
        algo.add_policy("new")
    config = algo.get_config().copy(copy_frozen=False)
    assert config.is_online and not config.is_offline
    assert config.pop("gamma") == 0.99
    config.python_environment(extra_python_environs_for_driver={"A": "b"})
    assert config.without_effect() == ["extra_python_environs_for_driver"]
    config.multi_agent(algorithm_config_overrides_per_module={"p": {"lr": 0.5}})
    assert config.get_config_for_module("p")["lr"] == 0.5
    assert config.get_evaluation_config_object()["in_evaluation"]
    assert type(config).from_state(config.get_state()) == config
    assert config.DEFAULT_POLICY_MAPPING_FN("a") == "default_policy"


def test_policies_with_methods_that_nobody_would_call_are_refused():
    pytest.importorskip("torch")
    from eagleray.rllib.policy.ppo_torch_policy import PPOTorchPolicy

    class Mine(PPOTorchPolicy):
        def extra_action_out(self, *_):
            return {}

    class MinePPO(PPO):
        @classmethod
        def get_default_policy_class(cls, config):
            return Mine

    with pytest.raises(NotImplementedError, match="Mine.extra_action_out"):
        MinePPO({"num_workers": 0}, Counting)

    class Later(DefaultCallbacks):
        def on_evaluate_offline_end(self, **_):
            pass

    with pytest.raises(NotImplementedError, match="on_evaluate_offline_end"):
        PPO({"num_workers": 0, "callbacks": Later}, Counting)


def test_numbers_that_call_backs_log():
    from eagleray.rllib.utils.metrics.metrics_logger import MetricsLogger

    logger = MetricsLogger()
    with logger.log_time("part", reduce="sum"):
        pass
    logger.log_value("x", 3.0)
    assert logger.peek("x") == 3.0
    logger.delete("x")
    with pytest.raises(KeyError):
        logger.delete("x")
    assert logger.reduce()["part"] >= 0.0
    other = MetricsLogger()
    other.set_state(logger.get_state())
    assert other.get_state() == logger.get_state()
    logger.reset()
    assert logger.reduce() == {}


def test_specs_of_modules_are_written_and_read():
    pytest.importorskip("torch")
    from eagleray.rllib.core.rl_module import RLModuleSpec
    from eagleray.rllib.core.rl_module.torch import TorchRLModule

    spec = RLModuleSpec(
        TorchRLModule, Box(-1.0, 1.0, (2,)), Discrete(2), model_config={"hidden": 3}
    )
    again = RLModuleSpec.from_dict(spec.to_dict())
    assert again == spec
    again.update(RLModuleSpec(model_config={"hidden": 4}))
    assert again.model_config == {"hidden": 4}
    again.update(spec, override=False)
    assert again.model_config == {"hidden": 4}
    module = spec.build()
    assert RLModuleSpec.from_module(module) == spec
    assert not module.is_stateful()
    module.set_state(module.get_state())


ELSEWHERE = {"grad_clip": 1.0, "grad_clip_by": "norm"}  # what the native learner does not do


@pytest.mark.parametrize(
    ("env", "model"),
    [
        ("CartPole-v1", {}),
        ("CartPole-v1", {"vf_share_layers": True, "fcnet_activation": "relu"}),
        ("Pendulum-v1", {}),
        ("Pendulum-v1", {"free_log_std": True}),
    ],
)
def test_plain_nets_act_natively_whatever_learns_them(env, model):
    torch = pytest.importorskip("torch")
    settings = {"num_workers": 0, "train_batch_size": 100, "num_sgd_iter": 1, "seed": 1}
    settings["model"] = {"fcnet_hiddens": [8, 8], **model}
    algorithm = PPO({**settings, **ELSEWHERE, "env": env, "sgd_minibatch_size": 50})
    policy = algorithm.get_policy()
    assert policy.framework == "torch"
    obs = np.random.default_rng(0).normal(size=(5, *policy.observation_space.shape))
    obs = obs.astype(np.float32)

    def is_the_net():
        noise = (1, 0, 0)  # as a sampler has it
        columns = policy.act(obs, noise=noise)[2]
        assert np.array_equal(columns["vf_preds"], policy.act(obs)[2]["vf_preds"])
        with torch.no_grad():
            outputs, _ = policy.model({"obs": torch.from_numpy(obs), "is_training": False}, [])
            values = policy.model.value_function()
        assert np.allclose(columns["action_dist_inputs"], outputs, atol=1e-5)
        assert np.allclose(columns["vf_preds"], values, atol=1e-5)

    is_the_net()
    before = policy.get_weights()
    algorithm.train()
    assert any(np.any(before[name] != value) for name, value in policy.get_weights().items())
    is_the_net()
    policy.set_weights({name: value * 2 for name, value in before.items()})
    is_the_net()
    with torch.no_grad():
        next(policy.model.parameters()).add_(0.5)
    is_the_net()
    next(policy.model.parameters()).data.add_(0.5)  # which raises no version
    policy.on_global_var_update({"timestep": 0})  # a fragment begins
    is_the_net()
    algorithm.stop()


@pytest.mark.parametrize(
    "settings",
    [
        {"learner_backend": "torch"},
        {"exploration_config": {"type": "EpsilonGreedy"}, **ELSEWHERE},
        {"model": {"post_fcnet_hiddens": [4]}},
    ],
)
def test_what_pytorch_is_asked_for_is_pytorch_s(settings):
    pytest.importorskip("torch")
    algorithm = PPO({"env": "CartPole-v1", "num_workers": 0, **settings})
    assert algorithm.get_policy().takes_noise is False
    algorithm.stop()
