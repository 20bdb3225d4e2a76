"""Native environments, nets, learner and rollouts as Python sees them. Internal; no stability promised.

A module of its own, so that `import eagleray` and workers that learn nothing do not load it. Arrays are C-contiguous numpy arrays,
float32 unless said otherwise; each call returns fresh ones. Work is done without the GIL; one object is for one thread at a
time. Bad input (an unknown id, a wrong shape or type, NaN, an action out of range) is a ValueError that says which.
docs/design/learner.md has the figures and the reasons.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]

def env_ids() -> list[str]: ...
def env_spec(id: str) -> dict[str, Any]:
    """What an environment's policy sees and does, as plain data:

    {"id", "max_episode_steps": int, "reward_threshold": float | None, "obs_dim": int, "observation": space, "action": space}, a space
    being {"type": "discrete", "n": int} or {"type": "box", "low": [float], "high": [float]} of one axis. A discrete observation
    arrives one-hot, obs_dim == n wide."""

class VectorEnv:
    """`num_envs` environments that are stepped together and reset themselves.

    The random numbers of environment i are a function of (seed, first_index + i, episode) only, so that its trajectory is the same in
    whatever vector it stands. Observations: [num_envs, obs_dim]. Actions: [num_envs] integers for a discrete space,
    [num_envs, action_dim] floats for a box (clipped as gymnasium's environment itself does)."""

    id: str
    num_envs: int
    seed: int
    first_index: int
    max_episode_steps: int
    obs_dim: int
    spec: dict[str, Any]  # env_spec(id)
    def __init__(
        self,
        id: str,
        num_envs: int,
        seed: int = 0,
        *,
        first_index: int = 0,
        max_episode_steps: int | None = None,
    ) -> None: ...
    def reset(self) -> Floats:
        """Begins the next episode of every environment (the first, if nothing was stepped yet) and returns its observations."""

    def step(
        self, actions: ArrayLike
    ) -> tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.bool_], Floats]:
        """(obs, rewards, terminated, truncated, final_obs). Where an episode has ended, obs is the first observation of the next and
        final_obs the last of the old; elsewhere the two are equal. Both flags are true where a terminal state is reached at the limit."""

    def observations(self) -> Floats: ...  # as the last reset() or step() returned them
    def state(self, index: int) -> NDArray[np.float64]: ...  # gymnasium's env.unwrapped.state
    def set_state(self, index: int, state: ArrayLike, elapsed: int = 0) -> None: ...
    def save(self) -> bytes: ...  # all of it, for load() on a vector made with the same arguments
    def load(self, saved: bytes) -> None: ...

def kernels() -> str: ...  # the instruction set in use: "avx512", "avx2" or "portable"

class Mlp:
    """Nets of a policy and of its value function: dense layers with one activation and a linear head; normc weights of `seed`.

    Exactly one of num_actions (categorical) and action_dim (diagonal Gaussian) is given. dist_inputs are num_actions logits, or
    action_dim means followed by as many log-stds; with free_log_std the latter are parameters. With vf_share_layers the value is
    one more output of the policy's last layer. Actions of a Gaussian are neither squashed nor clipped here."""

    obs_dim: int
    dist_inputs_dim: int
    def __init__(
        self,
        obs_dim: int,
        hiddens: Sequence[int],
        *,
        num_actions: int = 0,
        action_dim: int = 0,
        activation: str = "tanh",  # or "relu", "linear"
        vf_share_layers: bool = False,
        free_log_std: bool = False,
        seed: int = 0,
    ) -> None: ...
    def get_weights(self) -> dict[str, Floats]:
        """Copies: "policy.0.weight" [out, in] (torch's orientation), "policy.0.bias", ..., "policy.out.weight", "policy.out.bias",
        "value.0.weight", ..., "value.out.weight", "value.out.bias" ("value.out" alone with vf_share_layers), "log_std"."""

    def set_weights(self, weights: Mapping[str, ArrayLike]) -> None: ...
    def forward(
        self, obs: ArrayLike
    ) -> tuple[Floats, Floats]: ...  # dist_inputs [n, k], values [n]
    def act(
        self,
        obs: ArrayLike,
        *,
        explore: bool = True,
        seed: int = 0,
        first_index: int = 0,
        step: int = 0,
    ) -> tuple[NDArray[Any], Floats, Floats, Floats]:
        """(actions, action_logp, dist_inputs, values). Actions: int64 [n] or float32 [n, action_dim]. Row i draws the random numbers of
        (seed, first_index + i, step); without `explore` it takes the most likely action."""

class PpoLearner:
    """Learns `policy` in place: all epochs and minibatches of an update, with Adam, in one call.

    Losses: "ppo" as RLlib's; "a2c" (sums over the minibatch, as RLlib's A3C); "pg" (mean of -logp * advantage; no values learned).
    vf_clip_param None: values are not clipped; grad_clip None: gradients are not. Results are the same bits whatever `threads` is."""

    lr: float  # these four may be set between updates: schedules are the caller's
    entropy_coeff: float
    kl_coeff: (
        float  # PPO moves it after each update: x 1.5 above 2 kl_target, x 0.5 below half of it
    )
    clip_param: float
    def __init__(
        self,
        policy: Mlp,
        *,
        loss: str = "ppo",
        num_sgd_iter: int = 30,
        sgd_minibatch_size: int = 128,
        drop_last: bool = False,  # True: a last minibatch that is not full is left out
        standardize_advantages: bool = True,  # over the whole batch
        lr: float = 5e-5,
        clip_param: float = 0.3,
        vf_clip_param: float | None = 10.0,
        vf_loss_coeff: float = 1.0,
        entropy_coeff: float = 0.0,
        kl_coeff: float = 0.2,
        kl_target: float = 0.01,
        grad_clip: float | None = None,
        adam_beta1: float = 0.9,
        adam_beta2: float = 0.999,
        adam_epsilon: float = 1e-8,
        threads: int = 1,
        seed: int = 0,
    ) -> None: ...
    def update(self, batch: Mapping[str, Any]) -> dict[str, float]:
        """Learns from a batch with "obs", "actions", "advantages", "value_targets" (not pg), "action_logp" and "action_dist_inputs" (ppo);
        other keys are ignored. Returns RLlib's learner_stats: total_loss, policy_loss, vf_loss, vf_explained_var, kl, entropy,
        grad_gnorm (means over the minibatches of the last epoch), cur_kl_coeff, cur_lr, entropy_coeff (as they were), num_grad_updates.
        A gradient that is not finite is a ValueError; the minibatch that it came from has not been learned from."""

    def gradients(self, batch: Mapping[str, Any]) -> tuple[dict[str, Floats], dict[str, float]]:
        """The loss's gradient by each weight with the batch as one minibatch and advantages as given, and its stats. Changes nothing."""

    def apply_gradients(self, gradients: Mapping[str, ArrayLike]) -> float:
        """One step of Adam along what gradients() of the same net gave, perhaps in another process; clipped as grad_clip says. Its norm
        before that. ValueError: it is not finite; nothing has changed then."""

    def get_state(self) -> dict[str, Any]:
        """Weights, Adam's moments (dicts as get_weights()), counters, lr, coefficients: with the same arguments of __init__ all that
        a bit-exact continuation needs."""

    def set_state(self, state: dict[str, Any]) -> None: ...

class Rollout:
    """Steps `env` with `policy` in the loop. Environments are spread over `threads`; the result is the same bits for any number.

    actions: what happens to continuous ones on their way to the environment: "clip" to its bounds, "normalize" (from [-1, 1] to
    the bounds, then clipped), "raw". use_critic False: values count as 0, so advantages with lambda_ 1 are discounted returns.
    bootstrap_truncated False: an episode cut at the step limit counts as terminated, as in Ray 1.x."""

    explore: bool
    def __init__(
        self,
        env: VectorEnv,
        policy: Mlp,
        *,
        gamma: float = 0.99,
        lambda_: float = 1.0,
        seed: int = 0,
        threads: int = 1,
        explore: bool = True,
        actions: str = "clip",
        use_critic: bool = True,
        bootstrap_truncated: bool = True,
    ) -> None: ...
    def sample(self, num_steps: int) -> dict[str, NDArray[Any]]:
        """`num_steps` of every environment, going on where the last sample ended. Rows: env * num_steps + step. Keys: "obs", "actions"
        (as drawn), "rewards", "terminateds", "truncateds", "action_logp", "action_dist_inputs", "vf_preds", "advantages",
        "value_targets" (GAE; not standardised), "eps_id", "t" (step of its episode), "env_index"."""

    def episodes(self) -> dict[str, NDArray[Any]]:
        """Those that have ended since the last call, in order of their ends: "returns" (float64), "lengths", "eps_id", "env_index"."""

    def save(self) -> bytes: ...  # environments, their random numbers and the running episodes
    def load(self, saved: bytes) -> None: ...

def gae(
    rewards: ArrayLike,
    values: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    bootstrap_values: ArrayLike,
    gamma: float,
    lambda_: float,
) -> tuple[Floats, Floats]:
    """(advantages, value_targets) of arrays [environments, steps]. bootstrap_values: of what a step led to; read where truncated
    and at the last step, unless terminated."""
