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
