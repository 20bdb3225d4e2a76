"""Environments of every kind behind PPO: gym's and gymnasium's interfaces, vectors, spaces, filters."""

import subprocess
import sys

import numpy as np
import pytest
from _support import PEER

pytestmark = pytest.mark.skipif(PEER, reason="our library")
gymnasium = pytest.importorskip("gymnasium")
if not PEER:
    from eagleray import tune
    from eagleray.rllib import VectorEnv
    from eagleray.rllib.algorithms.callbacks import DefaultCallbacks
    from eagleray.rllib.algorithms.ppo import PPO
    from eagleray.rllib.env.adapter import reset_env, step_env
    from eagleray.rllib.env.env_context import EnvContext
    from eagleray.rllib.models.preprocessors import get_preprocessor_for_space, unflatten
    from eagleray.rllib.policy.action_columns import ActionColumns
    from eagleray.rllib.policy.actions import normalize_action, unsquash_action
    from eagleray.rllib.utils.filter import MeanStdFilter, RunningStat
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple  # noqa: E402

SMALL = {
    "num_workers": 0,
    "train_batch_size": 100,
    "rollout_fragment_length": 50,
    "sgd_minibatch_size": 50,
    "num_sgd_iter": 1,
    "model": {"fcnet_hiddens": [8]},
    "seed": 1,
}


class Corridor:
    """gym's interface, no base class at all."""

    def __init__(self, config):
        self.context = config
        self.end = config.get("corridor_length", 5)
        self.action_space = Discrete(2)
        self.observation_space = Box(0.0, self.end, shape=(1,), dtype=np.float32)

    def reset(self):
        self.at = 0
        return [self.at]

    def step(self, action):
        self.at = max(self.at + (1 if action == 1 else -1), 0)
        done = self.at >= self.end
        return [self.at], 1.0 if done else -0.1, done, {"at": self.at}


class Modern(gymnasium.Env):
    """gymnasium's interface, over any spaces."""

    def __init__(self, config):
        self.observation_space = config["observations"]
        self.action_space = config["actions"]
        self.length = config.get("length", 10)
        self.seen = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), (action, self.action_space)
        self.steps += 1
        self.seen.append(action)
        return self.observation_space.sample(), 1.0, False, self.steps >= self.length, {}


def test_the_articles_corridor_runs():
    """SCENARIO 4: a class with gym's interface and an env_config, learned by PPO."""
    algorithm = PPO(
        config={
            **SMALL,
            "env": Corridor,
            "env_config": {"corridor_length": 5},
            "lr": 0.01,
            "num_sgd_iter": 10,
        }
    )
    means = [algorithm.train()["episode_reward_mean"] for _ in range(12)]
    assert max(means) > 0.5  # 0.6 is the best there is
    assert algorithm.compute_action([2.0], explore=False) == 1


def test_gym_is_there_without_the_package():
    code = """
import eagleray
import gym
from gym.spaces import Discrete, Box
import gym.envs.registration
class Corridor(gym.Env):
    def __init__(self): self.action_space = Discrete(2); self.observation_space = Box(0.0, 5.0, (1,))
    def reset(self): self.at = 0; return [self.at]
    def step(self, action): self.at += 1; return [self.at], 1.0, False, {}
gym.register("Mine-v0", Corridor, max_episode_steps=7)
for name, limit in (("CartPole-v0", 200), ("Mine-v0", 7)):
    env = gym.make(name)
    if limit == 200: env.seed(3); assert env.spec.reward_threshold == 195.0
    assert len(env.reset()) in (1, 4)
    for steps in range(1, 1000):
        obs, reward, done, info = env.step(env.action_space.sample())
        if done: break
    assert steps <= limit
assert info["TimeLimit.truncated"] and steps == 7
wrapped = gym.Wrapper(gym.make("CartPole-v0")); assert wrapped.reset().shape == (4,)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_registered_names_get_an_env_context():
    contexts = []

    def create(context):
        contexts.append(context)
        return Corridor(context)

    tune.register_env("test_corridor", create)
    algorithm = PPO(
        config={**SMALL, "env": "test_corridor", "env_config": {"a": 1}, "num_envs_per_worker": 2}
    )
    algorithm.train()
    assert [c.vector_index for c in contexts] == [0, 1] and contexts[0]["a"] == 1
    assert isinstance(contexts[0], EnvContext) and contexts[0].worker_index == 0
    assert algorithm.workers.foreach_env(lambda env: env.end) == [[5, 5]]


def test_unknown_environments_say_what_to_do():
    with pytest.raises(ValueError, match="CartPol-v1.*register_env"):
        PPO(config={**SMALL, "env": "CartPol-v1"})
    with pytest.raises(ValueError, match="config\\['env'\\] is not set"):
        PPO(config=SMALL)
    with pytest.raises(ValueError, match="has no reset and no step"):
        PPO(config={**SMALL, "env": lambda config: object()})


@pytest.mark.parametrize(
    "space",
    [
        Discrete(3),
        Discrete(3, start=2),
        MultiDiscrete([2, 3]),
        MultiBinary(4),
        Box(-1.0, 1.0, (2, 3)),
        Dict(
            {"b": Discrete(2), "a": Box(-1.0, 1.0, (2,)), "c": Tuple([Discrete(3), MultiBinary(2)])}
        ),
        Tuple([Discrete(2), Box(0.0, 1.0, (3,))]),
    ],
    ids=str,
)
def test_observations_of_any_space_become_numbers(space):
    preprocessor = get_preprocessor_for_space(space)
    space.seed(1)
    row = preprocessor.transform(space.sample())
    assert row.shape == preprocessor.shape and row.dtype == np.float32
    assert preprocessor.observation_space.shape == row.shape
    actions = {
        **SMALL,
        "env": Modern,
        "env_config": {"observations": space, "actions": Discrete(2)},
    }
    assert PPO(config=actions).train()["timesteps_total"] == 100


def test_flattening_is_undone_for_models():
    space = Dict({"b": Discrete(2), "a": Box(-1.0, 1.0, (2, 2)), "c": Tuple([Discrete(3)])})
    sample = {"b": 1, "a": np.array([[0.1, 0.2], [0.3, 0.4]], np.float32), "c": (2,)}
    flat = get_preprocessor_for_space(space).transform(sample)
    back = unflatten(space, np.stack([flat, flat]))
    assert np.array_equal(back["a"][1], sample["a"])
    assert back["b"].tolist() == [[0, 1]] * 2 and back["c"][0].tolist() == [[0, 0, 1]] * 2


@pytest.mark.parametrize(
    "space",
    [
        Discrete(3, start=2),
        MultiDiscrete([2, 3]),
        MultiBinary(3),
        Box(-2.0, 2.0, (2,)),
        Box(0.0, 1.0, (2, 2)),
        Tuple([Discrete(2), Box(0.0, 1.0, (3,))]),
        Dict(
            {"b": Discrete(2), "a": Dict({"x": MultiDiscrete([2, 2]), "y": Box(-3.0, 3.0, (2,))})}
        ),
    ],
    ids=str,
)
def test_actions_of_any_space_reach_the_environment_in_its_types(space):
    pytest.importorskip("torch")
    observations = Box(-1.0, 1.0, (2,))
    algorithm = PPO(
        config={
            **SMALL,
            "env": Modern,
            "env_config": {"observations": observations, "actions": space},
        }
    )
    assert algorithm.train()["timesteps_total"] == 100  # Modern checks each action
    assert space.contains(algorithm.compute_single_action(np.zeros(2, np.float32)))


def test_columns_of_nested_actions():
    space = Dict({"b": Discrete(3), "a": Box(0.0, 1.0, (2,))})
    columns = ActionColumns(space)
    action = {"a": np.array([0.25, 0.5], np.float32), "b": 2}
    row = columns.flatten(action)
    assert columns.shape == (3,) and row.tolist() == [0.25, 0.5, 2.0]
    back = columns.one(columns.to_batch(row[None]), 0)
    assert back["b"] == 2 and np.array_equal(back["a"], action["a"])
    assert columns.one_hot(row[None]).tolist() == [[0.25, 0.5, 0, 0, 1]]


def test_normalised_actions_cover_the_space():
    space = Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 1.0], np.float32))
    assert unsquash_action(np.array([-1.0, 1.0]), space).tolist() == [-2.0, 1.0]
    assert unsquash_action(np.array([9.0, 0.0]), space).tolist() == [2.0, 0.5]
    assert normalize_action(unsquash_action(np.array([0.5, -0.5]), space), space).tolist() == [
        0.5,
        -0.5,
    ]


def test_both_interfaces_are_seen_by_what_they_return():
    env = Corridor({})
    assert reset_env(env, seed=3) == ([0], {})
    assert step_env(env, 1) == ([1], -0.1, False, False, {"at": 1})

    class Limited(Corridor):
        def step(self, action):
            obs, reward, _, info = super().step(action)
            return obs, reward, True, {**info, "TimeLimit.truncated": True}

    limited = Limited({})
    limited.reset()
    assert step_env(limited, 1)[2:4] == (False, True)

    class Three(Corridor):
        def step(self, action):
            return 1, 2, 3

    with pytest.raises(ValueError, match="returned 3 values"):
        step_env(Three({}), 0)


def test_a_vector_of_the_user_s_own():
    class Fast(VectorEnv):
        def __init__(self, config):
            super().__init__(Box(-1.0, 1.0, (3,)), Discrete(2), num_envs=4)
            self.steps = [0] * 4

        def vector_reset(self, *, seeds=None, options=None):
            return [self.reset_at(i)[0] for i in range(4)], [{}] * 4

        def reset_at(self, index=None, *, seed=None, options=None):
            self.steps[index] = 0
            return np.zeros(3, np.float32), {}

        def vector_step(self, actions):
            self.steps = [steps + 1 for steps in self.steps]
            ends = [steps >= 5 + i for i, steps in enumerate(self.steps)]
            return [np.ones(3, np.float32)] * 4, [1.0] * 4, ends, [False] * 4, [{}] * 4

    result = PPO(
        config={**SMALL, "env": Fast, "rollout_fragment_length": 40, "train_batch_size": 160}
    ).train()
    assert result["timesteps_total"] == 160
    assert set(result["hist_stats"]["episode_lengths"]) == {5, 6, 7, 8}


def test_complete_episodes():
    settings = {
        "env": Modern,
        "env_config": {"observations": Box(-1.0, 1.0, (2,)), "actions": Discrete(2), "length": 7},
    }
    algorithm = PPO(
        config={**SMALL, **settings, "batch_mode": "complete_episodes", "num_envs_per_worker": 2}
    )
    result = algorithm.train()
    assert result["timesteps_total"] % 7 == 0 and result["timesteps_total"] >= 100
    assert set(result["hist_stats"]["episode_lengths"]) == {7}


def test_horizons_end_episodes():
    settings = {"env": Corridor, "env_config": {"corridor_length": 10_000}, "horizon": 8}
    assert set(PPO(config={**SMALL, **settings}).train()["hist_stats"]["episode_lengths"]) == {8}


def test_rewards_are_clipped_for_learning_and_reported_whole():
    batches = []

    class Watch(DefaultCallbacks):
        def on_sample_end(self, *, samples, **kwargs):
            batches.append(samples)

    settings = {
        "env": Corridor,
        "env_config": {"corridor_length": 2},
        "clip_rewards": True,
        "callbacks": Watch,
    }
    result = PPO(config={**SMALL, **settings}).train()
    assert set(np.unique(batches[0]["rewards"])) == {-1.0, 1.0}
    assert result["episode_reward_max"] == pytest.approx(0.9)


def test_a_running_stat_is_that_of_all_rows():
    rows = np.random.default_rng(1).normal(3.0, 2.0, (50, 2))
    parts = [RunningStat((2,)) for _ in range(3)]
    for part, piece in zip(parts, np.array_split(rows, 3), strict=True):
        part.push(piece)
    whole = RunningStat((2,))
    for part in parts:
        whole.update(part)
    assert whole.num == 50
    np.testing.assert_allclose(whole.mean, rows.mean(0))
    np.testing.assert_allclose(whole.std, rows.std(0, ddof=1))


def test_observation_filters_are_learned_together():
    settings = {"env": "Pendulum-v1", "observation_filter": "MeanStdFilter"}
    algorithm = PPO(config={**SMALL, **settings})
    for _ in range(2):
        algorithm.train()
    filtered = algorithm.workers.local_worker().filters["default_policy"]
    assert isinstance(filtered, MeanStdFilter) and filtered.stat.num >= 200
    assert np.all(np.abs(filtered(np.full((1, 3), 100.0), update=False)) <= 10.0)


class Fragile(Corridor):
    """Raises in its seventh step."""

    def step(self, action):
        self.count = getattr(self, "count", 0) + 1
        if self.count == 7:
            raise RuntimeError("broken")
        return super().step(action)


def test_an_environment_s_error_is_the_user_s():
    with pytest.raises(RuntimeError, match="broken"):
        PPO(config={**SMALL, "env": Fragile, "env_config": {"corridor_length": 99}}).train()


def test_a_broken_sub_environment_is_made_anew():
    settings = {
        "env": Fragile,
        "env_config": {"corridor_length": 99},
        "restart_failed_sub_environments": True,
    }
    result = PPO(config={**SMALL, **settings}).train()
    assert result["timesteps_total"] == 100 and result["num_faulty_episodes"] >= 14


def test_the_same_run_on_python_environments_whatever_the_workers():
    def run(envs):
        settings = {
            "env": Corridor,
            "num_envs_per_worker": envs,
            "rollout_fragment_length": 100 // envs,
        }
        algorithm = PPO(config={**SMALL, **settings})
        return [algorithm.train()["episode_reward_mean"] for _ in range(2)]

    assert run(2) == run(2)


class _Game(gymnasium.Env):
    """What an Atari game looks like to its wrappers: three lives, a picture that gets brighter."""

    observation_space, action_space = Box(0, 255, (210, 160, 3), np.uint8), Discrete(4)

    def __init__(self, config=None):
        self.ale = self

    def lives(self):
        return self.left

    def get_action_meanings(self):
        return ["NOOP", "FIRE", "UP", "DOWN"]

    def _picture(self):
        return np.full((210, 160, 3), min(self.steps, 255), np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.left, self.pressed = 0, 3, []
        return self._picture(), {}

    def step(self, action):
        self.steps += 1
        self.pressed.append(action)
        if self.steps % 40 == 0:
            self.left -= 1
        return self._picture(), 5.0, self.left == 0, False, {}


def test_games_are_wrapped_as_deepmind_does():
    from eagleray.rllib.env.wrappers.atari_wrappers import ClipRewardEnv, is_atari, wrap_deepmind

    game = _Game()
    assert is_atari(game) and not is_atari(gymnasium.make("CartPole-v1"))
    env = ClipRewardEnv(wrap_deepmind(game, noframeskip=True))
    obs, _ = env.reset(seed=1)
    assert obs.shape == (84, 84, 4) and obs.dtype == np.uint8
    assert set(game.pressed[:-8]) == {0} and game.pressed[-8:] == [1] * 4 + [2] * 4
    before = game.steps
    obs, reward, terminated, _, _ = env.step(3)
    assert game.steps == before + 4 and reward == 1.0 and obs[0, 0, 3] == game.steps
    while not terminated:
        _, _, terminated, _, _ = env.step(3)
    assert game.left == 2  # a life, not the game
    env.reset()
    assert game.left == 2 and game.steps > 40


def test_games_are_learned_from_pictures():
    pytest.importorskip("torch")
    algorithm = PPO(config={**SMALL, "env": _Game, "train_batch_size": 50, "model": {"dim": 42}})
    assert algorithm.get_policy().observation_space.shape == (42, 42, 4)
    assert algorithm.train()["timesteps_total"] == 50
