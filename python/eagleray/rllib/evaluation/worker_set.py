"""WorkerSet: the local worker and the actors that sample, with what happens when one of them dies or hangs.

Owned by an Algorithm. Answers are taken in the order of the workers, whoever is first. A dead worker is
replaced (restart_failed_env_runners) or left out (ignore_env_runner_failures), otherwise its error is raised.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import eagleray as ray
from eagleray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from .._native import env_spec, sampling_reason
from ..algorithms.algorithm_config import policy_specs
from ..algorithms.callbacks import make_callbacks
from ..policy.choice import default_backend
from ..policy.sample_batch import DEFAULT_POLICY_ID
from ..utils.by_name import by_name
from .collected import Collected, Request
from .policies import default_only
from .rollout_worker import RolloutWorker

__all__ = ["EnvHungError", "WorkerSet"]

logger = logging.getLogger("eagleray.rllib")


class EnvHungError(TimeoutError):
    """An environment has been in one call for longer than sample_timeout_s; the message names it."""


# Seconds that a worker may take to start, whatever sample_timeout_s says of its steps.
_START_S = 60.0


@by_name(
    policies_of_a_running_algorithm="add_policy add_workers reset",
    asynchronous_calls="foreach_env_runner_async foreach_env_runner_async_fetch_ready fetch_ready_async_reqs",
    connectors="get_merged_env_runner_state sync_env_runner_states",
)
class WorkerSet:
    """num_workers: how many actors. local_env: whether the local worker has environments, too. evaluation: the
    workers are for evaluation; their environments are numbered apart."""

    def __init__(
        self, config: Any, num_workers: int, local_env: bool, evaluation: bool = False
    ) -> None:
        self._config = config
        self._evaluation = evaluation
        self._num_workers = num_workers
        self._first = 1_000_000 if evaluation else 0
        self._generation: dict[int, int] = {}
        self._failures: dict[int, int] = {}
        self.restarts = 0
        self.dropped = 0
        self._recreated: list[int] = []
        self._native = _can_be_native(config)
        self._remote: dict[int, Any] = {}
        if num_workers > 0:
            _make_registered_known()
            self._remote = {index: self._start(index) for index in range(1, num_workers + 1)}
        self._local = self._make_local(local_env)

    def _make_local(self, local_env: bool) -> RolloutWorker:
        config = self._config
        if (
            not local_env
            and self._remote
            and not self._native
            and config["observation_space"] is None
        ):
            # Only the actors have environments: one of them says what the spaces are.
            spaces = self._ask(1, "get_spaces")
            config = config.copy(copy_frozen=False)
            config["observation_space"] = {name: pair[0] for name, pair in spaces.items()}
            config["action_space"] = {name: pair[1] for name, pair in spaces.items()}
        made = self._worker_class if local_env else RolloutWorker
        return made(config, 0, self._num_workers, self._first, with_env=local_env)

    def _start(self, index: int) -> Any:
        config = self._config
        options = {
            "num_cpus": config["num_cpus_per_env_runner"],
            "num_gpus": config["num_gpus_per_env_runner"],
            "resources": config["custom_resources_per_env_runner"] or None,
        }
        made = _actor_class(self._worker_class)
        actor = ray.remote(concurrency_groups={"watch": 1})(made).options(
            **{key: value for key, value in options.items() if value is not None}
        )
        first = self._first + (index - 1) * config["num_envs_per_env_runner"]
        return actor.remote(config, index, self._num_workers, first, self._generation.get(index, 0))

    @property
    def _worker_class(self) -> type[RolloutWorker]:
        """NativeWorker where environments and policy can be native."""
        if self._native:
            from .native_worker import NativeWorker

            return NativeWorker
        return RolloutWorker

    def _ask(self, index: int, method: str, *args: Any) -> Any:
        return ray.get(getattr(self._remote[index], method).remote(*args))

    # Sampling

    def collect(
        self, weights: Any, request: Request, amounts: dict[int, int] | None = None
    ) -> list[Collected]:
        """The request's answers, in the order of the workers. weights: by policy; sent once, whoever reads them.

        amounts: for single workers instead of request.amount.
        """
        return self.finish(self.begin(weights, request, amounts))

    def begin(
        self, weights: Any, request: Request, amounts: dict[int, int] | None = None
    ) -> dict[int, Any]:
        """Starts what collect() does; finish() waits for it."""
        if not self._remote:
            return {0: (weights, request)}
        ref = ray.put(weights)
        calls = {}
        for index, worker in self._remote.items():
            own = request if amounts is None else _with_amount(request, amounts[index])
            if own.amount > 0:
                calls[index] = (worker.collect.remote(ref, own), ref, own)
        return calls

    def finish(self, calls: dict[int, Any]) -> list[Collected]:
        if 0 in calls:
            weights, request = calls[0]
            return [self._local.collect(weights, request)]
        answers: dict[int, Collected] = {}
        for index in sorted(calls):
            call, ref, request = calls[index]
            answer = self._answer(index, call, ref, request)
            if answer is not None:
                answers[index] = answer
        if not answers:
            raise RuntimeError("no rollout worker is left: all have failed, and none is restarted")
        return list(answers.values())

    def ask(self, index: int, weights: Any, request: Request) -> tuple[Any, Any, Request]:
        """One worker's part of begin(), for those that do not wait for each other. weights: a reference."""
        return (self._remote[index].collect.remote(weights, request), weights, request)

    def answered(self, calls: dict[int, tuple[Any, Any, Request]]) -> list[int]:
        """The workers of calls of ask() that have answered or failed: at least one, waiting for it."""
        owners = {call: index for index, (call, _, _) in calls.items()}
        waits = float(self._config["sample_timeout_s"] or 60.0)
        ready, _ = ray.wait(list(owners), num_returns=1, timeout=waits)
        more, _ = ray.wait(list(owners), num_returns=len(owners), timeout=0)
        # Nobody for so long: answer() of the first says what is wrong.
        return sorted(owners[call] for call in {*ready, *more}) or [min(calls)]

    def answer(self, index: int, asked: tuple[Any, Any, Request]) -> Collected | None:
        """A worker's answer, as in collect(). None: it is left out from now on."""
        return self._answer(index, *asked)

    def _answer(self, index: int, call: Any, ref: Any, request: Request) -> Collected | None:
        """One worker's answer, or that of the worker which replaces it; None: it is left out from now on."""
        while True:
            try:
                answer: Collected = self._wait(index, call)
                self._failures[index] = 0
                return answer
            except (RayActorError, EnvHungError) as error:
                again = self._config["restart_failed_env_runners"]
                self._replace_or_raise(index, error, again)
            except RayTaskError as error:
                # The environment's own error comes again in a new worker: it is the user's, unless ignored.
                ignore = self._config["ignore_env_runner_failures"]
                again = ignore and self._config["restart_failed_env_runners"]
                self._replace_or_raise(index, error, again)
            if index not in self._remote:
                return None
            call = self._remote[index].collect.remote(ref, request)

    def _wait(self, index: int, call: Any) -> Any:
        patience = float(self._config["sample_timeout_s"] or 60.0)
        while True:
            try:
                return ray.get(call, timeout=patience)
            except GetTimeoutError:
                place = self._where(index, max(patience, _START_S))
                if place["doing"] is None or place["seconds"] < patience:
                    continue
                raise EnvHungError(
                    f"environment {place['env']} has been in {place['doing']}() for {place['seconds']:.0f} s "
                    f"(sample_timeout_s={patience:g})"
                ) from None

    def _where(self, index: int, patience: float) -> dict[str, Any]:
        """What a worker is busy with. EnvHungError: it does not say so, though it has had time to start."""
        try:
            return ray.get(self._remote[index].where.remote(), timeout=patience)
        except GetTimeoutError:
            raise EnvHungError(
                f"rollout worker {index} has not answered for {patience:g} s: its environment's constructor has not "
                "ended, or holds Python's lock"
            ) from None

    def _replace_or_raise(self, index: int, error: Exception, again: bool) -> None:
        config = self._config
        self._failures[index] = self._failures.get(index, 0) + 1
        worker = self._remote.pop(index)
        ray.kill(worker)
        tolerated = self._failures[index] <= config["num_consecutive_env_runner_failures_tolerance"]
        if again and tolerated and self.restarts < config["max_num_env_runner_restarts"]:
            logger.warning("rollout worker %d is replaced: %s", index, _first_line(error))
            if config["delay_between_env_runner_restarts_s"]:
                time.sleep(config["delay_between_env_runner_restarts_s"])
            self._generation[index] = self._generation.get(index, 0) + 1
            self.restarts += 1
            self._remote[index] = self._start(index)
            self._remote = dict(sorted(self._remote.items()))
            self._recreated.append(index)
        elif config["ignore_env_runner_failures"]:
            logger.warning(
                "rollout worker %d is left out from now on: %s", index, _first_line(error)
            )
            self.dropped += 1
        else:
            raise error

    def take_recreated(self) -> list[int]:
        """Indices of workers that were replaced since the last call."""
        taken, self._recreated = self._recreated, []
        return taken

    # Ray's interface

    def local_worker(self) -> RolloutWorker:
        """The worker in this process; its policies are those that learn."""
        return self._local

    local_env_runner = property(local_worker)

    def remote_workers(self) -> list[Any]:
        """The actors."""
        return list(self._remote.values())

    @property
    def num_envs(self) -> int:
        """Environments that sample."""
        if not self._remote:
            return len(self._local.env_indices)
        return len(self._remote) * int(self._config["num_envs_per_env_runner"])

    def num_remote_workers(self) -> int:
        return len(self._remote)

    num_healthy_remote_workers = num_remote_workers
    num_remote_env_runners = num_remote_workers

    def num_healthy_workers(self) -> int:
        """The local worker and the actors."""
        return 1 + len(self._remote)

    num_healthy_env_runners = num_healthy_workers

    def healthy_worker_ids(self) -> list[int]:
        return list(self._remote)

    healthy_env_runner_ids = healthy_worker_ids

    def num_in_flight_async_reqs(self, tag: str | None = None) -> int:
        """0: calls are waited for."""
        return 0

    def num_remote_worker_restarts(self) -> int:
        """How many workers have replaced another."""
        return self.restarts

    def num_env_runners_dropped_lifetime(self) -> int:
        """How many workers were left out."""
        return self.dropped

    def probe_unhealthy_env_runners(self, timeout_seconds: float | None = None) -> list[int]:
        """[]: a worker that fails is replaced or left out at once."""
        return []

    probe_unhealthy_workers = probe_unhealthy_env_runners

    def get_spaces(self) -> dict[str, Any]:
        """(observation space, action space) by policy."""
        return self._local.get_spaces()

    def is_policy_to_train(self, policy_id: str, batch: Any = None) -> bool:
        """Whether `policies_to_train` says so."""
        return policy_id in self._local.get_policies_to_train(batch)

    def trainable_policies(self) -> list[str]:
        """The names of the policies that learn."""
        return sorted(self._local.get_policies_to_train())

    def foreach_policy_to_train(self, func: Callable[..., Any], **kwargs: Any) -> list[Any]:
        """func(policy, policy_id) of each policy that learns, in every worker."""
        lists = self.foreach_worker(lambda worker: worker.foreach_policy_to_train(func, **kwargs))
        return [value for values in lists for value in values]

    foreach_trainable_policy = foreach_policy_to_train

    def foreach_worker(
        self,
        func: Callable[[Any], Any],
        local_worker: bool = True,
        local_env_runner: bool | None = None,
        **_: Any,
    ) -> list[Any]:
        """func(worker) in every worker: the local one first."""
        local = local_worker if local_env_runner is None else local_env_runner
        calls = [worker.apply.remote(func) for worker in self._remote.values()]
        results = [func(self._local)] if local else []
        return results + _got(calls)

    foreach_env_runner = foreach_worker

    def foreach_worker_with_id(
        self, func: Callable[[int, Any], Any], local_worker: bool = True, **_: Any
    ) -> list[Any]:
        """func(index, worker) in every worker."""
        calls = [
            worker.apply.remote(lambda w, f=func, i=index: f(i, w))
            for index, worker in self._remote.items()
        ]
        return ([func(0, self._local)] if local_worker else []) + _got(calls)

    def foreach_worker_with_index(
        self, func: Callable[[Any, int], Any], local_worker: bool = True, **_: Any
    ) -> list[Any]:
        """func(worker, index) in every worker: Ray 1.x has them in this order."""
        return self.foreach_worker_with_id(lambda index, worker: func(worker, index), local_worker)

    def foreach_policy(self, func: Callable[[Any, str], Any]) -> list[Any]:
        """func(policy, policy_id) of every policy in every worker."""
        return [
            item for part in self.foreach_worker(lambda w: w.foreach_policy(func)) for item in part
        ]

    def foreach_env(self, func: Callable[[Any], Any]) -> list[Any]:
        """func(env) of every environment: a list a worker."""
        return self.foreach_worker(lambda w: w.foreach_env(func))

    def foreach_env_with_context(self, func: Callable[[Any, Any], Any]) -> list[Any]:
        return self.foreach_worker(lambda w: w.foreach_env_with_context(func))

    def sync_weights(self, policies: Any = None, **_: Any) -> None:
        """Sends the local weights to the actors now; sampling does it by itself."""
        if self._remote:
            ref = ray.put(self._local.get_weights(policies))
            ray.get([worker.set_weights.remote(ref) for worker in self._remote.values()])

    def stop(self) -> None:
        """Closes the environments and ends the actors."""
        closing = [worker.stop.remote() for worker in self._remote.values()]
        try:
            if closing:
                ray.get(closing, timeout=5.0)
        except Exception as error:  # they end in any case
            logger.debug("a rollout worker did not close its environments: %s", error)
        for worker in self._remote.values():
            ray.kill(worker)
        self._remote = {}
        self._local.stop()


def _make_registered_known() -> None:
    """What was registered before init(), for the actors."""
    from eagleray.tune.registry import _global_registry

    if not ray.is_initialized():
        ray.init()
    _global_registry.flush()


def _got(calls: list[Any]) -> list[Any]:
    """The calls' values; without any, nothing is started to get them."""
    return list(ray.get(calls)) if calls else []


def _actor_class(base: type[RolloutWorker]) -> type[RolloutWorker]:
    """The worker of a process of its own: where() answers while another call runs."""

    class Actor(base):  # type: ignore[misc, valid-type]
        @ray.method(concurrency_group="watch")  # type: ignore[untyped-decorator]
        def where(self) -> dict[str, Any]:
            return super().where()

    Actor.__name__ = Actor.__qualname__ = base.__name__
    return Actor


def _can_be_native(config: Any) -> bool:
    """Whether native environments sample with a native policy, and nothing asks for Python's."""
    if config["env"] is None or not default_only(config):
        return False
    spec = env_spec(config)
    if (
        spec is None
        or config["observation_space"] is not None
        or config["action_space"] is not None
    ):
        return False
    if policy_specs(config["policies"])[DEFAULT_POLICY_ID] is not None:
        return False
    from .native_worker import plain_spaces

    if default_backend(config, *plain_spaces(spec)) != "native":
        return False
    return sampling_reason(config, make_callbacks(config["callbacks"])) is None


def _with_amount(request: Request, amount: int) -> Request:
    from dataclasses import replace

    return replace(request, amount=amount)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[-1]


EnvRunnerGroup = WorkerSet  # the name of Ray 2.x
