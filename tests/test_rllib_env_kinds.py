"""Environments that are not stepped in the worker's own loop, and those of other packages: EnvPool, PettingZoo, Atari."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from _support import PEER, ray, wait_for

if PEER:
    pytest.skip("our library", allow_module_level=True)
else:
    import gymnasium
    from eagleray import tune
    from eagleray.rllib.algorithms.ppo import PPO, PPOConfig
    from eagleray.rllib.env import (
        ExternalEnv,
        ExternalMultiAgentEnv,
        GroupAgentsWrapper,
        MultiAgentEnv,
        ParallelPettingZooEnv,
        PettingZooEnv,
    )
    from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

SMALL = {
    "num_workers": 0,
    "train_batch_size": 100,
    "rollout_fragment_length": 50,
    "sgd_minibatch_size": 50,
    "num_sgd_iter": 1,
    "model": {"fcnet_hiddens": [8]},
    "seed": 1,
}
ONE = Box(-1.0, 1.0, (2,), np.float32)


@pytest.fixture
def small_cluster():
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


# Environments with a loop of their own


class Simulator(ExternalEnv):
    """Episodes of five steps; action 1 earns 1."""

    def __init__(self, config):
        super().__init__(Discrete(2), ONE)
        self.raises_after = config.get("raises_after", 1 << 30)

    def run(self):
        for number in range(1 << 30):
            if number == self.raises_after:
                raise OSError("the simulator is gone")
            episode = self.start_episode()
            obs = np.zeros(2, np.float32)
            for _ in range(5):
                action = self.get_action(episode, obs)
                self.log_returns(episode, 0.5 * action)
                self.log_returns(episode, 0.5 * action, {"half": 2})
                obs = obs + 0.1
            self.end_episode(episode, obs)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_environment_that_calls_the_policy(workers, request):
    if workers:
        request.getfixturevalue("small_cluster")
    algo = PPO({**SMALL, "num_workers": workers, "lr": 0.01, "num_sgd_iter": 10}, Simulator)
    first = algo.train()
    assert first["episode_len_mean"] == 5.0
    assert first["timesteps_total"] == 100
    for _ in range(8):
        last = algo.train()
    assert last["episode_reward_mean"] > 4.0
    algo.stop()


def test_what_ends_its_loop_is_the_user_s_to_see():
    algo = PPO({**SMALL, "env_config": {"raises_after": 3}}, Simulator)
    with pytest.raises(RuntimeError, match="Simulator has no more episodes") as info:
        algo.train()
    assert isinstance(info.value.__cause__, OSError)


def test_mistakes_of_an_external_loop_are_named():
    env = Simulator({})
    with pytest.raises(ValueError, match="no running episode 'x'"):
        env.get_action("x", 0)
    env.start_episode("x")
    with pytest.raises(ValueError, match="has begun already"):
        env.start_episode("x")
    with pytest.raises(NotImplementedError, match="training_enabled"):
        env.start_episode(training_enabled=False)
    with pytest.raises(NotImplementedError, match="log_action"):
        env.log_action("x", 0, 1)


def test_another_episode_waits_for_its_turn():
    env = Simulator({})
    done = []
    for name in ("a", "b"):
        env.start_episode(name)

        def ask(name=name):
            done.append((name, env.get_action(name, name)))
            env.end_episode(name, None)

        threading.Thread(target=ask, daemon=True).start()
    for action in (7, 8):
        episode = env.take()
        env.give(episode, action)
        wait_for(lambda episode=episode: episode.ended)
    wait_for(lambda: len(done) == 2)
    assert sorted(action for _, action in done) == [7, 8]


class Match(ExternalMultiAgentEnv):
    """Two agents; each earns 1 for the action of its name."""

    def __init__(self, config):
        super().__init__(Discrete(2), ONE)

    def run(self):
        while True:
            episode = self.start_episode()
            obs = {name: np.zeros(2, np.float32) for name in (0, 1)}
            for _ in range(4):
                actions = self.get_action(episode, obs)
                self.log_returns(episode, {name: float(actions[name] == name) for name in obs})
            self.end_episode(episode, obs)


def test_several_agents_with_a_loop_of_their_own():
    config = {
        **SMALL,
        "lr": 0.01,
        "num_sgd_iter": 10,
        "multiagent": {
            "policies": {"p0", "p1"},
            "policy_mapping_fn": lambda agent, *_, **__: f"p{agent}",
        },
    }
    algo = PPO(config, Match)
    for _ in range(8):
        result = algo.train()
    assert result["episode_len_mean"] == 4.0
    assert result["episode_reward_mean"] > 6.0


# Environments in processes of their own


class Located(gymnasium.Env):
    """Its observation is its process."""

    observation_space = Box(0, 1e9, (1,), np.float64)
    action_space = Discrete(2)

    def __init__(self, config):
        self.remote = config.remote
        self.index = config.vector_index

    def reset(self, *, seed=None, options=None):
        import os

        self.steps = 0
        return np.array([os.getpid()], np.float64), {}

    def step(self, action):
        self.steps += 1
        obs, _ = self.reset() if False else (np.array([self.index], np.float64), {})
        return obs, float(self.remote), self.steps >= 10, False, {}


def test_environments_in_processes_of_their_own(small_cluster):
    config = {**SMALL, "remote_worker_envs": True, "num_envs_per_worker": 2}
    algo = PPO(config, Located)
    seen = [env.reset()[0][0] for env in algo.workers.local_worker().vector_env.envs]
    assert len(set(seen)) == 2
    result = algo.train()
    assert result["episode_reward_mean"] == 10.0  # remote, ten steps
    assert result["timesteps_total"] == 100
    algo.stop()
    wait_for(lambda: ray.available_resources().get("CPU") == 2)


class Pair(MultiAgentEnv):
    """Two agents of ten steps; both earn their action."""

    def __init__(self, config=None):
        self.agents = self.possible_agents = ["a", "b"]
        self.observation_spaces = {"a": ONE, "b": Box(0.0, 5.0, (1,), np.float32)}
        self.action_spaces = {"a": Discrete(2), "b": Discrete(3)}
        super().__init__()

    def _obs(self):
        return {"a": np.zeros(2, np.float32), "b": np.ones(1, np.float32)}

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return self._obs(), {"a": {}, "b": {}}

    def step(self, action_dict):
        self.steps += 1
        over = self.steps >= 10
        rewards = {name: float(action) for name, action in action_dict.items()}
        ends = {"a": over, "b": over, "__all__": over}
        return self._obs(), rewards, ends, {"__all__": False}, {"a": {"seen": 1}, "b": {}}


def test_several_agents_in_a_process_of_their_own(small_cluster):
    config = {
        **SMALL,
        "remote_worker_envs": True,
        "multiagent": {
            "policies": {"a", "b"},
            "policy_mapping_fn": lambda agent, *_, **__: agent,
        },
    }
    algo = PPO(config, Pair)
    result = algo.train()
    assert result["episode_len_mean"] == 10.0
    assert set(result["policy_reward_mean"]) == {"a", "b"}
    algo.stop()


# Agents in groups


def test_agents_in_groups():
    env = Pair().with_agent_groups({"both": ["a", "b"]})
    assert isinstance(env, GroupAgentsWrapper)
    space = env.get_observation_space("both")
    assert isinstance(space, Tuple)
    assert isinstance(env.get_action_space("both"), Tuple)
    obs, infos = env.reset()
    assert space.contains(tuple(obs["both"]))
    obs, rewards, terminateds, truncateds, infos = env.step({"both": (1, 2)})
    assert rewards == {"both": 3.0}
    assert infos["both"]["_group_rewards"] == [1.0, 2.0]
    assert infos["both"]["_group_info"] == [{"seen": 1}, {}]
    assert terminateds == {"both": False, "__all__": False}
    assert truncateds == {"__all__": False}
    with pytest.raises(ValueError, match="several groups"):
        Pair().with_agent_groups({"x": ["a"], "y": ["a"]})


def test_a_group_learns_as_one_agent():
    tune.register_env("grouped", lambda config: Pair().with_agent_groups({"both": ["a", "b"]}))
    algo = PPO(
        {
            **SMALL,
            "env": "grouped",
            "lr": 0.01,
            "num_sgd_iter": 10,
            "metrics_smoothing_episodes": 10,
        }
    )
    for _ in range(8):
        result = algo.train()
    assert result["episode_reward_mean"] > 20.0  # random: 15, best: 30


# Other packages


def test_envpool_without_the_package_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(ImportError, match="envpool"):
        PPO({**SMALL, "env": "envpool:CartPole-v1"})


def test_envpool_s_cartpole():
    pytest.importorskip("envpool")
    algo = PPO({**SMALL, "env": "envpool:CartPole-v1", "num_envs_per_worker": 5})
    vector = algo.workers.local_worker().vector_env
    assert vector.num_envs == 5
    result = algo.train()
    assert result["timesteps_total"] == 250  # 5 environments x 50 steps
    lengths = result["hist_stats"]["episode_lengths"]
    assert lengths
    assert result["hist_stats"]["episode_reward"] == lengths  # one a step, none lost at the ends
    algo.stop()
    with pytest.raises(ValueError, match="NoSuch"):
        PPO({**SMALL, "env": "envpool:NoSuch-v0"})


def test_envpool_s_first_and_last_observations_are_seen():
    envpool = pytest.importorskip("envpool")
    from eagleray.rllib.env.envpool_env import EnvPoolVector

    vector = EnvPoolVector(envpool, "CartPole-v1", 2, {})
    first = [vector.reset_at(i, seed=3)[0] for i in range(2)]
    assert all(np.abs(obs).max() <= 0.05 for obs in first)
    for _ in range(50):
        obs, _, terminated, _, _ = vector.vector_step([1, 0])
        for i in np.flatnonzero(terminated):
            assert abs(obs[i][2]) > 0.2  # the fallen pole
            again, _ = vector.reset_at(int(i))
            assert np.abs(again).max() <= 0.05
    vector.close()


def test_envpool_s_pong():
    pytest.importorskip("envpool")
    pytest.importorskip("torch")
    algo = PPO(
        {
            **SMALL,
            "env": "envpool:Pong-v5",
            "num_envs_per_worker": 2,
            "train_batch_size": 40,
            "rollout_fragment_length": 20,
            "sgd_minibatch_size": 20,
            "model": {"conv_filters": [[4, [8, 8], 4], [8, [11, 11], 4]]},
        }
    )
    assert algo.get_policy().observation_space.shape == (84, 84, 4)
    assert algo.train()["timesteps_total"] == 40
    algo.stop()


def test_pettingzoo_s_agents_in_turn():
    pytest.importorskip("pettingzoo")
    from pettingzoo.classic import rps_v2

    tune.register_env("rps", lambda config: PettingZooEnv(rps_v2.env(max_cycles=8)))
    algo = PPO(
        {
            **SMALL,
            "env": "rps",
            "multiagent": {
                "policies": {"player_0", "player_1"},
                "policy_mapping_fn": lambda agent, *_, **__: agent,
            },
        }
    )
    result = algo.train()
    assert set(result["policy_reward_mean"]) == {"player_0", "player_1"}
    assert abs(result["episode_reward_mean"]) < 1e-6  # what one wins the other loses
    algo.stop()


def test_pettingzoo_s_agents_together():
    pytest.importorskip("pettingzoo")
    from pettingzoo.classic import rps_v2

    env = ParallelPettingZooEnv(rps_v2.parallel_env(max_cycles=5))
    obs, infos = env.reset(seed=1)
    assert set(obs) == {"player_0", "player_1"}
    for _ in range(5):
        actions = {agent: env.get_action_space(agent).sample() for agent in obs}
        obs, rewards, terminateds, truncateds, infos = env.step(actions)
        assert sum(rewards.values()) == 0
    assert truncateds["__all__"] != terminateds["__all__"]
    tune.register_env(
        "rps_together", lambda config: ParallelPettingZooEnv(rps_v2.parallel_env(max_cycles=5))
    )
    algo = PPO({**SMALL, "env": "rps_together"})
    assert algo.train()["episode_len_mean"] == 5.0
    algo.stop()


@pytest.fixture
def pong():
    ale_py = pytest.importorskip("ale_py")
    gymnasium.register_envs(ale_py)
    return "PongNoFrameskip-v4"


def test_atari_as_deepmind_has_it(pong):
    from eagleray.rllib.env.wrappers import atari_wrappers as wrappers

    env = wrappers.wrap_deepmind(gymnasium.make(pong))
    for kind in ("MonitorEnv", "NoopResetEnv", "MaxAndSkipEnv", "EpisodicLifeEnv", "FireResetEnv"):
        assert wrappers.get_wrapper_by_cls(env, getattr(wrappers, kind)) is not None, kind
    assert env.observation_space == Box(0, 255, (84, 84, 4), np.uint8)
    obs, _ = env.reset(seed=1)
    assert env.observation_space.contains(obs)
    assert np.array_equal(obs[..., 0], obs[..., 3])  # the first picture, four times
    before = env.unwrapped.ale.getFrameNumber()
    obs, *_ = env.step(2)
    assert env.unwrapped.ale.getFrameNumber() - before == 4
    assert env.observation_space.contains(obs)
    total, over = 0.0, False
    while not over:  # a game that nobody plays is lost 0:21
        _, reward, terminated, truncated, _ = env.step(0)
        total += reward
        over = terminated or truncated
    assert total == -21.0
    env.reset()
    assert wrappers.get_wrapper_by_cls(env, wrappers.MonitorEnv).get_episode_rewards()[-1] == -21.0


def test_lives_are_episodes_and_the_game_goes_on(pong):
    from eagleray.rllib.env.wrappers.atari_wrappers import EpisodicLifeEnv

    env = EpisodicLifeEnv(gymnasium.make("BreakoutNoFrameskip-v4"))
    env.reset(seed=1)
    lives = [env.unwrapped.ale.lives()]
    for _ in range(lives[0]):
        over = False
        while not over:
            _, _, terminated, truncated, _ = env.step(1)
            over = terminated or truncated
        lives.append(env.unwrapped.ale.lives())
        env.reset()
    assert lives == [5, 4, 3, 2, 1, 0]
    assert env.unwrapped.ale.lives() == 5  # the game is over and has begun anew


def test_atari_s_rewards_are_clipped_for_learning_only(pong):
    config = {**SMALL, "env": pong, "train_batch_size": 20, "rollout_fragment_length": 10}
    config |= {
        "sgd_minibatch_size": 20,
        "model": {"conv_filters": [[4, [8, 8], 8], [8, [11, 11], 1]]},
    }
    algo = PPO(config)
    worker = algo.workers.local_worker()
    assert worker.clip_rewards is True
    assert algo.get_policy().observation_space.shape == (84, 84, 4)
    algo.train()
    algo.stop()
    plain = PPO(
        {**config, "clip_rewards": False, "model": {**config["model"], "framestack": False}}
    )
    assert plain.workers.local_worker().clip_rewards is False
    assert plain.get_policy().observation_space.shape == (84, 84, 1)
    plain.stop()


def test_pictures_that_deepmind_does_not_wrap(pong):
    config = {**SMALL, "env": pong, "preprocessor_pref": "rllib", "train_batch_size": 20}
    config |= {"rollout_fragment_length": 10, "sgd_minibatch_size": 20}
    config["model"] = {
        "dim": 42,
        "grayscale": True,
        "conv_filters": [[4, [4, 4], 4], [8, [11, 11], 1]],
    }
    algo = PPO(config)
    assert algo.get_policy().observation_space.shape == (42, 42, 1)
    algo.train()
    algo.stop()


def test_the_wrappers_of_ray_2(pong):
    from eagleray.rllib.env.wrappers.atari_wrappers import wrap_atari_for_new_api_stack

    env = wrap_atari_for_new_api_stack(gymnasium.make(pong, frameskip=1), dim=42, framestack=2)
    assert env.observation_space.shape == (42, 42, 2)
    obs, _ = env.reset(seed=1)
    assert obs.dtype == np.float32
    assert -1.0 <= obs.min() < obs.max() <= 1.0


# gym


def test_gym_s_wrappers_and_registered_names_without_gym():
    program = """
import sys
sys.modules["gym"] = None; del sys.modules["gym"]
import eagleray
import gym, gym.spaces, numpy as np
from gym import wrappers
from gym.envs.registration import register

class Grid(gym.Env):
    observation_space = gym.spaces.Box(0.0, 1.0, shape=(2,))
    action_space = gym.spaces.Discrete(2)
    def reset(self): return np.zeros(2, np.float32)
    def step(self, action): return np.zeros(2, np.float32), 1.0, False, {}

class Doubled(gym.RewardWrapper):
    def reward(self, reward): return 2 * reward

register(id="Grid-v0", entry_point=Grid, max_episode_steps=7)
env = Doubled(gym.make("Grid-v0"))
env.reset()
steps, done = 0, False
while not done:
    obs, reward, done, info = env.step(0)
    steps += 1
assert (steps, reward, info["TimeLimit.truncated"]) == (7, 2.0, True), (steps, reward, info)
from eagleray.rllib.agents.ppo import PPOTrainer
config = {"num_workers": 0, "train_batch_size": 28, "rollout_fragment_length": 28, "sgd_minibatch_size": 28,
          "num_sgd_iter": 1, "model": {"fcnet_hiddens": [4]}}
result = PPOTrainer(config=config, env=lambda c: Doubled(gym.make("Grid-v0"))).train()
assert result["episode_reward_mean"] == 14.0, result["episode_reward_mean"]
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "fine" in done.stdout, done.stderr


def run_without_gym(program):
    program = "import sys\nimport eagleray\n" + program + "\nprint('fine')\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "fine" in done.stdout, done.stderr


def test_gym_s_own_environments_as_classes():
    run_without_gym("""
import gym, numpy as np
from gym.envs.classic_control import CartPoleEnv, PendulumEnv
from gym.envs.classic_control.cartpole import CartPoleEnv as Same
from gym.envs.toy_text.frozen_lake import FrozenLakeEnv
assert Same is CartPoleEnv

class Heavy(CartPoleEnv):
    def __init__(self):
        super().__init__()
        self.masspole = 0.5
    def step(self, action):
        obs, reward, done, info = super().step(action)
        return obs, 2 * reward, done, info

env = Heavy()
env.seed(3)
first = env.reset()
env.seed(3)
assert np.array_equal(first, env.reset())
obs, reward, done, info = env.step(1)
assert (reward, done) == (2.0, False), (reward, done)
gym.register(id="Heavy-v0", entry_point=Heavy, max_episode_steps=3)
env = gym.make("Heavy-v0")
env.reset()
assert [env.step(t % 2)[1:3] for t in range(3)] == [(2.0, False), (2.0, False), (2.0, True)]
from eagleray.rllib.agents.ppo import PPOTrainer
small = {"num_workers": 0, "train_batch_size": 30, "rollout_fragment_length": 30, "sgd_minibatch_size": 30,
         "num_sgd_iter": 1, "model": {"fcnet_hiddens": [4]}}
assert PPOTrainer({**small, "env": "Heavy-v0"}).train()["episode_reward_mean"] == 6.0
assert FrozenLakeEnv(is_slippery=False).reset() == 0
assert gym.spec("CartPole-v0").reward_threshold == 195.0
assert gym.spec("CartPole-v0").max_episode_steps == 200
""")


def test_gym_s_wrappers():
    run_without_gym("""
import gym, numpy as np
from gym import wrappers
from gym.wrappers.frame_stack import FrameStack

env = wrappers.RecordEpisodeStatistics(gym.make("CartPole-v0"))
env.reset()
done = False
while not done:
    _, _, done, info = env.step(0)
assert info["episode"]["r"] == info["episode"]["l"] == env.return_queue[-1]
env = FrameStack(gym.make("CartPole-v0"), 3)
assert env.reset().shape == (3, 4) == env.observation_space.shape
assert env.step(0)[0].shape == (3, 4)
env = wrappers.RescaleAction(gym.make("Pendulum-v1"), 0.0, 1.0)
assert env.action_space.high[0] == 1.0
assert env.action(np.array([0.5]))[0] == 0.0 and env.action(np.array([1.0]))[0] == 2.0
env = wrappers.ClipAction(gym.make("Pendulum-v1"))
assert env.action(np.array([9.0]))[0] == 2.0
env = wrappers.TimeAwareObservation(gym.make("CartPole-v0"))
assert env.reset()[-1] == 0 and env.step(0)[0][-1] == 1
env = wrappers.TransformReward(gym.make("CartPole-v0"), lambda r: 5 * r)
env.reset()
assert env.step(0)[1] == 5.0
env = wrappers.TransformObservation(gym.make("CartPole-v0"), lambda obs: obs * 0)
assert not env.reset().any()
env = wrappers.FlattenObservation(gym.make("FrozenLake-v1"))
assert env.reset().shape == (16,) == env.observation_space.shape
env = wrappers.OrderEnforcing(gym.make("CartPole-v0"))
try:
    env.step(0)
except AssertionError:
    pass
else:
    raise SystemExit("not refused")
try:
    wrappers.Monitor(env, "videos")
except NotImplementedError as error:
    assert "Monitor" in str(error)
""")


class Gives(gymnasium.Env):
    """Rewards and observations of the test's choice."""

    reward, seen = 1.0, 0.0

    def __init__(self, config=None):
        self.observation_space = Box(-10.0, 10.0, (1,))
        self.action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        late = self.steps >= 3
        seen = np.full(1, self.seen if late else 0.0, np.float32)
        return seen, self.reward if late else 1.0, self.steps >= 6, False, {}


@pytest.mark.parametrize("backend", ["native", "torch"])
@pytest.mark.parametrize(
    ("reward", "seen", "words"),
    [
        (float("nan"), 0.0, r"Gives number 0 \(worker 0.*a reward with NaN or infinity: nan"),
        (1.0, float("inf"), r"Gives number 0 \(worker 0.*an observation with NaN.*inf"),
        (np.ones(2), 0.0, r"one number, not an array of shape \(2,\)"),
    ],
)
def test_what_cannot_be_learnt_from_names_its_environment(backend, reward, seen, words):
    config = {**SMALL, "num_workers": 0, "env": Gives, "learner_backend": backend}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Gives, "reward", reward)
        patch.setattr(Gives, "seen", seen)
        algorithm = PPO(config)
        with pytest.raises(ValueError, match=words):
            algorithm.train()
        algorithm.stop()


def test_a_reward_may_be_an_array_of_one():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Gives, "reward", np.array([1.0]))
        algorithm = PPO({**SMALL, "num_workers": 0, "env": Gives})
        assert algorithm.train()["episode_reward_mean"] == 6
        algorithm.stop()


class Grid(Gives):
    """Actions of a table of choices, whose numbers begin at 1."""

    def __init__(self, config=None):
        super().__init__()
        self.action_space = MultiDiscrete([[2, 3], [4, 5]], start=[[1, 1], [1, 1]])

    def step(self, action):
        assert self.action_space.contains(action), action
        return super().step(action)


class Dials(gymnasium.Env):
    """Each dial is best at its lower bound + 1."""

    def __init__(self, config=None):
        self.observation_space = Box(-1, 1, (2,), np.float32)
        dials = Box(np.array([[-3, 0], [7, -1]]), np.array([[-1, 2], [9, 1]]), dtype=np.int16)
        byte = Box(250, 255, (1,), np.uint8)
        nested = (config or {}).get("nested")
        self.action_space = Dict(a=dials, b=byte) if nested else dials

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        dials = action["a"] if isinstance(action, dict) else action
        self.steps += 1
        off = np.abs(dials - np.array([[-2, 1], [8, 0]])).sum()
        return np.zeros(2, np.float32), -float(off), self.steps >= 10, False, {}


@pytest.mark.parametrize("nested", [False, True])
def test_a_box_of_integers_is_chosen_from(nested):
    pytest.importorskip("torch")
    config = PPOConfig().environment(Dials, env_config={"nested": nested})
    config.env_runners(num_env_runners=0).debugging(seed=1)
    config.training(train_batch_size=400, minibatch_size=100, lr=0.02, num_epochs=10, gamma=0.0)
    config.training(model={"fcnet_hiddens": [8]}).reporting(metrics_num_episodes_for_smoothing=20)
    algo = config.build_algo()
    first = algo.train()["env_runners"]["episode_return_mean"]
    for _ in range(7):
        last = algo.train()["env_runners"]["episode_return_mean"]
    assert last > first / 2
    action = algo.compute_single_action(np.zeros(2, np.float32), explore=False)
    assert algo.workers.local_worker().env.action_space.contains(action)


def test_a_box_of_integers_needs_bounds():
    pytest.importorskip("torch")

    class Endless(Dials):
        def __init__(self, config=None):
            super().__init__()
            self.action_space = Box(0, 1 << 40, (1,), np.int64)

    with pytest.raises(ValueError, match="give it narrower bounds"):
        PPOConfig().environment(Endless).env_runners(num_env_runners=0).build_algo()


def test_multidiscrete_actions_have_the_space_s_form_and_start():
    algorithm = PPO(
        {
            **SMALL,
            "num_workers": 0,
            "env": Grid,
            "model": {"use_lstm": True, "lstm_use_prev_action": True},
        }
    )
    algorithm.train()
    assert Grid().action_space.contains(
        algorithm.compute_single_action(
            np.zeros(1), state=algorithm.get_policy().get_initial_state()
        )[0]
    )
    algorithm.stop()
