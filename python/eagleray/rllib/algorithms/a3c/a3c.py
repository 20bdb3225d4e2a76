"""A3C (Mnih et al., 2016): rollout workers compute gradients of their own fragments, and the algorithm applies them as they come.

A gradient belongs to the weights that its worker had when it began; meanwhile others may have changed them. Without
rollout workers there is nothing to wait for: an update a fragment, the same for every run with a seed.
"""

from __future__ import annotations

import time
from typing import Any

import eagleray as ray

from ...evaluation.collected import Request
from ..a2c.a2c import A2C, A2CConfig

__all__ = ["A3C", "A3CConfig"]


class A3CConfig(A2CConfig):
    """As A2C's, with fragments of 10 steps."""

    OWN = {"rollout_fragment_length": 10}
    CLASSIC = {"rollout_fragment_length": 10}

    def __init__(self, algo_class: Any = None) -> None:
        super().__init__(algo_class=algo_class or A3C)


class A3C(A2C):
    """See A3CConfig. A training step applies the gradients that are there, and waits for the first."""

    _config_class = A3CConfig
    shares_learning = False
    native_loss = "a2c"

    @classmethod
    def get_default_policy_class(cls, config: Any) -> Any:
        return A2C.get_default_policy_class(config)

    def setup(self, config: Any) -> None:
        self._asked: dict[int, Any] = {}  # calls under way, by worker
        super().setup(config)

    def set_state(self, state: Any) -> None:
        self._asked = {}  # gradients of other weights
        super().set_state(state)

    def training_step(self) -> dict[str, Any]:
        if not self.workers.num_remote_workers():
            length = self._algorithm_config.get_rollout_fragment_length()
            return self.learn(self.sample(length * self.workers.num_envs), 1, None)
        self._ask()
        info: dict[str, Any] = {}
        for index in self.workers.answered(self._asked):
            answer = self.workers.answer(index, self._asked.pop(index))
            if answer is not None:
                info = self._apply(answer)
            elif not self.workers.num_remote_workers():
                raise RuntimeError(
                    "no rollout worker is left: all have failed, and none is restarted"
                )
            self._ask()
        return info

    def _ask(self) -> None:
        """Has every worker that does nothing sample and compute gradients with the present weights."""
        idle = [i for i in self.workers.healthy_worker_ids() if i not in self._asked]
        if not idle:
            return
        weights = ray.put(self.workers.local_worker().get_weights())
        steps = self._counters["num_env_steps_sampled"]
        request = Request("fragments", 1, steps, None, self._filter_states(), gradients=True)
        for index in idle:
            self._asked[index] = self.workers.ask(index, weights, request)

    def _apply(self, answer: Any) -> dict[str, Any]:
        began = time.monotonic()
        env_steps = self._count_sampled([answer])
        info: dict[str, Any] = {}
        for name, (gradients, learned) in answer.gradients.items():
            policy = self.workers.local_worker().policy_map[name]
            policy.on_global_var_update({"timestep": self._counters["num_env_steps_sampled"]})
            policy.apply_gradients(gradients)
            info[name] = learned
        self._counters["num_env_steps_trained"] += env_steps
        self._counters["num_agent_steps_trained"] += answer.agent_steps
        self._timers.add("learn", time.monotonic() - began, env_steps)
        return info
