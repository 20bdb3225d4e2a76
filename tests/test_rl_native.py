"""Native nets, rollouts and learner: against plain Python, against torch, and against themselves."""

import numpy as np
import pytest
from _support import PEER

pytestmark = pytest.mark.skipif(PEER, reason="our native learner")

SHAPES = [
    dict(num_actions=3),
    dict(num_actions=3, vf_share_layers=True),
    dict(num_actions=20, activation="relu"),
    dict(action_dim=2),
    dict(action_dim=2, free_log_std=True, vf_share_layers=True),
    dict(action_dim=3, free_log_std=True, activation="linear"),
]


def _policy(obs_dim=5, hiddens=(40, 24), seed=3, **shape):
    from eagleray._rl import Mlp

    policy = Mlp(obs_dim, list(hiddens), seed=seed, **shape)
    rng = np.random.default_rng(seed)  # heads that do not begin near zero
    weights = policy.get_weights()
    policy.set_weights(
        {k: w + 0.1 * rng.normal(size=w.shape).astype(np.float32) for k, w in weights.items()}
    )
    return policy


def _batch(policy, shape, rows=70, seed=0):
    """Random experience, whose old distribution is a little off the present one."""
    rng = np.random.default_rng(seed)
    obs = rng.normal(size=(rows, policy.obs_dim)).astype(np.float32)
    actions, _, inputs, values = policy.act(obs, seed=seed)
    old = inputs + 0.2 * rng.normal(size=inputs.shape).astype(np.float32)
    n = shape.get("num_actions")
    if n:
        logp = old - np.log(np.exp(old).sum(1, keepdims=True))
        logp = logp[np.arange(rows), actions]
    else:
        mean, log_std = np.split(old, 2, axis=1)
        z = (actions - mean) / np.exp(log_std)
        logp = (-0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi)).sum(1)
    return {
        "obs": obs,
        "actions": actions,
        "action_logp": logp.astype(np.float32),
        "action_dist_inputs": old,
        "advantages": rng.normal(size=rows).astype(np.float32),
        "value_targets": (values + 3 * rng.normal(size=rows)).astype(np.float32),
    }


def _torch_outputs(torch, weights, obs, shape):
    """The same nets in torch, from the same weights."""
    f = {"relu": torch.relu, "linear": lambda x: x}.get(shape.get("activation"), torch.tanh)

    def tower(name, x):
        i = 0
        while f"{name}.{i}.weight" in weights:
            x = f(x @ weights[f"{name}.{i}.weight"].T + weights[f"{name}.{i}.bias"])
            i += 1
        return x

    trunk = tower("policy", obs)
    inputs = trunk @ weights["policy.out.weight"].T + weights["policy.out.bias"]
    if shape.get("free_log_std"):
        inputs = torch.cat([inputs, weights["log_std"].expand_as(inputs)], dim=1)
    value = trunk if shape.get("vf_share_layers") else tower("value", obs)
    values = (value @ weights["value.out.weight"].T + weights["value.out.bias"])[:, 0]
    return inputs, values


def _torch_distribution(torch, inputs, shape):
    if shape.get("num_actions"):
        return torch.distributions.Categorical(logits=inputs)
    mean, log_std = inputs.chunk(2, dim=1)
    normal = torch.distributions.Normal(mean, log_std.exp())
    return torch.distributions.Independent(normal, 1)


def _torch_loss(torch, batch, weights, shape, settings):
    """RLlib's losses, written down once more."""
    inputs, values = _torch_outputs(torch, weights, batch["obs"], shape)
    now = _torch_distribution(torch, inputs, shape)
    logp, entropy = now.log_prob(batch["actions"]), now.entropy()
    advantages, error = batch["advantages"], values - batch["value_targets"]
    if settings["loss"] == "pg":
        return -(logp * advantages).mean() - settings["entropy_coeff"] * entropy.mean()
    if settings["loss"] == "a2c":
        loss = -(logp * advantages).sum() + settings["vf_loss_coeff"] * 0.5 * (error**2).sum()
        return loss - settings["entropy_coeff"] * entropy.sum()
    old = _torch_distribution(torch, batch["action_dist_inputs"], shape)
    ratio, c = torch.exp(logp - batch["action_logp"]), settings["clip_param"]
    surrogate = torch.min(advantages * ratio, advantages * ratio.clamp(1 - c, 1 + c))
    kl = torch.distributions.kl_divergence(old, now)
    vf = torch.clamp(error**2, 0, settings["vf_clip_param"])
    terms = -surrogate + settings["kl_coeff"] * kl + settings["vf_loss_coeff"] * vf
    return (terms - settings["entropy_coeff"] * entropy).mean()


TERMS = [
    dict(loss="ppo", kl_coeff=0.0, vf_loss_coeff=0.0, entropy_coeff=0.0),  # the surrogate alone
    dict(loss="ppo", kl_coeff=0.7, vf_loss_coeff=0.0, entropy_coeff=0.0),
    dict(loss="ppo", kl_coeff=0.0, vf_loss_coeff=0.5, entropy_coeff=0.0),
    dict(loss="ppo", kl_coeff=0.0, vf_loss_coeff=0.0, entropy_coeff=0.3),
    dict(loss="ppo", kl_coeff=0.2, vf_loss_coeff=1.0, entropy_coeff=0.01),
    dict(loss="a2c", vf_loss_coeff=0.5, entropy_coeff=0.01),
    dict(loss="pg", entropy_coeff=0.0),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("terms", TERMS, ids=str)
def test_gradients_are_torchs(terms, shape):
    torch = pytest.importorskip("torch")
    from eagleray._rl import PpoLearner

    settings = dict(clip_param=0.2, vf_clip_param=6.0, vf_loss_coeff=1.0, kl_coeff=0.0) | terms
    policy = _policy(**shape)
    batch = _batch(policy, shape)
    ours, stats = PpoLearner(policy, **settings).gradients(batch)

    as_torch = {
        k: torch.tensor(v, dtype=torch.int64 if v.dtype == np.int64 else torch.float64)
        for k, v in batch.items()
    }
    weights = {
        k: torch.tensor(v, dtype=torch.float64, requires_grad=True)
        for k, v in policy.get_weights().items()
    }
    loss = _torch_loss(torch, as_torch, weights, shape, settings)
    loss.backward()
    assert stats["total_loss"] == pytest.approx(loss.item(), rel=1e-5)
    squares = 0.0
    for name, w in weights.items():
        theirs = np.zeros(w.shape) if w.grad is None else w.grad.numpy()
        squares += (theirs**2).sum()
        np.testing.assert_allclose(ours[name], theirs, atol=1e-5 * max(np.abs(theirs).max(), 1e-9))
    assert stats["grad_gnorm"] == pytest.approx(np.sqrt(squares), rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_outputs_are_torchs(shape):
    torch = pytest.importorskip("torch")
    policy = _policy(**shape)
    obs = np.random.default_rng(1).normal(size=(300, 5)).astype(np.float32)
    inputs, values = policy.forward(obs)
    weights = {k: torch.tensor(v, dtype=torch.float64) for k, v in policy.get_weights().items()}
    expected = _torch_outputs(torch, weights, torch.tensor(obs, dtype=torch.float64), shape)
    np.testing.assert_allclose(inputs, expected[0].numpy(), atol=2e-6)
    np.testing.assert_allclose(values, expected[1].numpy(), atol=2e-6)
    actions, logp, again, _ = policy.act(obs, seed=4)
    assert np.array_equal(again, inputs)
    now = _torch_distribution(torch, torch.tensor(inputs, dtype=torch.float64), shape)
    np.testing.assert_allclose(logp, now.log_prob(torch.tensor(actions)).numpy(), atol=2e-5)


def test_updates_step_as_torchs_adam_with_clipping():
    torch = pytest.importorskip("torch")
    from eagleray._rl import PpoLearner

    shape = dict(num_actions=3)
    settings = dict(loss="ppo", clip_param=0.3, vf_clip_param=10.0, vf_loss_coeff=1.0, kl_coeff=0.2)
    policy = _policy(**shape)
    batch = _batch(policy, shape)
    weights = {
        k: torch.tensor(v, dtype=torch.float64, requires_grad=True)
        for k, v in policy.get_weights().items()
    }
    learner = PpoLearner(
        policy,
        num_sgd_iter=3,
        sgd_minibatch_size=1000,  # one minibatch: its order does not matter
        lr=0.01,
        grad_clip=0.5,
        **settings,
    )
    learner.update(batch)
    as_torch = {k: torch.tensor(v) for k, v in batch.items()}
    advantages = batch["advantages"].astype(np.float64)
    as_torch["advantages"] = torch.tensor((advantages - advantages.mean()) / advantages.std())
    as_torch["obs"] = as_torch["obs"].double()
    optimizer = torch.optim.Adam(weights.values(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        _torch_loss(torch, as_torch, weights, shape, settings | dict(entropy_coeff=0)).backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), 0.5)
        optimizer.step()
    for name, w in policy.get_weights().items():
        np.testing.assert_allclose(w, weights[name].detach().numpy(), atol=2e-5)


def _trained(threads, shape, updates=2, **settings):
    from eagleray._rl import PpoLearner

    policy = _policy(hiddens=(64, 48), **shape)
    learner = PpoLearner(policy, threads=threads, num_sgd_iter=3, lr=1e-3, seed=5, **settings)
    stats = [learner.update(_batch(policy, shape, rows=300, seed=i)) for i in range(updates)]
    return policy.get_weights(), stats


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_number_of_threads_changes_no_bit(shape):
    expected = _trained(1, shape, grad_clip=1.0)
    for threads in (2, 3, 5):
        weights, stats = _trained(threads, shape, grad_clip=1.0)
        assert stats == expected[1]
        for name, w in weights.items():
            assert np.array_equal(w, expected[0][name]), name


@pytest.mark.parametrize("shape", SHAPES[:1] + SHAPES[4:5], ids=str)
def test_a_learner_that_is_resumed_goes_on_bit_for_bit(shape):
    import pickle

    from eagleray._rl import PpoLearner

    settings = dict(num_sgd_iter=2, sgd_minibatch_size=32, lr=1e-3, seed=8)
    policy = _policy(**shape)
    learner = PpoLearner(policy, **settings)
    learner.update(_batch(policy, shape, seed=1))
    learner.lr = 5e-4
    saved = pickle.dumps(learner.get_state())
    fresh = _policy(seed=99, **shape)
    again = PpoLearner(fresh, **settings)
    again.set_state(pickle.loads(saved))
    for seed in (2, 3):
        batch = _batch(policy, shape, seed=seed)
        assert learner.update(batch) == again.update(batch)
    assert learner.kl_coeff == again.kl_coeff != 0.2
    for name, w in policy.get_weights().items():
        assert np.array_equal(w, fresh.get_weights()[name]), name


def test_the_kl_coefficient_is_moved_as_rllib_moves_it():
    from eagleray._rl import PpoLearner

    shape = dict(num_actions=3)
    for target, factor in ((1e-6, 1.5), (10.0, 0.5)):
        policy = _policy(**shape)
        learner = PpoLearner(policy, kl_target=target, num_sgd_iter=1)
        stats = learner.update(_batch(policy, shape))
        assert stats["cur_kl_coeff"] == pytest.approx(0.2)
        assert learner.kl_coeff == pytest.approx(0.2 * factor)


@pytest.mark.parametrize("drop_last, expected", [(False, 3 * 4), (True, 2 * 4)])
def test_minibatches(drop_last, expected):
    from eagleray._rl import PpoLearner

    policy = _policy(num_actions=3)
    learner = PpoLearner(policy, num_sgd_iter=4, sgd_minibatch_size=30, drop_last=drop_last)
    assert learner.update(_batch(policy, dict(num_actions=3)))["num_grad_updates"] == expected


def test_initial_weights_are_normc_and_a_function_of_the_seed():
    from eagleray._rl import Mlp

    weights = Mlp(4, [32, 32], num_actions=2, seed=1).get_weights()
    assert list(weights)[:2] == ["policy.0.weight", "policy.0.bias"]
    for name, w in weights.items():
        if name.endswith("bias"):
            assert not w.any()
        else:
            norms = np.linalg.norm(w, axis=1)
            np.testing.assert_allclose(norms, 0.01 if ".out." in name else 1.0, rtol=1e-5)
    same = Mlp(4, [32, 32], num_actions=2, seed=1).get_weights()
    other = Mlp(4, [32, 32], num_actions=2, seed=2).get_weights()
    assert all(np.array_equal(w, same[k]) for k, w in weights.items())
    assert not np.array_equal(weights["value.0.weight"], other["value.0.weight"])


def test_actions_follow_their_distribution_and_their_key():
    policy = _policy(num_actions=3)
    obs = np.tile(np.float32([[0.3, -1.0, 0.5, 0.0, 2.0]]), (20_000, 1))
    actions, logp, inputs, _ = policy.act(obs, seed=1, first_index=10)
    p = np.exp(inputs[0]) / np.exp(inputs[0]).sum()
    np.testing.assert_allclose(np.bincount(actions, minlength=3) / 20_000, p, atol=0.015)
    np.testing.assert_allclose(logp, np.log(p)[actions], atol=1e-5)
    assert np.array_equal(policy.act(obs[:5], seed=1, first_index=15)[0], actions[5:10])
    assert not np.array_equal(policy.act(obs, seed=1, first_index=10, step=1)[0], actions)
    assert (policy.act(obs, explore=False)[0] == p.argmax()).all()


def test_gaussian_actions_follow_their_distribution():
    policy = _policy(action_dim=2)
    obs = np.tile(np.float32([[0.3, -1.0, 0.5, 0.0, 2.0]]), (20_000, 1))
    actions, _, inputs, _ = policy.act(obs, seed=1)
    mean, log_std = np.split(inputs[0], 2)
    np.testing.assert_allclose(actions.mean(0), mean, atol=0.05)
    np.testing.assert_allclose(actions.std(0), np.exp(log_std), rtol=0.03)
    assert np.array_equal(policy.act(obs[:1], explore=False)[0][0], mean)


def _plain_gae(rewards, values, terminated, truncated, bootstrap, gamma, lambda_):
    advantages = np.zeros(len(rewards))
    for t in range(len(rewards)):
        discount = 1.0
        for k in range(t, len(rewards)):
            cut = truncated[k] or k + 1 == len(rewards)
            after = 0.0 if terminated[k] else bootstrap[k] if cut else values[k + 1]
            advantages[t] += discount * (rewards[k] + gamma * after - values[k])
            discount *= gamma * lambda_
            if terminated[k] or truncated[k]:
                break
    return advantages


def test_gae_is_the_sum_of_discounted_errors():
    from eagleray._rl import gae

    rng = np.random.default_rng(0)
    shape = (4, 60)
    rewards, values, bootstrap = rng.normal(size=(3, *shape)).astype(np.float32)
    terminated, truncated = rng.random((2, *shape)) < 0.08
    advantages, targets = gae(rewards, values, terminated, truncated, bootstrap, 0.97, 0.9)
    for i in range(4):
        args = rewards[i], values[i], terminated[i], truncated[i], bootstrap[i]
        np.testing.assert_allclose(advantages[i], _plain_gae(*args, 0.97, 0.9), atol=1e-5)
    np.testing.assert_allclose(targets, advantages + values, atol=1e-5)


@pytest.mark.parametrize(
    "id, shape",
    [
        ("CartPole-v1", dict(num_actions=2)),
        ("FrozenLake-v1", dict(num_actions=4, vf_share_layers=True)),
        ("MountainCarContinuous-v0", dict(action_dim=1)),
    ],
)
def test_a_rollout_is_what_stepping_by_hand_gives(id, shape):
    from eagleray._rl import Rollout, VectorEnv, gae

    envs, steps = 3, 120
    kinds = dict(first_index=5, max_episode_steps=25)
    env = VectorEnv(id, envs, seed=2, **kinds)
    policy = _policy(obs_dim=env.obs_dim, **shape)
    got = Rollout(env, policy, gamma=0.97, lambda_=0.9, seed=6).sample(steps)

    env = VectorEnv(id, envs, seed=2, **kinds)
    obs, rows = env.reset(), {k: [] for k in got}
    bootstrap = []
    for t in range(steps):
        actions, logp, inputs, values = policy.act(obs, seed=6, first_index=5, step=t)
        clipped = np.clip(actions, -1, 1) if "action_dim" in shape else actions
        following, rewards, terminated, truncated, final_obs = env.step(clipped)
        for name, value in (
            ("obs", obs),
            ("actions", actions),
            ("rewards", rewards),
            ("terminateds", terminated),
            ("truncateds", truncated),
            ("action_logp", logp),
            ("action_dist_inputs", inputs),
            ("vf_preds", values),
        ):
            rows[name].append(value)
        bootstrap.append(policy.forward(final_obs)[1])
        obs = following
    rows = {k: np.stack(v, axis=1) for k, v in rows.items() if v}  # [envs, steps, ...]
    args = [rows[k] for k in ("rewards", "vf_preds", "terminateds", "truncateds")]
    rows["advantages"], rows["value_targets"] = gae(*args, np.stack(bootstrap, 1), 0.97, 0.9)
    for name, value in rows.items():
        assert np.array_equal(got[name], value.reshape(envs * steps, *value.shape[2:])), name
    assert rows["truncateds"].any()


def test_a_rollouts_episodes_and_ids():
    from eagleray._rl import Rollout, VectorEnv

    env = VectorEnv("CartPole-v1", 4, seed=0, first_index=100)
    rollout = Rollout(env, _policy(obs_dim=4, num_actions=2))
    first, second = rollout.sample(30), rollout.sample(90)
    episodes = rollout.episodes()
    assert not len(rollout.episodes()["returns"])
    batch = {k: np.concatenate([first[k], second[k]]) for k in first}
    for i, id in enumerate(episodes["eps_id"]):
        mine = batch["eps_id"] == id
        assert episodes["lengths"][i] == episodes["returns"][i] == mine.sum()
        assert sorted(batch["t"][mine]) == list(range(mine.sum()))
        assert set(batch["env_index"][mine]) == {episodes["env_index"][i]} == {(id >> 32) - 100}
    assert len(episodes["eps_id"]) == batch["terminateds"].sum() > 8


@pytest.mark.parametrize("threads", [2, 3])
def test_a_rollouts_bits_do_not_depend_on_threads(threads):
    from eagleray._rl import Rollout, VectorEnv

    def sampled(n):
        env = VectorEnv("Acrobot-v1", 5, seed=1)
        rollout = Rollout(env, _policy(obs_dim=6, num_actions=3), seed=3, threads=n)
        return [rollout.sample(40), rollout.sample(500), rollout.episodes()]

    for ours, theirs in zip(sampled(1), sampled(threads), strict=True):
        for name, value in ours.items():
            assert np.array_equal(value, theirs[name]), name


def test_a_rollout_that_is_saved_goes_on_bit_for_bit():
    from eagleray._rl import Rollout, VectorEnv

    policy = _policy(obs_dim=3, action_dim=1)
    make = lambda: Rollout(VectorEnv("Pendulum-v1", 3, seed=4), policy, seed=2)  # noqa: E731
    rollout, again = make(), make()
    rollout.sample(70)
    again.load(rollout.save())
    ours, theirs = rollout.sample(150), again.sample(150)
    for name, value in ours.items():
        assert np.array_equal(value, theirs[name]), name
    assert np.array_equal(rollout.episodes()["returns"], again.episodes()["returns"])


def test_what_is_done_with_actions_and_cuts():
    from eagleray._rl import Rollout, VectorEnv

    policy = _policy(obs_dim=3, action_dim=1)

    def rewards(**settings):
        env = VectorEnv("Pendulum-v1", 2, seed=4, max_episode_steps=10)
        return Rollout(env, policy, seed=2, **settings).sample(20)

    clip, normalize = rewards(), rewards(actions="normalize")
    assert not np.array_equal(clip["rewards"], normalize["rewards"])
    assert np.array_equal(clip["rewards"], rewards(actions="raw")["rewards"])  # it clips itself
    plain = rewards(use_critic=False, bootstrap_truncated=False)
    assert not plain["vf_preds"].any()
    expected = sum(0.99**k * plain["rewards"][k] for k in range(10))
    assert plain["advantages"][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "id, iterations, reached, sampling, learning, net",
    [
        ("CartPole-v1", 30, 150, {}, {}, {}),
        ("Acrobot-v1", 40, -120, {}, {}, {}),
        (
            "Pendulum-v1",
            80,
            -400,  # at random -1200, perfect -150
            dict(gamma=0.9, actions="normalize"),
            dict(vf_clip_param=None, vf_loss_coeff=0.5, kl_coeff=0.0, grad_clip=0.5),
            dict(free_log_std=True),
        ),
    ],
    ids=["CartPole-v1", "Acrobot-v1", "Pendulum-v1"],
)
def test_it_learns(id, iterations, reached, sampling, learning, net):
    from eagleray._rl import Mlp, PpoLearner, Rollout, VectorEnv, env_spec

    spec = env_spec(id)
    action = spec["action"]
    size = dict(num_actions=action["n"]) if "n" in action else dict(action_dim=1)
    policy = Mlp(spec["obs_dim"], [64, 64], seed=0, **size, **net)
    rollout = Rollout(VectorEnv(id, 8, seed=0), policy, lambda_=0.95, seed=0, **sampling)
    learner = PpoLearner(policy, lr=1e-3, num_sgd_iter=10, **learning)
    returns = []
    for _ in range(iterations):
        learner.update(rollout.sample(256))
        returns += rollout.episodes()["returns"].tolist()
        if len(returns) > 20 and np.mean(returns[-20:]) >= reached:
            return
    raise AssertionError(f"the mean return is {np.mean(returns[-20:])}")


def test_a_gradient_that_is_not_finite_leaves_the_policy_as_it_was():
    from eagleray._rl import PpoLearner

    shape = dict(num_actions=3)
    policy = _policy(**shape)
    batch = _batch(policy, shape)
    batch["action_logp"] = np.full(70, -200, np.float32)  # ratios overflow
    batch["advantages"] = -np.abs(batch["advantages"])
    before = policy.get_weights()
    learner = PpoLearner(policy, standardize_advantages=False)
    with pytest.raises(ValueError, match="gradient is not finite"):
        learner.update(batch)
    for name, w in policy.get_weights().items():
        assert np.array_equal(w, before[name])


def _bad_batch(**changes):
    from eagleray._rl import PpoLearner

    shape = dict(num_actions=3)
    policy = _policy(**shape)
    batch = _batch(policy, shape) | changes
    return PpoLearner(policy).update({k: v for k, v in batch.items() if v is not None})


@pytest.mark.parametrize(
    "use, message",
    [
        (lambda rl: rl.Mlp(0, [4], num_actions=2), "obs_dim"),
        (lambda rl: rl.Mlp(4, [4]), "num_actions and action_dim"),
        (lambda rl: rl.Mlp(4, [4], num_actions=2, action_dim=1), "num_actions and action_dim"),
        (lambda rl: rl.Mlp(4, [0], num_actions=2), "hidden layer"),
        (lambda rl: rl.Mlp(4, [4], num_actions=2, activation="swish"), "tanh, relu or linear"),
        (lambda rl: rl.Mlp(4, [4], num_actions=2, free_log_std=True), "free_log_std"),
        (lambda rl: _policy(num_actions=2).forward(np.zeros((3, 4))), r"shape \(n, 5\)"),
        (lambda rl: _policy(num_actions=2).forward(np.full((3, 5), np.nan)), "obs holds NaN"),
        (lambda rl: _policy(num_actions=2).set_weights({}), "weights lack policy.0.weight"),
        (
            lambda rl: _policy(num_actions=2).set_weights(
                _policy(num_actions=2).get_weights() | {"x": [1.0]}
            ),
            "weights have x",
        ),
        (
            lambda rl: _policy(num_actions=2).set_weights(_policy(num_actions=3).get_weights()),
            r"policy.out.weight must have the shape \(2, 24\), not \(3, 24\)",
        ),
        (lambda rl: rl.PpoLearner(_policy(num_actions=2), num_sgd_iter=0), "num_sgd_iter"),
        (lambda rl: rl.PpoLearner(_policy(num_actions=2), lr=float("nan")), "lr must be finite"),
        (lambda rl: rl.PpoLearner(_policy(num_actions=2), loss="x"), "loss must be"),
        (lambda rl: rl.PpoLearner(_policy(num_actions=2), threads=0), "threads"),
        (lambda rl: rl.PpoLearner(_policy(num_actions=2), lr="x"), "lr cannot be 'x'"),
        (lambda rl: _bad_batch(actions=None), "lacks actions"),
        (lambda rl: _bad_batch(actions=np.full(70, 3)), "action 3 in row 0"),
        (lambda rl: _bad_batch(advantages=np.zeros(69)), r"advantages must have the shape \(70,\)"),
        (lambda rl: _bad_batch(value_targets=np.full(70, np.inf)), "value_targets holds"),
        (
            lambda rl: rl.Rollout(rl.VectorEnv("CartPole-v1", 1), _policy(num_actions=2)),
            "sees 5 numbers, CartPole-v1 has 4",
        ),
        (
            lambda rl: rl.Rollout(rl.VectorEnv("CartPole-v1", 1), _policy(4, num_actions=3)),
            "actions are not those of CartPole-v1",
        ),
        (
            lambda rl: rl.Rollout(
                rl.VectorEnv("CartPole-v1", 1), _policy(4, num_actions=2), gamma=1.5
            ),
            "gamma must be between",
        ),
        (
            lambda rl: rl.Rollout(rl.VectorEnv("CartPole-v1", 1), _policy(4, num_actions=2)).sample(
                0
            ),
            "num_steps",
        ),
    ],
)
def test_bad_input_is_a_value_error_that_says_what(use, message):
    from eagleray import _rl

    with pytest.raises(ValueError, match=message):
        use(_rl)


def test_an_unknown_setting_is_named():
    from eagleray._rl import PpoLearner

    with pytest.raises(TypeError, match="no setting 'learning_rate'"):
        PpoLearner(_policy(num_actions=2), learning_rate=1e-3)


def test_a_learner_keeps_its_policy_and_a_rollout_its_environments():
    from eagleray._rl import PpoLearner, Rollout, VectorEnv

    rollout = Rollout(VectorEnv("CartPole-v1", 2), _policy(4, num_actions=2))
    learner = PpoLearner(_policy(4, num_actions=2), num_sgd_iter=1)
    assert learner.update(rollout.sample(50))["num_grad_updates"] == 1


def test_the_runtime_does_not_load_it():
    import subprocess
    import sys

    code = "import eagleray, sys; assert 'eagleray._rl' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
