"""What bench/gpu_learner.py learns: policies, their spaces and settings, and made-up experience. Needs torch and numpy only."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

ROWS, MINIBATCH, HIDDEN = 4200, 128, [256, 256]


def _module(name, **contents):
    module = types.ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module
    return module


def stand_ins():
    """eagleray without its native core, and the classes of gymnasium.spaces that the policies look at."""
    root = Path(__file__).resolve().parent.parent / "python" / "eagleray"
    if importlib.util.find_spec("eagleray") is None or not list(root.glob("_core*.so")):
        _module("eagleray", __path__=[str(root)])
        rllib = _module("eagleray.rllib", __path__=[str(root / "rllib")])
        sys.modules["eagleray"].rllib = rllib
    if importlib.util.find_spec("gymnasium") is None:
        names = "Space Box Discrete MultiDiscrete MultiBinary Dict Tuple".split()
        spaces = _module("gymnasium.spaces", **{name: type(name, (), {}) for name in names})
        _module("gymnasium", spaces=spaces)


def box(*shape, kind=np.float32):
    from gymnasium import spaces

    low, high = (0, 255) if kind == np.uint8 else (-np.inf, np.inf)
    try:
        return spaces.Box(low, high, shape, kind)
    except TypeError:
        made = spaces.Box()
        made.shape, made.dtype = shape, np.dtype(kind)
        made.low, made.high = np.full(shape, low), np.full(shape, high)
        return made


def discrete(n):
    from gymnasium import spaces

    try:
        return spaces.Discrete(n)
    except TypeError:
        made = spaces.Discrete()
        made.n, made.start, made.shape, made.dtype = n, 0, (), np.dtype(np.int64)
        return made


def multi_binary(n):
    from gymnasium import spaces

    try:
        return spaces.MultiBinary(n)
    except TypeError:
        made = spaces.MultiBinary()
        made.n, made.shape, made.dtype = n, (n,), np.dtype(np.int8)
        return made


def dictionary(**parts):
    """A Dict space as the net gets it, flattened; None where gymnasium is not there."""
    from gymnasium import spaces

    try:
        original = spaces.Dict(parts)
    except TypeError:
        return None
    from eagleray.rllib.models.preprocessors import get_preprocessor_for_space

    return get_preprocessor_for_space(original).observation_space


def settings(device, graph=True, model=MappingProxyType({}), **more):
    from eagleray.rllib.algorithms.config_tables import COMMON
    from eagleray.rllib.models.defaults import MODEL_DEFAULTS

    ppo = {
        "use_critic": True,
        "use_kl_loss": True,
        "kl_coeff": 0.2,
        "kl_target": 0.01,
        "vf_loss_coeff": 1.0,
        "vf_clip_param": 10.0,
        "entropy_coeff": 0.01,
        "entropy_coeff_schedule": None,
        "clip_param": 0.3,
        "lr": 5e-4,
        "use_gae": True,
    }
    model = {**MODEL_DEFAULTS, "fcnet_hiddens": HIDDEN, "vf_share_layers": False, **model}
    own = {
        "learner_backend": "torch",
        "model": model,
        "num_gpus": int(device == "cuda"),
        "cuda_graph": graph,
        "seed": 1,
    }
    return {**COMMON, **ppo, **own, **more}


class Work(NamedTuple):
    """What is learned: the class of the policy, its spaces, the rows of its experience, other settings."""

    policy_class: Any
    observations: Any
    actions: Any
    rows: int = ROWS
    more: Any = MappingProxyType({})
    # Convolutions are summed in another order on a GPU, and Adam's first steps make a sign of the smallest gradient.
    close_to_cpu: bool = True
    # Methods of the user's own policy class.
    own: Any = MappingProxyType({})
    # Rows of a step; None: all.
    minibatch: Any = MINIBATCH
    # Whether one graph is expected.
    graph: bool = True

    def policy(self, device, graph=True, **more):
        made = self.policy_class
        made = type("Own", (made,), dict(self.own)) if self.own else made
        return made(self.observations, self.actions, settings(device, graph, **self.more, **more))

    def experience(self, policy):
        from eagleray.rllib.policy.sample_batch import SampleBatch

        random, space = np.random.default_rng(0), self.observations
        if space.dtype == np.uint8:
            obs = random.integers(256, size=(self.rows, *space.shape), dtype=np.uint8)
        else:
            obs = random.normal(size=(self.rows, *space.shape)).astype(np.float32)
        states = [np.repeat(part[None], self.rows, 0) for part in policy.get_initial_state()]
        actions, _, extras = policy.act(obs, states)
        values = random.normal(size=self.rows).astype(np.float32)
        columns = {"obs": obs, "actions": actions, **extras}
        if states:
            for at, part in enumerate(states):
                columns[f"state_in_{at}"] = random.normal(0, 0.1, part.shape).astype(np.float32)
            # Episodes of 1 to 60 steps.
            ends = np.cumsum(random.integers(1, 61, self.rows))
            columns["eps_id"] = np.searchsorted(ends, np.arange(self.rows), "right")
            columns["prev_actions"] = np.roll(actions, 1, 0)
            columns["prev_rewards"] = np.ones(self.rows, np.float32)
        return SampleBatch({**columns, "advantages": values, "value_targets": values * 2 + 1})

    def begin(self):
        """(experience, the weights to begin with)"""
        policy = self.policy("cpu")
        return self.experience(policy), policy.get_weights()
