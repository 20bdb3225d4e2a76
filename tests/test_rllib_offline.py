"""Recorded experience: readers and writers of one's own, and what another policy would have earned."""

import numpy as np
import pytest
from _support import PEER

if PEER:
    pytest.skip("our library", allow_module_level=True)
else:
    from eagleray.rllib.algorithms.bc import BC
    from eagleray.rllib.algorithms.marwil import MARWIL
    from eagleray.rllib.evaluation import SampleBatchBuilder
    from eagleray.rllib.offline import InputReader, JsonReader, JsonWriter, ShuffledInput
    from eagleray.rllib.offline.estimators import ImportanceSampling, WeightedImportanceSampling
    from eagleray.rllib.offline.estimators.estimator import estimator_settings
    from eagleray.rllib.policy.sample_batch import SampleBatch, concat_samples
    from gymnasium.spaces import Box, Dict, Discrete


class Fixed:
    """A policy that chooses 1 with probability 0.7."""

    action_space = Discrete(2)

    def compute_log_likelihoods(self, actions, obs):
        return np.log(np.where(np.asarray(actions) == 1, 0.7, 0.3))


def recorded():
    return SampleBatch(
        obs=np.zeros((5, 1), np.float32),
        actions=np.array([1, 0, 1, 1, 0]),
        rewards=np.array([1.0, 2.0, 0.0, -1.0, 3.0]),
        action_prob=np.array([0.5, 0.5, 0.6, 0.5, 0.4]),
        eps_id=np.array([0, 0, 1, 1, 1]),
        terminateds=np.array([0, 1, 0, 0, 1], bool),
    )


# What Ray 2.60 gives for the same policy and batch.
@pytest.mark.parametrize(
    ("kind", "epsilon", "by_episode", "target", "deviation"),
    [
        (ImportanceSampling, 0.0, True, 2.20937, 0.70263),
        (ImportanceSampling, 0.2, True, 2.31399, 0.62169),
        (ImportanceSampling, 0.0, False, 0.69, 1.26823),
        (WeightedImportanceSampling, 0.0, True, 1.77744, 0.53611),
        (WeightedImportanceSampling, 0.2, True, 1.89192, 0.57427),
        (WeightedImportanceSampling, 0.0, False, 0.6489, 1.19269),
    ],
)
def test_estimates_are_ray_s(kind, epsilon, by_episode, target, deviation):
    made = kind(Fixed(), gamma=0.9, epsilon_greedy=epsilon)
    found = made.estimate(recorded(), split_batch_by_episode=by_episode)
    assert found["v_target"] == pytest.approx(target, abs=1e-4)
    assert found["v_target_std"] == pytest.approx(deviation, abs=1e-4)
    assert found["v_behavior"] == pytest.approx(2.165 if by_episode else 1.0)
    assert found["v_delta"] == pytest.approx(found["v_target"] - found["v_behavior"])
    assert found["v_gain"] == pytest.approx(found["v_target"] / found["v_behavior"])


def test_estimates_need_probabilities():
    batch = recorded()
    del batch["action_prob"]
    with pytest.raises(ValueError, match="action_prob"):
        ImportanceSampling(Fixed()).estimate(batch)
    batch["action_logp"] = np.log([0.5, 0.5, 0.6, 0.5, 0.4])
    found = ImportanceSampling(Fixed(), gamma=0.9).estimate(batch)
    assert found["v_target"] == pytest.approx(2.20937, abs=1e-4)


def settings(path, **more):
    return {
        "env": None,
        "input": str(path),
        "observation_space": Box(-1.0, 1.0, (1,), np.float32),
        "action_space": Discrete(2),
        "train_batch_size": 5,
        "model": {"fcnet_hiddens": [4]},
        "seed": 1,
        **more,
    }


@pytest.fixture
def files(tmp_path):
    pytest.importorskip("torch")
    writer = JsonWriter(str(tmp_path))
    writer.write(recorded())
    writer.close()
    return tmp_path


def test_both_spellings_of_estimators(files):
    old = BC(settings(files, input_evaluation=["is", "wis"])).train()
    new = BC(
        settings(files, off_policy_estimation_methods={"is": {"type": ImportanceSampling}})
    ).train()
    assert set(old["off_policy_estimator"]) == {"is", "wis"}
    assert old["off_policy_estimator"]["is"] == pytest.approx(new["off_policy_estimator"]["is"])
    assert old["off_policy_estimator"]["wis"]["v_behavior"] == pytest.approx(2.46515)
    with pytest.raises(ValueError, match="unknown off-policy estimator 'iss'"):
        BC(settings(files, input_evaluation=["iss"]))


def walk(episodes, generator):
    """Two steps each; the second state says what the first action was. Reward: state + action. Behaviour: 0.5."""
    rows = []
    for number in range(episodes):
        first, second = generator.integers(0, 2, 2)
        states = np.eye(3, dtype=np.float32)
        rows.append((states[0], first, 0.0 + first, states[1 + first], False, number))
        rows.append((states[1 + first], second, first + 2.0 * second, states[0], True, number))
    obs, actions, rewards, following, ends, ids = map(np.array, zip(*rows, strict=True))
    return SampleBatch(
        obs=obs,
        actions=actions,
        rewards=rewards.astype(np.float32),
        new_obs=following,
        terminateds=ends,
        eps_id=ids,
        action_prob=np.full(len(ids), 0.5),
    )


@pytest.mark.parametrize("kind", ["dm", "dr"])
def test_a_fitted_model_estimates_what_the_policy_would_earn(kind):
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    policy = Fixed()  # 1 with probability 0.7
    policy.observation_space = Box(0.0, 1.0, (3,), np.float32)
    made, _ = estimator_settings({kind: {"type": kind}})[kind]
    config = {"n_iters": 800, "lr": 0.01, "min_loss_threshold": 1e-6}
    estimator = made(policy=policy, gamma=0.5, q_model_config=config)
    batch = walk(200, np.random.default_rng(1))
    assert estimator.train(batch)["loss"] > 0
    estimates = estimator.estimate(batch)
    # 0.7 of the first, then 0.5 * (0.7 + 2 * 0.7).
    assert estimates["v_target"] == pytest.approx(0.7 + 0.5 * 2.1, rel=0.02)
    discounted = batch["rewards"].reshape(-1, 2) @ np.array([1.0, 0.5])
    assert estimates["v_behavior"] == pytest.approx(discounted.mean())


def test_doubly_robust_corrects_a_model_that_knows_nothing():
    pytest.importorskip("torch")

    class Nothing:
        def __init__(self, policy, gamma):
            pass

        def train(self, batch):
            return [0.0]

        def estimate_q(self, batch):
            return np.zeros(batch.count)

        estimate_v = estimate_q

    made, _ = estimator_settings({"dr": {"type": "dr"}})["dr"]
    batch = recorded()
    robust = made(policy=Fixed(), gamma=0.9, q_model_config={"type": Nothing}).estimate(batch)
    sampled = ImportanceSampling(Fixed(), 0.9).estimate(batch)
    assert robust["v_target"] == pytest.approx(sampled["v_target"])


def test_a_model_needs_the_next_observations(files):
    pytest.importorskip("torch")
    algo = BC(settings(files, off_policy_estimation_methods={"dm": {"type": "DirectMethod"}}))
    with pytest.raises(ValueError, match="new_obs, which the experience has not"):
        algo.train()


def test_models_learn_with_the_algorithm(tmp_path):
    pytest.importorskip("torch")
    writer = JsonWriter(str(tmp_path))
    writer.write(walk(10, np.random.default_rng(1)))
    writer.close()
    space = Box(0.0, 1.0, (3,), np.float32)
    algo = BC(settings(tmp_path, observation_space=space, input_evaluation=["dm", "dr"]))
    estimates = algo.train()["off_policy_estimator"]
    assert set(estimates) == {"dm", "dr"}
    assert all(np.isfinite(each["v_target"]) for each in estimates.values())


def test_actions_are_normalised_unless_they_are(tmp_path):
    pytest.importorskip("torch")
    writer = JsonWriter(str(tmp_path))
    batch = recorded()
    batch["actions"] = np.full((5, 1), 3.0, np.float32)
    writer.write(batch)
    space = Box(-2.0, 4.0, (1,), np.float32)
    learned = []
    for normalised in (False, True):
        algo = BC(settings(tmp_path, action_space=space, actions_in_input_normalized=normalised))
        learned.append(algo._with_returns(algo._reader.next())[0]["actions"][0, 0])
    assert learned == pytest.approx([2 / 3, 3.0])


def test_recorded_integers_are_counted_from_the_lower_bound(tmp_path):
    pytest.importorskip("torch")
    writer = JsonWriter(str(tmp_path))
    batch = recorded()
    batch["actions"] = np.full((5, 1), 3)
    writer.write(batch)
    algo = BC(settings(tmp_path, action_space=Box(-2, 4, (1,), np.int64), input_evaluation=["is"]))
    read = algo._reader.next()
    for _ in range(2):  # what was read stays as it is
        assert algo._as_chosen(read)["actions"][0, 0] == 5
    assert algo.train()["off_policy_estimator"]["is"]["v_target"] > 0


def test_recorded_integers_in_parts_are_counted_from_the_lower_bound():
    pytest.importorskip("torch")
    from eagleray.rllib.policy.action_columns import ActionColumns
    from eagleray.rllib.policy.integer_boxes import as_choices

    columns = ActionColumns(as_choices(Dict(a=Box(-2, 4, (2,), np.int64), b=Discrete(3))))
    rows = np.array([[-2, 4, 1], [0, 0, 2]], np.float32)
    assert columns.chosen(rows).tolist() == [[0, 6, 1], [2, 2, 2]]


def test_the_environment_is_sampled_beside_files(tmp_path):
    pytest.importorskip("torch")
    writer = JsonWriter(str(tmp_path))
    batch = recorded()
    batch["obs"] = np.full((5, 3), 7.0, np.float32)
    batch["actions"] = np.full((5, 1), 2.0, np.float32)
    writer.write(batch)
    shares = {"sampler": 0.5, str(tmp_path): 0.5}
    spaces = {"observation_space": None, "action_space": None}
    mixed = settings("unused", input=shares, env="Pendulum-v1", rollout_fragment_length=5, **spaces)
    algo = MARWIL({**mixed, "train_batch_size": 100, "seed": 1})
    read = [algo._reader.next() for _ in range(40)]
    sampled = [each for each in read if getattr(each, "sampled", False)]
    files = [each for each in read if not getattr(each, "sampled", False)]
    assert len(sampled) > 10 and len(files) > 10
    assert all((each["obs"] == 7.0).all() for each in files)
    assert all((np.abs(each["obs"][:, :2]) <= 1).all() for each in sampled)
    # Of the files from [-2, 2]; what was sampled is as the policy has it.
    assert algo._with_returns(files[0])[0]["actions"][0, 0] == pytest.approx(1.0)
    kept = np.concatenate([part["actions"] for part in algo._with_returns(sampled[0])])
    assert kept == pytest.approx(sampled[0]["actions"])
    assert algo.train()["timesteps_total"] >= 100
    with pytest.raises(ValueError, match="needs an environment"):
        MARWIL(settings("unused", input=shares))


def test_a_buffer_shuffles():
    class Counting(InputReader):
        number = 0

        def next(self):
            self.number += 1
            return self.number

    assert [ShuffledInput(Counting()).next() for _ in range(2)] == [1, 1]
    shuffled = ShuffledInput(Counting(), 5, seed=1)
    seen = [shuffled.next() for _ in range(20)]
    assert seen != sorted(seen)
    assert len(set(seen)) == 20


def test_the_buffer_s_size_is_a_setting(files):
    algo = MARWIL(settings(files, shuffle_buffer_size=3))
    assert isinstance(algo._reader, ShuffledInput)
    assert algo._reader.n == 3
    algo.train()


def test_experience_of_one_s_own(tmp_path):
    builder, writer = SampleBatchBuilder(), JsonWriter(str(tmp_path))
    for episode in range(2):
        for t in range(3):
            builder.add_values(
                t=t, eps_id=episode, obs=[float(t)], actions=1, rewards=1.0, terminateds=t == 2
            )
        writer.write(builder.build_and_reset())
    writer.close()
    read = concat_samples(list(JsonReader(str(tmp_path))))
    assert read.count == 6
    assert builder.count == 0
    assert len(set(read["unroll_id"])) == 2


def test_an_input_of_one_s_own():
    pytest.importorskip("torch")

    class Mine(InputReader):
        def next(self):
            return recorded()

    algo = BC(settings("unused", input=lambda config: Mine()))
    assert algo.train()["timesteps_total"] == 5
