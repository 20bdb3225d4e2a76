"""eagleray.rllib: reinforcement learning, with the interfaces of Ray 1.x and 2.x on one implementation.

    from eagleray.rllib.algorithms.ppo import PPOConfig

    algo = PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=2).build_algo()
    result = algo.train()
    print(result["episode_reward_mean"])

or PPOTrainer(config={"env": "CartPole-v1"}), or tune.run("PPO", config={...}). It stands on eagleray's public
API and needs numpy and gymnasium; PyTorch is imported only where a net is PyTorch's. docs/user/rllib.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .. import _planned
from .env import gym_shim as _gym_shim

if TYPE_CHECKING:
    from .env.base_env import BaseEnv
    from .env.external_env import ExternalEnv
    from .env.make import register_env
    from .env.multi_agent_env import MultiAgentEnv
    from .env.vector_env import VectorEnv
    from .evaluation.rollout_worker import RolloutWorker
    from .policy.policy import Policy
    from .policy.sample_batch import SampleBatch

_LAZY = {
    "BaseEnv": ".env.base_env",
    "ExternalEnv": ".env.external_env",
    "MultiAgentEnv": ".env.multi_agent_env",
    "Policy": ".policy.policy",
    "RolloutWorker": ".evaluation.rollout_worker",
    "SampleBatch": ".policy.sample_batch",
    "TorchPolicy": ".policy.torch_policy",
    "VectorEnv": ".env.vector_env",
    "register_env": ".env.make",
}
__all__ = [
    "BaseEnv",
    "ExternalEnv",
    "MultiAgentEnv",
    "Policy",
    "RolloutWorker",
    "SampleBatch",
    "VectorEnv",
    "register_env",
]

_gym_shim.install()


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name], __name__), name)
        globals()[name] = value
        return value
    return _planned.find("rllib", name)
