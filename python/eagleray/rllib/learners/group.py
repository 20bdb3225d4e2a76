"""LearnerGroup: num_learners actors, each with the policies and a share of the batch, that average their gradients in every step.

Owned by an Algorithm, whose own policies stay the masters: a learner gets their state with each update and gives the new one
back, so that one that dies is replaced and the update made again, with the same result.
"""

from __future__ import annotations

import logging
from typing import Any

import eagleray as ray
from eagleray.exceptions import RayActorError, RayError

__all__ = ["LearnerGroup"]

logger = logging.getLogger("eagleray.rllib")

# A learner that waits so long for another one gives up.
PATIENCE_S = 600.0


class LearnerGroup:
    """policies: the algorithm's, by id. config["num_learners"] >= 2; its actors start with the first update."""

    def __init__(self, config: Any, policies: dict[str, Any]) -> None:
        self._config = config
        self._specs = {
            name: (type(policy), policy.observation_space, policy.action_space, policy.config)
            for name, policy in policies.items()
        }
        self._workers: list[Any] = []

    def learn(
        self, name: str, policy: Any, batch: Any, epochs: int, minibatch: int | None, generator: Any
    ) -> dict[str, Any]:
        """As TorchPolicy.learn(); minibatch: of each learner. Rows that cannot be shared equally are left out."""
        size = int(self._config["num_learners"])
        if batch.count < size:
            raise ValueError(f"a batch of {batch.count} rows is too small for {size} learners")
        task = (name, epochs, minibatch, int(generator.integers(1 << 31)))
        state, data = ray.put(policy.get_state()), ray.put(policy.prepare(batch))
        info, learned = self._asked(task, state, data)
        policy.set_state(learned)
        return dict(info)

    def _asked(self, task: Any, state: Any, data: Any) -> Any:
        for again in (True, False):
            self._start()
            try:
                return ray.get([w.learn.remote(task, state, data) for w in self._workers])[0]
            except RayError as error:
                died = isinstance(error, RayActorError) or self._any_dead()
                self.stop()
                if not (died and again and self._config["restart_failed_env_runners"]):
                    raise
                logger.warning(
                    "a learner has died; all are made anew, and the update again: %s", error
                )
        raise AssertionError("the second time either returns or raises")

    def _any_dead(self) -> bool:
        for worker in self._workers:
            try:
                ray.get(worker.ping.remote(), timeout=PATIENCE_S)
            except RayActorError:
                return True
        return False

    def _start(self) -> None:
        if self._workers:
            return
        config = self._config
        options = {
            "num_cpus": config.cpus_of_learner,
            "num_gpus": config["num_gpus_per_learner"],
        }
        actor = ray.remote(_Learner).options(**options)
        count = int(config["num_learners"])
        self._workers = [actor.remote(self._specs, rank, count) for rank in range(count)]
        address = ray.get(self._workers[0].address.remote())
        ray.get([worker.join.remote(address) for worker in self._workers])

    def stop(self) -> None:
        """Ends the actors."""
        for worker in self._workers:
            ray.kill(worker)
        self._workers = []


class _Learner:
    """An actor: policies like those of the algorithm, with the CPUs and GPUs of a learner."""

    def __init__(self, specs: dict[str, Any], rank: int, count: int) -> None:
        self._rank, self._count = rank, count
        self._policies = {
            name: made(observation_space, action_space, _of_learner(config))
            for name, (made, observation_space, action_space, config) in specs.items()
        }
        self._store: Any = None
        self._peers: Any = None

    def ping(self) -> int:
        return self._rank

    def address(self) -> tuple[str, int]:
        """Where the others find this one, the first."""
        from torch.distributed import TCPStore

        host = ray.util.get_node_ip_address()
        self._store = TCPStore(host, 0, self._count, True, wait_for_workers=False)
        return host, self._store.port

    def join(self, address: tuple[str, int]) -> None:
        from torch.distributed import TCPStore

        from .peers import Peers

        store = self._store or TCPStore(*address, self._count, False)
        device = next(iter(self._policies.values())).device
        self._peers = Peers(store, self._rank, self._count, device, PATIENCE_S)
        for policy in self._policies.values():
            policy.peers = self._peers

    def learn(self, task: Any, state: Any, batch: Any) -> Any:
        """(what the update tells, the new state), the latter from the first learner only."""
        import numpy as np

        name, epochs, minibatch, seed = task
        policy = self._policies[name]
        rows = batch.count // self._count
        try:
            policy.set_state(state)
            share = batch.slice(self._rank * rows, (self._rank + 1) * rows)
            generator = np.random.default_rng([seed, self._rank])
            info = policy.learn_prepared(share, epochs, minibatch, generator)
        except BaseException:
            self._peers.leave()  # or the others would wait for this one
            raise
        return info, policy.get_state() if self._rank == 0 else None


def _of_learner(config: Any) -> Any:
    made = config.copy(copy_frozen=False)
    made["num_gpus"] = config["num_gpus_per_learner"]
    made["num_cpus_for_main_process"] = config.cpus_of_learner
    return made
