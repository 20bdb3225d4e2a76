"""Going on from a checkpoint with environments in Python, and weights that come from PyTorch."""

import threading

import numpy as np
import pytest
from _support import PEER, ray

pytestmark = pytest.mark.skipif(PEER, reason="our library")
gymnasium = pytest.importorskip("gymnasium")
from gymnasium.spaces import Box, Discrete  # noqa: E402

if not PEER:
    from eagleray.rllib.algorithms.callbacks import DefaultCallbacks
    from eagleray.rllib.algorithms.ppo import PPO
    from eagleray.rllib.evaluation import running


class Walk(gymnasium.Env):
    """A random walk; an episode has 30 steps, and its return depends on all of them."""

    observation_space, action_space = Box(-100.0, 100.0, (2,)), Discrete(3)

    def __init__(self, config=None):
        self.place = self.steps = 0

    def _seen(self):
        return np.array([self.place, self.steps / 30], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.steps = 0
        return self._seen(), {}

    def step(self, action):
        self.steps += 1
        self.place += int(action) - 1 + float(self.np_random.normal())
        return self._seen(), -abs(self.place), False, self.steps == 30, {}


class Locked(Walk):
    """Cannot be pickled."""

    def __init__(self, config=None):
        super().__init__(config)
        self.lock = threading.Lock()


class OwnState(Locked):
    """Cannot be pickled, and says itself what there is to keep."""

    def get_state(self):
        return self.place, self.steps, self.np_random.bit_generator.state

    def set_state(self, state):
        self.place, self.steps, random = state
        self.np_random.bit_generator.state = random


class Counts(DefaultCallbacks):
    def on_episode_start(self, *, episode, **kwargs):
        episode.user_data["steps"] = 0

    def on_episode_step(self, *, episode, **kwargs):
        episode.user_data["steps"] += 1

    def on_episode_end(self, *, episode, **kwargs):
        episode.custom_metrics["steps"] = episode.user_data["steps"]


SMALL = {
    "num_workers": 0,
    "num_envs_per_worker": 3,
    "train_batch_size": 300,
    "rollout_fragment_length": 50,  # episodes are cut by every fragment
    "sgd_minibatch_size": 100,
    "num_sgd_iter": 2,
    "model": {"fcnet_hiddens": [16, 16]},
    "seed": 3,
}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def gone_on(tmp_path, env, **settings):
    """Results and weights of the iteration after a checkpoint: of the run itself, and of one that was restored."""
    config = {**SMALL, "env": env, **settings}
    straight = PPO(config=config)
    for _ in range(2):
        straight.train()
    path = straight.save_to_path(tmp_path / "checkpoint")
    restored = PPO(config={**config, "seed": 99})
    restored.restore(path)
    made = []
    for algorithm in (straight, restored):
        result = algorithm.train()
        made.append((result, algorithm.get_weights()["default_policy"]))
        algorithm.stop()
    return made


@pytest.mark.parametrize("env", [Walk, OwnState] if not PEER else [])
@pytest.mark.parametrize("more", [{}, {"observation_filter": "MeanStdFilter"}])
def test_python_environments_go_on_where_they_were(tmp_path, env, more):
    (straight, weights), (restored, after) = gone_on(tmp_path, env, **more)
    assert same(weights, after)
    assert restored["hist_stats"] == straight["hist_stats"]
    assert restored["episode_len_mean"] == 30


def test_gymnasium_s_own_do_too_in_workers_and_with_call_backs(tmp_path):
    from eagleray.tune import register_env

    register_env("limited_cart_pole", lambda config: gymnasium.make("CartPole-v1"))
    ray.init(num_cpus=4)
    try:
        settings = {"num_workers": 2, "num_envs_per_worker": 2, "callbacks": Counts}
        (straight, weights), (restored, after) = gone_on(tmp_path, "limited_cart_pole", **settings)
    finally:
        ray.shutdown()
    assert same(weights, after) and restored["hist_stats"] == straight["hist_stats"]
    assert restored["custom_metrics"]["steps_mean"] == straight["custom_metrics"]["steps_mean"]


def test_those_that_cannot_be_kept_begin_anew(tmp_path):
    (_, _), (restored, _) = gone_on(tmp_path, Locked)
    assert restored["episode_len_mean"] == 30 and restored["timesteps_total"] == 900


def test_what_is_too_large_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "KEPT_BYTES_MAX", 100)
    algorithm = PPO(config={**SMALL, "env": Walk})
    algorithm.train()
    assert algorithm.workers.local_worker().get_state()["sampler"]["running"] is None


def test_a_state_that_cannot_be_read_is_no_reason_to_fail(caplog):
    algorithm = PPO(config={**SMALL, "env": Walk})
    algorithm.train()
    worker = algorithm.workers.local_worker()
    state = worker.get_state()
    state["sampler"]["running"] = b"nonsense"
    worker.set_state(state)
    assert "cannot be restored" in caplog.text
    assert algorithm.train()["episode_len_mean"] == 30


SHAPES = [{}, {"vf_share_layers": True}, {"free_log_std": True, "fcnet_activation": "relu"}]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_native_net_takes_the_weights_of_its_twins_in_torch(tmp_path, shape):
    torch = pytest.importorskip("torch")
    settings = {
        **SMALL,
        "env": "Pendulum-v1" if "free_log_std" in shape else "CartPole-v1",
        "model": {"fcnet_hiddens": [8, 8], **shape},
    }
    native = PPO(config={**settings, "learner_backend": "native"}).get_policy()
    twin = PPO(config={**settings, "learner_backend": "torch", "seed": 8}).get_policy()
    obs = np.random.default_rng(1).normal(size=(5, *native.observation_space.shape))
    obs = obs.astype(np.float32)

    def outputs(policy):
        columns = policy.compute_actions(obs, explore=False)[2]
        return np.column_stack([columns["action_dist_inputs"], columns["vf_preds"]])

    before = outputs(native)
    native.load_state_dict(twin.model.state_dict())
    np.testing.assert_allclose(outputs(native), outputs(twin), rtol=1e-4, atol=1e-5)
    assert not np.allclose(before, outputs(native))
    native.export_model(str(tmp_path))
    exported = torch.jit.load(str(tmp_path / "model.pt")).state_dict()
    other = PPO(config={**settings, "learner_backend": "native", "seed": 9}).get_policy()
    other.load_state_dict(exported)
    np.testing.assert_allclose(outputs(other), outputs(native), rtol=1e-6)
    with pytest.raises((KeyError, ValueError), match="nothing"):
        native.load_state_dict({**native.get_weights(), "nothing.weight": np.zeros(1)})


def test_a_torch_net_takes_a_state_dict():
    torch = pytest.importorskip("torch")
    settings = {**SMALL, "env": "CartPole-v1", "learner_backend": "torch"}
    policy = PPO(config=settings).get_policy()
    given = {name: torch.full_like(v, 0.25) for name, v in policy.model.state_dict().items()}
    policy.load_state_dict(given)
    assert all(np.all(value == 0.25) for value in policy.get_weights().values())
    with pytest.raises((KeyError, RuntimeError), match="Missing key"):
        policy.load_state_dict({})
