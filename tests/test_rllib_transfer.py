"""How experience and weights travel between rollout workers and the algorithm: shared memory, counted."""

import pickle

import numpy as np
import pytest
from _support import PEER, ray

pytestmark = pytest.mark.skipif(PEER, reason="our library")
if not PEER:
    from eagleray.rllib.algorithms.ppo import PPO
    from eagleray.rllib.evaluation import worker_set
    from eagleray.rllib.evaluation.collected import Request

WORKERS, STEPS = 3, 500
CONFIG = {
    "env": "CartPole-v1",
    "num_workers": WORKERS,
    "num_envs_per_worker": 4,
    "rollout_fragment_length": STEPS,
    "train_batch_size": WORKERS * 4 * STEPS,
    "num_sgd_iter": 1,
    "model": {"fcnet_hiddens": [64, 64]},
}


@pytest.fixture(scope="module")
def algorithm():
    ray.init(num_cpus=6)
    made = PPO(config=CONFIG)
    yield made
    made.stop()
    ray.shutdown()


def test_a_worker_s_answer_is_read_where_it_lies(algorithm):
    weights = ray.put(algorithm.workers.local_worker().get_weights())
    call = algorithm.workers.remote_workers()[0].collect.remote(weights, Request("fragments", 1))
    answer = ray.get(call)
    arrays = list(answer.batch.values())
    assert sum(array.nbytes for array in arrays) > 4 * STEPS * 50
    # Views of shared memory, which nobody may write to: no array was copied on its way to here.
    assert not any(array.flags.owndata or array.flags.writeable for array in arrays)
    # Pickled are only names, types and what is told of episodes: less than 200 bytes each.
    buffers = []
    stream = pickle.dumps(answer, protocol=5, buffer_callback=buffers.append)
    assert sum(buffer.raw().nbytes for buffer in buffers) == sum(a.nbytes for a in arrays)
    assert len(stream) < 3000 + 200 * len(answer.episodes)


def test_weights_are_put_once_and_read_by_all(algorithm, monkeypatch):
    put, seen = ray.put, []

    def counted(value, *args, **kwargs):
        seen.append(value)
        return put(value, *args, **kwargs)

    monkeypatch.setattr(worker_set.ray, "put", counted)
    algorithm.train()
    assert len(seen) == 1
    reference = put(seen[0])

    def lies_in_shared_memory(worker, reference=reference):
        return all(not a.flags.owndata for a in ray.get(reference)["default_policy"].values())

    assert (
        algorithm.workers.foreach_worker(lies_in_shared_memory, local_worker=False)
        == [True] * WORKERS
    )


def test_joining_is_the_one_copy(algorithm):
    batch = algorithm.sample(CONFIG["train_batch_size"])
    assert batch.count == WORKERS * 4 * STEPS
    assert all(array.flags.owndata for array in batch.values())
    assert np.all(np.diff(batch["agent_index"]) >= 0)  # in the order of environments


def test_episodes_have_the_ids_of_their_rows(algorithm):
    worker = algorithm.workers.remote_workers()[1]
    answer = ray.get(worker.collect.remote(None, Request("fragments", 1)))
    rows = set(answer.batch["eps_id"].tolist())
    ids = [record.eps_id for record in answer.episodes]
    assert ids and set(ids) <= rows and len(set(ids)) == len(ids)
    assert {i >> 32 for i in ids} == {4, 5, 6, 7} == set(answer.batch["agent_index"].tolist())
