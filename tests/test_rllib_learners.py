"""Several learners: they learn what one does, share recurrent batches, and are made anew when one dies."""

import os
import signal

import numpy as np
import pytest
from _support import PEER, ray

pytestmark = pytest.mark.skipif(PEER, reason="our library")
torch = pytest.importorskip("torch")
if not PEER:
    from eagleray.rllib.algorithms.es import ES
    from eagleray.rllib.algorithms.pg import PG
    from eagleray.rllib.algorithms.ppo import PPO
    from eagleray.rllib.learners import LearnerGroup
    from eagleray.rllib.policy.ppo_torch_policy import PPOTorchPolicy
    from eagleray.rllib.policy.sample_batch import SampleBatch

SMALL = {
    "env": "CartPole-v1",
    "num_workers": 0,
    "train_batch_size": 200,
    "rollout_fragment_length": 200,
    "lr": 0.01,
    "model": {"fcnet_hiddens": [16, 16]},
    "seed": 5,
}
PPO_SMALL = {**SMALL, "sgd_minibatch_size": 32, "num_sgd_iter": 3}


@pytest.fixture(scope="module", autouse=True)
def cluster():
    if PEER:
        yield
        return
    ray.init(num_cpus=6)
    yield
    ray.shutdown()


class Fails(PPOTorchPolicy if not PEER else object):
    """The loss of the second half of the batch cannot be computed."""

    def loss(self, model, dist_class, train_batch):
        if self.peers is not None and float(train_batch["t_index"][0]) > 0:
            raise ArithmeticError("no loss for these rows")
        return super().loss(model, dist_class, train_batch)


def test_two_learn_what_one_does():
    """On the whole batch in one step: the mean of the halves' gradients is that of the whole."""
    one, two = (PPO(config={**PPO_SMALL, "learner_backend": "torch"}) for _ in range(2))
    batch = one.sample(200)
    config = two.get_config().copy(copy_frozen=False)
    config["num_learners"] = 2
    group = LearnerGroup(config, {"default_policy": two.get_policy()})
    generator = np.random.default_rng(1)
    for _ in range(3):
        learned = one.get_policy().learn(batch, 2, None, generator)["learner_stats"]
        shared = group.learn("default_policy", two.get_policy(), batch, 2, None, generator)
        for name in ("total_loss", "kl", "entropy", "grad_gnorm", "cur_kl_coeff"):
            assert shared["learner_stats"][name] == pytest.approx(learned[name], rel=1e-4, abs=1e-6)
    group.stop()
    weights, other = (a.get_weights()["default_policy"] for a in (one, two))
    for name, value in weights.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-4, atol=1e-5)
    assert one.get_policy().kl_coeff == two.get_policy().kl_coeff


def test_an_algorithm_with_two_learners_loses_one_and_learns_the_same(tmp_path):
    weights = []
    for killed in (False, True):
        algorithm = PPO(config={**PPO_SMALL, "num_learners": 2})
        algorithm.train()
        if killed:
            workers = algorithm._learners._workers
            pid = ray.get(workers[1].__ray_call__.remote(lambda self: os.getpid()))
            os.kill(pid, signal.SIGKILL)
        result = algorithm.train()
        stats = result["info"]["learner"]["default_policy"]["learner_stats"]
        assert np.isfinite(stats["total_loss"])
        weights.append(algorithm.get_weights()["default_policy"])
        if killed:
            path = algorithm.save_to_path(tmp_path / "checkpoint")
            again = PPO(config={**PPO_SMALL, "num_learners": 2})
            again.restore(path)
            assert again.train()["training_iteration"] == 3
            again.stop()
        algorithm.stop()
    for name, value in weights[0].items():
        np.testing.assert_allclose(value, weights[1][name], rtol=1e-5, atol=1e-6)


def test_recurrent_batches_are_shared_although_their_sequences_are_not_equal():
    model = {"use_lstm": True, "lstm_cell_size": 8, "fcnet_hiddens": [8], "max_seq_len": 7}
    algorithm = PPO(config={**PPO_SMALL, "num_learners": 2, "model": model})
    stats = algorithm.train()["info"]["learner"]["default_policy"]["learner_stats"]
    assert np.isfinite(stats["total_loss"])
    algorithm.stop()


def test_an_error_in_one_learner_ends_the_update():
    class OwnPPO(PPO):
        @classmethod
        def get_default_policy_class(cls, config):
            return Fails

    algorithm = OwnPPO(config={**PPO_SMALL, "num_learners": 2})
    batch = algorithm.sample(200)
    batch["t_index"] = (np.arange(200) >= 100).astype(np.float32)
    with pytest.raises(Exception, match="no loss for these rows|closed|peer"):
        algorithm.learn(batch, 1, 50)
    algorithm.stop()


def test_settings():
    with pytest.raises(NotImplementedError, match="ES learns in one process"):
        ES(config={"env": "CartPole-v1", "num_learners": 2})
    with pytest.raises(ValueError, match="there are several learners"):
        PPO(config={**PPO_SMALL, "num_learners": 2, "learner_backend": "native"})
    config = PPO.get_default_config().learners(num_learners=2, num_gpus_per_learner=1)
    config = config.learners(num_cpus_per_learner=3)
    config = config.env_runners(num_env_runners=1)
    bundles = PPO.default_resource_request(config).bundles
    assert [b.get("GPU", 0) for b in bundles] == [0, 0, 1, 1]
    assert [b["CPU"] for b in bundles] == [1, 1, 3, 3]
    one = PG(config={**SMALL, "num_learners": 1})  # in the algorithm's process, as with none
    assert one.train()["info"]["learner"]["default_policy"]["learner_backend"] == "native"


def test_slices_of_a_batch_keep_the_states_of_its_steps():
    from eagleray.rllib.policy.sample_batch import SampleBatch

    batch = SampleBatch(obs=np.arange(6.0), state_in_0=np.arange(6.0), eps_id=np.repeat([1, 2], 3))
    assert batch.slice(2, 4)["state_in_0"].tolist() == [2.0, 3.0]
    assert [part["state_in_0"][0] for part in batch.split_by_episode()] == [0.0, 3.0]
    padded = SampleBatch(obs=np.arange(6.0), state_in_0=np.arange(2.0), seq_lens=np.array([3, 3]))
    assert set(padded.slice(0, 3)) == {"obs"}


def test_columns_of_the_store_are_taken_without_a_word(recwarn):
    algorithm = PPO({"env": "CartPole-v1", "num_workers": 0, "learner_backend": "torch"})
    column = np.zeros((4, 4), np.float32)
    column.setflags(write=False)
    assert algorithm.get_policy()._tensors(SampleBatch({"obs": column})).units == 4
    assert not [one for one in recwarn if "writable" in str(one.message)]
    algorithm.stop()
