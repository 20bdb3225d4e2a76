"""The policies of a worker: which there are, on which spaces, and which agent has which."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .._native import env_spec
from ..algorithms.algorithm_config import policy_specs
from ..policy.choice import default_policy_class
from ..policy.policy import PolicySpec
from ..policy.sample_batch import DEFAULT_POLICY_ID

__all__ = ["make_policies", "map_agent", "spaces_of", "trained"]


def make_policies(worker: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """policies, preprocessors and filters by policy id. ValueError: spaces that nobody knows."""
    from ..models.preprocessors import get_preprocessor_for_space
    from ..utils.filter import get_filter

    config = worker.config
    one_agent = worker.vector_env is not None or env_spec(config) is not None
    if one_agent and not worker.is_multi_agent:
        _need_default_policy(policy_specs(config["policies"]))
    spaces = spaces_of(worker)
    policies, preprocessors, filters = {}, {}, {}
    for name, spec in policy_specs(config["policies"]).items():
        spec = _spec(spec)
        observation_space, action_space = spaces[name]
        preprocessor = get_preprocessor_for_space(observation_space, config["model"])
        own = config if not spec.config else _overridden(config, spec.config)
        more = config["algorithm_config_overrides_per_module"].get(name)
        own = _overridden(own, more) if more else own
        seen = preprocessor.observation_space
        made = spec.policy_class or default_policy_class(own, seen, action_space)
        policy = made(seen, action_space, _of_process(own, worker.worker_index))
        worker.callbacks("on_create_policy", policy_id=name, policy=policy)
        policies[name], preprocessors[name] = policy, preprocessor
        filters[name] = get_filter(config["observation_filter"], preprocessor.shape)
    return policies, preprocessors, filters


def _of_process(config: Any, worker_index: int) -> Any:
    """The configuration with the GPUs of this process: rollout workers have their own, mostly none, and so has an
    algorithm whose learners are other processes."""
    if not (config["num_gpus"] or config["num_gpus_per_learner"]):
        return config
    if worker_index == 0 and config["num_learners"] < 2:
        return config
    made = config.copy(copy_frozen=False)
    made["num_gpus"] = config["num_gpus_per_env_runner"] if worker_index else 0
    made["num_gpus_per_learner"] = 0
    return made


def spaces_of(worker: Any) -> dict[str, Any]:
    """(observation space, action space) of each policy: of its spec, the configuration, or the environment."""
    config = worker.config
    found: dict[str, Any] = {}
    for name, spec in policy_specs(config["policies"]).items():
        spec = _spec(spec)
        pair = [spec.observation_space, spec.action_space]
        for at, attribute in enumerate(("observation_space", "action_space")):
            if pair[at] is None:
                pair[at] = _configured(config[attribute], name)
            if pair[at] is None:
                pair[at] = _of_env(worker, attribute, name)
            if pair[at] is None:
                raise ValueError(
                    f"nothing says what the {attribute} of policy {name!r} is: neither its PolicySpec nor "
                    f"config['{attribute}'] nor the environment"
                )
        found[name] = tuple(pair)
    return found


def _configured(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) and not hasattr(value, "spaces") else value


def _of_env(worker: Any, attribute: str, policy_id: str) -> Any:
    if worker.vector_env is None:
        if env_spec(worker.config) is None:
            return None
        return native_spaces(worker.config)[attribute == "action_space"]
    if not worker.is_multi_agent:
        return getattr(worker.vector_env, attribute)
    from ..env.multi_agent_env import agent_space

    env = worker.vector_env.envs[0]
    mapping = worker.config["policy_mapping_fn"]
    agents = list(env.get_agent_ids()) if hasattr(env, "get_agent_ids") else []
    for agent in sorted(agents, key=str):
        if mapping is None or map_agent(mapping, agent, None, worker) == policy_id:
            return agent_space(env, attribute, agent)
    return getattr(env, attribute, None)


def _spec(spec: Any) -> PolicySpec:
    if spec is None:
        return PolicySpec()
    if isinstance(spec, PolicySpec):
        return spec
    if isinstance(spec, type):
        return PolicySpec(spec)
    return PolicySpec(*spec)


def _overridden(config: Any, overrides: Any) -> Any:
    made = config.copy(copy_frozen=False)
    made.update_from_dict(overrides if isinstance(overrides, Mapping) else overrides.to_dict())
    return made


def _need_default_policy(names: Any) -> None:
    """ValueError: an environment has one agent, and the configuration no policy for it."""
    if DEFAULT_POLICY_ID not in names:
        raise ValueError(
            f"config['policies'] names {', '.join(map(repr, names))}, but the environment has one agent, whose policy "
            f"is {DEFAULT_POLICY_ID!r}: leave policies out, or make it a MultiAgentEnv (make_multi_agent())"
        )


def map_agent(function: Callable[..., str], agent_id: Any, episode: Any, worker: Any) -> str:
    """policy_mapping_fn(agent_id), (agent_id, episode) or (agent_id, episode, worker, **kwargs)."""
    parameters = inspect.signature(function).parameters
    positional = [
        p for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    arguments = [agent_id, episode, worker]
    anything = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    count = len(positional) if not anything else 3
    keywords = {
        name: value
        for name, value in (("episode", episode), ("worker", worker))
        if name in parameters and parameters[name].kind is parameters[name].KEYWORD_ONLY
    }
    return function(*arguments[:count], **keywords)


def trained(config: Any, policy_id: str, batch: Any = None) -> bool:
    """Whether `policies_to_train` says that this policy learns."""
    wanted = config["policies_to_train"]
    if wanted is None:
        return True
    if callable(wanted):
        return bool(wanted(policy_id, batch))
    return policy_id in wanted


def default_only(config: Any) -> bool:
    return set(policy_specs(config["policies"])) == {DEFAULT_POLICY_ID}


def native_spaces(config: Any) -> tuple[Any, Any]:
    """(observation space, action space) of a native environment, as gymnasium has them."""
    from gymnasium import spaces

    spec = env_spec(config)
    assert spec is not None
    pair = []
    for part in (spec["observation"], spec["action"]):
        if part["type"] == "discrete":
            pair.append(spaces.Discrete(part["n"]))
        else:
            low, high = (np.array(part[side], np.float32) for side in ("low", "high"))
            pair.append(spaces.Box(low, high, dtype=np.float32))
    return pair[0], pair[1]
