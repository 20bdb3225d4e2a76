"""Several agents: policies by agent, turns, older interfaces, PettingZoo."""

import numpy as np
import pytest
from _support import PEER, ray

pytestmark = pytest.mark.skipif(PEER, reason="our library")
gymnasium = pytest.importorskip("gymnasium")
from gymnasium.spaces import Box, Discrete  # noqa: E402

if not PEER:
    from eagleray.rllib import MultiAgentEnv
    from eagleray.rllib.algorithms.ppo import PPO, PPOConfig
    from eagleray.rllib.env.multi_agent_env import make_multi_agent
    from eagleray.rllib.policy.policy import PolicySpec

SMALL = {
    "num_workers": 0,
    "train_batch_size": 100,
    "rollout_fragment_length": 50,
    "sgd_minibatch_size": 50,
    "num_sgd_iter": 1,
    "model": {"fcnet_hiddens": [8]},
    "seed": 1,
}


class Matching(MultiAgentEnv):
    """Two agents see one bit each and are rewarded for naming the other's."""

    def __init__(self, config=None):
        super().__init__()
        self.agents = self.possible_agents = ["a", "b"]
        self.observation_space, self.action_space = Box(0.0, 1.0, (2,)), Discrete(2)
        self.random = np.random.default_rng(1)

    def _observe(self):
        self.bits = self.random.integers(2, size=2)
        return {name: np.array(self.bits, np.float32) for name in "ab"}

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return self._observe(), {}

    def step(self, actions):
        rewards = {
            "a": float(actions["a"] == self.bits[1]),
            "b": float(actions["b"] == self.bits[0]),
        }
        self.steps += 1
        done = self.steps == 10
        return self._observe(), rewards, {"__all__": done}, {"__all__": False}, {}


class Turns(MultiAgentEnv):
    """Agents act in turn; what one does pays the other one. The older interface."""

    def __init__(self, config=None):
        super().__init__()
        self._agent_ids = {0, 1}
        self.observation_space, self.action_space = Box(0.0, 9.0, (1,)), Discrete(2)

    def reset(self):
        self.turn = 0
        return {0: np.zeros(1, np.float32)}

    def step(self, actions):
        assert list(actions) == [self.turn % 2]
        payer = self.turn % 2
        self.turn += 1
        done = self.turn == 6
        obs = {} if done else {self.turn % 2: np.full(1, self.turn, np.float32)}
        return obs, {1 - payer: float(self.turn)}, {"__all__": done}, {}


def mapping(agent_id, episode, worker, **kwargs):
    return f"policy_{agent_id}"


def two(**settings):
    return {
        **SMALL,
        "multiagent": {
            "policies": {
                "policy_a": (None, None, None, {}),
                "policy_b": PolicySpec(config={"gamma": 0.5}),
            },
            "policy_mapping_fn": mapping,
            **settings,
        },
    }


def test_each_agent_has_its_policy():
    algorithm = PPO(config={**two(), "env": Matching})
    result = algorithm.train()
    assert result["timesteps_total"] == 100 and result["agent_timesteps_total"] == 200
    assert (
        set(result["info"]["learner"])
        == {"policy_a", "policy_b"}
        == set(result["policy_reward_mean"])
    )
    again = algorithm.train()["env_runners"]
    assert again["num_module_steps_sampled"] == {"policy_a": 100, "policy_b": 100}
    assert again["num_module_steps_sampled_lifetime"] == {"policy_a": 200, "policy_b": 200}
    total = sum(result["policy_reward_mean"].values())
    assert result["episode_reward_mean"] == pytest.approx(total)
    assert algorithm.get_policy("policy_b").config["gamma"] == 0.5
    assert algorithm.compute_single_action(np.zeros(2), policy_id="policy_a") in (0, 1)
    with pytest.raises(KeyError, match="policy_a, policy_b"):
        algorithm.compute_single_action(np.zeros(2))


def test_only_policies_to_train_learn():
    algorithm = PPO(config={**two(policies_to_train=["policy_b"]), "env": Matching})
    before = algorithm.get_weights()
    result = algorithm.train()
    after = algorithm.get_weights()
    assert set(result["info"]["learner"]) == {"policy_b"}

    def moved(name):
        return any(not np.array_equal(before[name][k], after[name][k]) for k in before[name])

    assert not moved("policy_a") and moved("policy_b")


def test_two_agents_learn():
    config = (
        PPOConfig()
        .environment(Matching)
        .env_runners(num_env_runners=0, rollout_fragment_length=100)
        .training(
            train_batch_size=400,
            minibatch_size=100,
            num_epochs=8,
            lr=0.01,
            model={"fcnet_hiddens": [16]},
        )
        .multi_agent(
            policies={"policy_a", "policy_b"},
            policy_mapping_fn=lambda agent, *_, **__: f"policy_{agent}",
        )
        .debugging(seed=1)
    )
    algorithm = config.build_algo()
    assert config.is_multi_agent
    assert max(algorithm.train()["episode_reward_mean"] for _ in range(15)) > 17  # of 20


def test_rewards_between_turns_belong_to_the_last_action():
    algorithm = PPO(config={**SMALL, "env": Turns, "batch_mode": "complete_episodes"})
    batch = algorithm.sample(6)["default_policy"]
    first = batch["eps_id"] == batch["eps_id"][0]
    zero, one = (
        batch.select(np.flatnonzero(first & (batch["agent_index"] == agent))) for agent in (0, 1)
    )
    # Agent 0 acts at 0, 2, 4 and is paid 2, 4, 6; agent 1, paid 1 before it has acted, acts at 1, 3, 5.
    assert zero["rewards"].tolist() == [2.0, 4.0, 6.0]
    assert one["obs"].ravel().tolist() == [1.0, 3.0, 5.0]
    assert sum(one["rewards"]) == 1.0 + 3.0 + 5.0
    assert zero["terminateds"].tolist() == [False, False, True]


def test_a_mapping_to_nowhere_says_so():
    settings = {"policies": {"known"}, "policy_mapping_fn": lambda agent: "unknown"}
    with pytest.raises(ValueError, match="unknown.*known"):
        PPO(config={**SMALL, "env": Matching, "multiagent": settings}).train()


def test_environments_side_by_side():
    algorithm = PPO(
        config={**SMALL, "env": make_multi_agent("CartPole-v1"), "env_config": {"num_agents": 3}}
    )
    result = algorithm.train()
    assert result["timesteps_total"] == 100 and result["agent_timesteps_total"] > 100


def test_several_policies_are_saved_and_restored(tmp_path):
    algorithm = PPO(config={**two(), "env": Matching})
    algorithm.train()
    path = algorithm.save_to_path(tmp_path / "checkpoint")
    again = PPO.from_checkpoint(path)
    for name, weights in algorithm.get_weights().items():
        assert all(np.array_equal(weights[key], again.get_weights()[name][key]) for key in weights)


class _Zoo:
    """What PettingZoo's parallel interface is like."""

    possible_agents = ["p", "q"]

    def observation_space(self, agent):
        return Box(0.0, 1.0, (1,))

    def action_space(self, agent):
        return Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.steps = list(self.possible_agents), 0
        return {agent: np.zeros(1, np.float32) for agent in self.agents}, {
            agent: {} for agent in self.agents
        }

    def step(self, actions):
        assert set(actions) == set(self.agents)
        self.steps += 1
        over = self.steps == 5
        agents = list(self.agents)
        self.agents = [] if over else agents
        flags = dict.fromkeys(agents, over)
        return (
            {agent: np.ones(1, np.float32) for agent in agents},
            dict.fromkeys(agents, 1.0),
            dict.fromkeys(agents, False),
            flags,
            {agent: {} for agent in agents},
        )


def test_pettingzoo_s_parallel_environments():
    from eagleray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv

    algorithm = PPO(config={**SMALL, "env": lambda config: ParallelPettingZooEnv(_Zoo())})
    result = algorithm.train()
    assert result["episode_len_mean"] == 5 and result["episode_reward_mean"] == 10.0


def test_workers_of_their_own(tmp_path):
    ray.init(num_cpus=4)
    settings = {**two(), "env": Matching, "num_workers": 2, "observation_filter": "MeanStdFilter"}
    evaluated = {
        "evaluation_interval": 1,
        "evaluation_num_workers": 1,
        "evaluation_num_episodes": 3,
    }
    algorithm = PPO(config={**settings, **evaluated})
    result = algorithm.train()
    assert result["timesteps_total"] == 100 and result["agent_timesteps_total"] == 200
    assert result["evaluation"]["episodes_this_iter"] == 3
    assert set(result["evaluation"]["policy_reward_mean"]) == {"policy_a", "policy_b"}
    algorithm.stop()
    ray.shutdown()
