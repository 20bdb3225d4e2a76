"""Native environments are gymnasium's, step for step, and depend on nothing but their key."""

import numpy as np
import pytest
from _support import PEER

pytestmark = [
    pytest.mark.skipif(PEER, reason="our native environments"),
    pytest.mark.filterwarnings("ignore:.*out of date"),  # CartPole-v0
]
gymnasium = pytest.importorskip("gymnasium")

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15
IDS = [
    "CartPole-v0",
    "CartPole-v1",
    "Pendulum-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Acrobot-v1",
    "FrozenLake-v1",
    "FrozenLake8x8-v1",
]


def _mix(z):
    z = (z + GAMMA) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class Stream:
    """src/gym/stream.h in the place of numpy's generator, so that gymnasium draws our numbers."""

    def __init__(self, seed, index, episode):
        self.state = _mix(_mix(_mix(seed) ^ index) ^ episode)

    def random(self):
        bits = _mix(self.state)
        self.state = (self.state + GAMMA) & MASK
        return (bits >> 11) * 2.0**-53

    def uniform(self, low, high, size=None):
        if size is not None or np.ndim(low):
            low, high = np.broadcast_arrays(low, high)
            count = size[0] if size is not None else len(low)
            low, high = np.broadcast_to(low, count), np.broadcast_to(high, count)
            return np.array([self.uniform(a, b) for a, b in zip(low, high, strict=True)])
        return low + (high - low) * self.random()


class Theirs:
    """One environment of gymnasium with the random numbers of ours."""

    def __init__(self, id, seed, index):
        self.env = gymnasium.make(id, disable_env_checker=True)
        self.key, self.episode = (seed, index), 0

    def reset(self):
        self.env.unwrapped._np_random = Stream(*self.key, self.episode)
        self.episode += 1
        return self.env.reset()[0]


def _random_actions(env, rng, steps):
    action = env.spec["action"]
    if action["type"] == "discrete":
        return rng.integers(0, action["n"], size=(steps, env.num_envs))
    high = np.float32(action["high"][0] * 1.3)  # some are clipped
    return rng.uniform(-high, high, size=(steps, env.num_envs, 1)).astype(np.float32)


def _row(env, obs):
    if env.spec["observation"]["type"] == "discrete":
        return np.eye(env.obs_dim, dtype=np.float32)[obs]
    return np.asarray(obs, dtype=np.float32)


@pytest.mark.parametrize("id", IDS)
def test_trajectories_equal_gymnasiums_over_100_000_random_steps(id):
    from eagleray._rl import VectorEnv

    seed, first, envs, steps = 7, 3, 4, 25_000
    ours = VectorEnv(id, envs, seed, first_index=first)
    theirs = [Theirs(id, seed, first + i) for i in range(envs)]
    rng = np.random.default_rng(1)
    actions = _random_actions(ours, rng, steps)
    # A float32 cosine of a fresh Acrobot is numpy's own there; ours is rounded from a double.
    reset_ulps = 2 if id.startswith("Acrobot") else 0
    obs = ours.reset()
    for i, env in enumerate(theirs):
        np.testing.assert_array_max_ulp(obs[i], _row(ours, env.reset()), reset_ulps or 0)
    ends = 0
    for t in range(steps):
        obs, rewards, terminated, truncated, final_obs = ours.step(actions[t])
        for i, env in enumerate(theirs):
            action = actions[t, i]
            expected = env.env.step(action if np.ndim(action) else int(action))
            assert np.array_equal(final_obs[i], _row(ours, expected[0])), (t, i)
            assert rewards[i] == np.float32(expected[1]), (t, i)
            assert (terminated[i], truncated[i]) == (expected[2], expected[3]), (t, i)
            if expected[2] or expected[3]:
                ends += 1
                fresh = _row(ours, env.reset())
                np.testing.assert_array_max_ulp(obs[i], fresh, reset_ulps)
            else:
                assert np.array_equal(obs[i], final_obs[i])
    assert ends > 50


@pytest.mark.parametrize("id", IDS)
def test_spaces_and_limits_are_gymnasiums(id):
    from eagleray._rl import env_spec

    spec, theirs = env_spec(id), gymnasium.make(id, disable_env_checker=True)
    assert spec["max_episode_steps"] == theirs.spec.max_episode_steps
    assert spec["reward_threshold"] == theirs.spec.reward_threshold
    for ours, space in (
        (spec["observation"], theirs.observation_space),
        (spec["action"], theirs.action_space),
    ):
        if ours["type"] == "discrete":
            assert ours["n"] == space.n
        else:
            assert np.array_equal(np.array(ours["low"], dtype=np.float32), space.low)
            assert np.array_equal(np.array(ours["high"], dtype=np.float32), space.high)


def test_a_trajectory_does_not_depend_on_the_vector_it_stands_in():
    from eagleray._rl import VectorEnv

    whole = VectorEnv("CartPole-v1", 6, seed=5)
    parts = [VectorEnv("CartPole-v1", 3, seed=5, first_index=k) for k in (0, 3)]
    assert np.array_equal(whole.reset(), np.concatenate([p.reset() for p in parts]))
    rng = np.random.default_rng(0)
    for _ in range(300):
        actions = rng.integers(0, 2, size=6)
        expected = whole.step(actions)
        for got in zip(
            expected,
            *[p.step(a) for p, a in zip(parts, actions.reshape(2, 3), strict=True)],
            strict=True,
        ):
            assert np.array_equal(got[0], np.concatenate(got[1:]))


def test_a_state_that_is_set_goes_on_from_there():
    from eagleray._rl import VectorEnv

    env = VectorEnv("Pendulum-v1", 2, seed=0)
    env.set_state(1, [0.3, -0.5], elapsed=198)
    np.testing.assert_array_equal(env.state(1), [0.3, -0.5])
    assert not env.step(np.zeros((2, 1), np.float32))[3].any()
    assert env.step(np.zeros((2, 1), np.float32))[3].tolist() == [False, True]


def test_what_is_saved_goes_on_bit_for_bit():
    from eagleray._rl import VectorEnv

    rng = np.random.default_rng(0)
    actions = rng.integers(0, 4, size=(80, 5))
    env = VectorEnv("FrozenLake-v1", 5, seed=9)
    for a in actions[:40]:
        env.step(a)
    again = VectorEnv("FrozenLake-v1", 5, seed=9)
    again.load(env.save())
    for a in actions[40:]:
        for x, y in zip(env.step(a), again.step(a), strict=True):
            assert np.array_equal(x, y)


def test_first_reset_begins_the_first_episode_and_later_ones_the_next():
    from eagleray._rl import VectorEnv

    env = VectorEnv("CartPole-v0", 1, seed=1)
    expected = [Stream(1, 0, episode).uniform(-0.05, 0.05, size=(4,)) for episode in range(3)]
    for state in expected:
        env.reset()
        np.testing.assert_array_equal(env.state(0), state)


def test_the_limit_may_be_another():
    from eagleray._rl import VectorEnv

    env = VectorEnv("MountainCar-v0", 1, seed=1, max_episode_steps=3)
    ends = [bool(env.step([1])[3][0]) for _ in range(7)]
    assert ends == [False, False, True, False, False, True, False]


@pytest.mark.parametrize(
    "use, message",
    [
        (
            lambda rl: rl.VectorEnv("Pong-v5", 1),
            "no native environment 'Pong-v5'; there are CartPole-v0",
        ),
        (lambda rl: rl.VectorEnv("CartPole-v1", 0), "num_envs"),
        (lambda rl: rl.VectorEnv("CartPole-v1", 1, max_episode_steps=0), "max_episode_steps"),
        (lambda rl: rl.env_spec("x"), "no native environment"),
        (lambda rl: rl.VectorEnv("CartPole-v1", 2).step([0, 2]), "action 2 in row 1"),
        (lambda rl: rl.VectorEnv("CartPole-v1", 2).step([0, -1]), "action -1"),
        (lambda rl: rl.VectorEnv("CartPole-v1", 2).step([0]), r"shape \(2,\), not \(1,\)"),
        (lambda rl: rl.VectorEnv("CartPole-v1", 2).step([0.0, 1.0]), "int64, not float64"),
        (lambda rl: rl.VectorEnv("CartPole-v1", 2).step("ab"), "int64, not str"),
        (lambda rl: rl.VectorEnv("Pendulum-v1", 1).step([[float("nan")]]), "NaN"),
        (lambda rl: rl.VectorEnv("Pendulum-v1", 1).step([0.0]), r"shape \(1, 1\)"),
        (lambda rl: rl.VectorEnv("CartPole-v1", 2).state(2), "no environment 2"),
        (lambda rl: rl.VectorEnv("CartPole-v1", 2).set_state(0, [1, 2]), "4 numbers, not 2"),
        (lambda rl: rl.VectorEnv("FrozenLake-v1", 1).set_state(0, [16]), "no such cell"),
        (lambda rl: rl.VectorEnv("CartPole-v1", 2).load(b"xyz"), "same environments"),
    ],
)
def test_bad_input_is_a_value_error_that_says_what(use, message):
    from eagleray import _rl

    with pytest.raises(ValueError, match=message):
        use(_rl)
