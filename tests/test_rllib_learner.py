"""The learner in PyTorch: steps made one by one and recorded ones, clipping, and what a checkpoint of it holds."""

import copy
import logging

import numpy as np
import pytest
from _support import PEER

pytestmark = pytest.mark.skipif(PEER, reason="our library")
torch = pytest.importorskip("torch")
if not PEER:
    from eagleray.rllib.algorithms.a2c import A2C
    from eagleray.rllib.algorithms.marwil import MARWIL
    from eagleray.rllib.algorithms.ppo import PPO
    from eagleray.rllib.evaluation.policies import _of_process
    from eagleray.rllib.models.torch.recurrent_net import RecurrentNetwork
    from eagleray.rllib.policy import torch_updates
    from eagleray.rllib.policy.actor_critic_torch_policies import MARWILTorchPolicy
    from eagleray.rllib.policy.ppo_torch_policy import PPOTorchPolicy, explained_variance
    from eagleray.rllib.policy.torch_policy import load_optimizer
    from eagleray.rllib.policy.torch_updates import (
        EagerUpdates,
        RecordedUpdates,
        counts_on_device,
    )

SMALL = {
    "env": "CartPole-v1",
    "num_workers": 0,
    "train_batch_size": 200,
    "rollout_fragment_length": 200,
    "lr": 0.01,
    "model": {"fcnet_hiddens": [16, 16]},
    "learner_backend": "torch",
    "seed": 5,
}


PPO_SMALL = {**SMALL, "sgd_minibatch_size": 32, "num_sgd_iter": 3}


class Repeats:
    """In the place of CUDA graphs: what is recorded is run again by Python."""

    def __init__(self, impossible=False):
        self.warmed = self.recorded = self.replayed = 0
        self.impossible = impossible

    def warm(self, step):
        self.warmed += 1
        step()

    def record(self, step):
        self.recorded += 1
        if self.impossible:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")

        def replay():
            self.replayed += 1
            step()

        return replay


def learned(algorithm_class, updates, rounds=3, **settings):
    """Weights and statistics after some rounds on the same batch; `updates` makes the policy's updates."""
    small = PPO_SMALL if issubclass(algorithm_class, PPO) else SMALL
    algorithm = algorithm_class(config={**small, **settings})
    policy, batch = algorithm.get_policy(), algorithm.sample(200)
    if updates is not None:
        policy._updates = updates(policy)
    generator, stats = np.random.default_rng(1), []
    for _ in range(rounds):
        stats.append(policy.learn(batch, 3, 32, generator)["learner_stats"])
    return policy.get_weights(), stats


def alike(one, other, at_most=1e-7):
    """at_most: of a difference of numbers around zero, which sums in another order are off by more."""
    for mine, theirs in zip(one[1], other[1], strict=True):
        assert list(mine) and mine == pytest.approx(theirs, rel=1e-5, abs=at_most)
    for name, value in one[0].items():
        np.testing.assert_allclose(value, other[0][name], rtol=1e-5, atol=at_most)


def test_recorded_steps_learn_what_single_ones_do():
    recorder = Repeats()
    recorded = learned(PPO, lambda policy: RecordedUpdates(policy, recorder))
    # 6 minibatches of 32 from 200 rows, 3 epochs, 3 rounds; one recording for all of them
    assert (recorder.warmed, recorder.recorded, recorder.replayed) == (3, 1, 3 * 18 - 3)
    alike(learned(PPO, None), recorded)


@pytest.mark.parametrize("clip", [{"grad_clip": 0.01}, {"grad_clip": 0.01, "grad_clip_by": "norm"}])
def test_recorded_steps_clip_and_anneal(clip):
    settings = {**clip, "entropy_coeff": 0.01, "lr_schedule": [[0, 0.01], [1000, 0.001]]}
    recorder = Repeats()
    recorded = learned(PPO, lambda policy: RecordedUpdates(policy, recorder), **settings)
    alike(learned(PPO, None, **settings), recorded)


def with_a_loss_of_its_own():
    class Own(PPOTorchPolicy):
        def loss(self, model, dist_class, train_batch):
            return super().loss(model, dist_class, train_batch) * 2.0

    class OwnPPO(PPO):
        @classmethod
        def get_default_policy_class(cls, config):
            return Own

    return OwnPPO


def test_a_step_of_the_user_s_own_is_recorded_for_each_batch():
    recorder = Repeats()
    learned(with_a_loss_of_its_own(), lambda policy: RecordedUpdates(policy, recorder))
    assert (recorder.warmed, recorder.recorded) == (3, 3)


def test_what_cannot_be_recorded_is_learned_step_by_step(caplog):
    recorder = Repeats(impossible=True)
    with caplog.at_level(logging.WARNING, "eagleray.rllib"):
        found = learned(PPO, lambda policy: RecordedUpdates(policy, recorder))
    assert (recorder.warmed, recorder.recorded) == (3 * 18, 1)  # one stream for all steps
    assert caplog.messages == [
        "the CUDA learner goes on without a captured graph: operation not permitted when stream is capturing"
    ]
    alike(learned(PPO, None), found)


def test_a_recording_ends_when_its_shapes_or_state_do():
    recorder = Repeats()
    algorithm = PPO(config=PPO_SMALL)
    policy, batch = algorithm.get_policy(), algorithm.sample(200)
    policy._updates = RecordedUpdates(policy, recorder)
    generator = np.random.default_rng(1)
    for minibatch in (32, 32, 50):
        policy.learn(batch, 3, minibatch, generator)
    assert (recorder.warmed, recorder.recorded) == (3, 2)
    short = batch.slice(0, 100)
    policy.learn(short, 3, 50, generator)
    assert recorder.recorded == 2  # fewer rows fit in what is there
    policy.set_state(policy.get_state())
    policy.learn(batch, 3, 50, generator)
    assert (recorder.warmed, recorder.recorded) == (6, 3)


def test_the_loss_of_a2c_is_recorded_too():
    recorder = Repeats()
    recorded = learned(A2C, lambda policy: RecordedUpdates(policy, recorder))
    assert recorder.recorded == 1
    alike(learned(A2C, None), recorded)


def test_the_running_norm_of_marwil_is_recorded_too():
    algorithm = A2C(config=SMALL)
    batch, space = algorithm.sample(200), algorithm.get_policy().observation_space
    made = []
    for kind in (EagerUpdates, lambda policy: RecordedUpdates(policy, Repeats())):
        config = MARWIL.get_default_config().debugging(seed=1).training(beta=1.0)
        policy = MARWILTorchPolicy(space, algorithm.get_policy().action_space, config)
        policy._updates = kind(policy)
        stats = policy.learn(batch, 2, 32, np.random.default_rng(1))["learner_stats"]
        assert policy.get_state()["squared_norm"] == policy.squared_norm != 100.0
        made.append((policy.get_weights(), [stats]))
    alike(*made)


MEMORY = {"use_lstm": True, "lstm_cell_size": 8, "fcnet_hiddens": [8], "max_seq_len": 7}
ATTENTION = {"use_attention": True, "attention_dim": 8, "fcnet_hiddens": [8], "max_seq_len": 7}
ATTENTION = {**ATTENTION, "attention_memory_inference": 4, "attention_use_n_prev_actions": 1}


def of_episodes(batch, *lengths):
    """The first rows of a batch as episodes of these lengths."""
    part = batch.slice(0, sum(lengths))
    part["eps_id"] = np.repeat(np.arange(len(lengths)), lengths)
    del part["unroll_id"]
    return part


def learned_sequences(algorithm_class, updates, model, minibatch, batches):
    """Weights and statistics after updates with these batches, each the lengths of its episodes."""
    small = PPO_SMALL if issubclass(algorithm_class, PPO) else SMALL
    steady = {"eps": 1e-4}  # Adam makes whole steps of gradients that are nothing but rounding
    algorithm = algorithm_class(config={**small, "optimizer": steady, "model": model})
    policy, batch = algorithm.get_policy(), algorithm.sample(200)
    if updates is not None:
        policy._updates = updates(policy)
    generator, stats = np.random.default_rng(1), []
    for lengths in batches:
        part = of_episodes(batch, *lengths)
        stats.append(policy.learn(part, 3, minibatch, generator)["learner_stats"])
    return policy.get_weights(), stats


@pytest.mark.parametrize("model", [MEMORY, ATTENTION])
def test_sequences_are_recorded_once_for_batches_of_any_lengths(model):
    """Minibatches of 28 rows: 4 sequences of 7; of 6, which are 4 too; and of 5, which are 5 and are recorded anew, once."""
    batches = [[20] * 8, [14, 3] * 6, [6, 2] * 8, [5, 4] * 11, [20] * 8, [5, 4] * 11]
    recorder = Repeats()
    recorded = learned_sequences(
        PPO, lambda policy: RecordedUpdates(policy, recorder), model, 28, batches
    )
    assert (recorder.warmed, recorder.recorded) == (3, 2)
    alike(learned_sequences(PPO, None, model, 28, batches), recorded, 1e-5)


@pytest.mark.parametrize("algorithm_class", [A2C, PPO] if not PEER else [])
def test_a_whole_batch_of_sequences_is_filled_with_ones_that_do_not_count(algorithm_class):
    """One step an epoch for all sequences, however many there are."""
    batches = [[14] * 8, [14] * 9, [14] * 7, [13] * 8, [14] * 6, [14] * 9]
    recorder = Repeats()
    recorded = learned_sequences(
        algorithm_class, lambda policy: RecordedUpdates(policy, recorder), MEMORY, None, batches
    )
    assert (recorder.warmed, recorder.recorded) == (3, 1)
    alike(learned_sequences(algorithm_class, None, MEMORY, None, batches), recorded, 1e-5)


def test_a_recording_for_sequences_is_not_many_times_what_they_are():
    """Minibatches of one sequence of 7, then of 3 sequences of 2: 21 rows would be most of them zeros."""
    batches = [[20] * 8, [2] * 40]
    shapes, recorder = [], Repeats()

    def updates(policy):
        step = policy.step
        policy.step = lambda columns: (shapes.append(len(columns["obs"])), step(columns))
        return RecordedUpdates(policy, recorder)

    recorded = learned_sequences(PPO, updates, MEMORY, 7, batches)
    assert set(shapes) == {7, 6} and recorder.recorded == 2
    alike(learned_sequences(PPO, None, MEMORY, 7, batches), recorded, 1e-5)


def test_the_explained_variance_is_that_of_rows_that_are_no_padding():
    targets, errors = torch.randn(6), torch.randn(6)
    mask = torch.tensor([True, True, False, True, True, False])
    expected = 1.0 - errors[mask].var() / targets[mask].var()
    assert explained_variance(targets, errors, mask) == pytest.approx(max(float(expected), -1.0))


class Gated(torch.nn.Module):
    """A loop of Python over the steps of a sequence."""

    def __init__(self, sizes):
        super().__init__()
        self.cell = torch.nn.GRUCell(*sizes)

    def forward(self, inputs, state):
        outputs = []
        for step in inputs.unbind(1):
            state = self.cell(step, state)
            outputs.append(state)
        return torch.stack(outputs, 1), state


def test_a_memory_of_the_user_s_own_is_recorded_for_each_batch():
    class Own(RecurrentNetwork, torch.nn.Module):
        def __init__(self, *args):
            torch.nn.Module.__init__(self)
            RecurrentNetwork.__init__(self, *args)
            self.memory = Gated((4, 8))
            self.head, self.value = torch.nn.Linear(8, 2), torch.nn.Linear(8, 1)

        def get_initial_state(self):
            return [torch.zeros(8)]

        def forward_rnn(self, inputs, state, seq_lens):
            assert seq_lens.min() > 0  # no sequence that a net of somebody else's may not know
            self.features, last = self.memory(inputs, state[0])
            return self.head(self.features), [last]

        def value_function(self):
            return self.value(self.features).reshape(-1)

    model = {"custom_model": Own, "max_seq_len": 7}
    batches = [[20] * 8, [14, 3] * 6, [6, 2] * 8]
    recorder = Repeats()
    recorded = learned_sequences(
        PPO, lambda policy: RecordedUpdates(policy, recorder), model, 28, batches
    )
    assert (recorder.warmed, recorder.recorded) == (3, 3)
    alike(learned_sequences(PPO, None, model, 28, batches), recorded, 1e-5)


def test_what_serves_one_batch_only_is_not_recorded_for_a_few_steps():
    recorder = Repeats()
    algorithm = with_a_loss_of_its_own()(config=PPO_SMALL)
    policy, batch = algorithm.get_policy(), algorithm.sample(200)
    policy._updates = RecordedUpdates(policy, recorder)
    for epochs in (3, 3, 4):
        policy.learn(batch, epochs, None, np.random.default_rng(1))
    assert (recorder.warmed, recorder.recorded, recorder.replayed) == (6, 1, 4)


def test_recording_looks_into_no_distribution():
    """What they are given is looked at in the steps before, for looking waits for the device."""
    seen = []

    class Looks(Repeats):
        def record(self, step):
            seen.append(torch.distributions.Bernoulli(logits=torch.zeros(1))._validate_args)
            return super().record(step)

    learned(PPO, lambda policy: RecordedUpdates(policy, Looks()))
    assert seen == [False]
    assert torch.distributions.Bernoulli(logits=torch.zeros(1))._validate_args


def test_optimisers_count_their_steps_on_the_device_or_are_not_recorded():
    """A recorded step that counts in Python would count once for all."""
    parameters, optim = [torch.zeros(1)], torch.optim
    for made in (optim.Adam, optim.AdamW, optim.RMSprop):
        optimizer = made(parameters)
        assert not optimizer.param_groups[0]["capturable"]
        assert counts_on_device(optimizer) and optimizer.param_groups[0]["capturable"]

    class Own(optim.SGD):
        pass

    assert counts_on_device(optim.SGD(parameters))
    assert not counts_on_device(optim.Adagrad(parameters)) and not counts_on_device(Own(parameters))


def test_large_columns_are_gathered_by_minibatch(monkeypatch):
    expected = learned(PPO, None)
    monkeypatch.setattr(torch_updates, "SHUFFLED_BYTES_MAX", 0)
    alike(expected, learned(PPO, None))


@pytest.mark.parametrize("limit", [None, 0.05])
def test_gradients_are_clipped_as_pytorch_does(limit):
    policy = PPO(config={**PPO_SMALL, "grad_clip": limit}).get_policy()
    for at, parameter in enumerate(policy._parameters()):
        parameter.grad = torch.full_like(parameter, 0.1 * (at + 1))
    expected = copy.deepcopy([p.grad for p in policy._parameters()])
    copies = [torch.nn.Parameter(torch.zeros_like(g)) for g in expected]
    for parameter, gradient in zip(copies, expected, strict=True):
        parameter.grad = gradient
    norm = torch.nn.utils.clip_grad_norm_(copies, float("inf") if limit is None else limit)
    torch.testing.assert_close(policy._clip(), norm)
    for ours, theirs in zip(policy._parameters(), copies, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_an_optimiser_s_state_of_another_kind_is_taken_over():
    """As a checkpoint of an earlier version, or of a learner on CUDA, has it: other ways, the rate a tensor."""
    policy = PPO(config=PPO_SMALL).get_policy()
    plain = torch.optim.Adam(policy._parameters(), lr=torch.tensor(0.5), capturable=False)
    for parameter in policy._parameters():
        parameter.grad = torch.ones_like(parameter)
    plain.step()
    saved = plain.state_dict()
    saved["param_groups"][0]["capturable"] = True
    load_optimizer(policy.optimizer, saved)
    group = policy.optimizer.param_groups[0]
    assert group["lr"] == 0.5 and not group["capturable"] and group["fused"]
    policy.optimizer.step()
    assert float(policy.optimizer.state[policy._parameters()[0]]["step"]) == 2.0


def test_a_learner_without_its_gpu_says_so_and_workers_need_none():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(RuntimeError, match="num_gpus=1, but PyTorch finds no CUDA device"):
        PPO(config={**PPO_SMALL, "num_gpus": 1})
    config = PPO.get_default_config().resources(num_gpus=1)
    assert _of_process(config, 0)["num_gpus"] == 1
    assert _of_process(config, 2)["num_gpus"] == 0
