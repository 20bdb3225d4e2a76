"""Helpers of rllib.utils. The numbers are those that Ray 2.60 gives for the same calls."""

import subprocess
import sys

import numpy as np
import pytest
from _support import PEER
from gymnasium import spaces

if PEER:
    pytest.skip("our package", allow_module_level=True)
else:
    from eagleray.rllib.evaluation.postprocessing import adjust_nstep, compute_advantages
    from eagleray.rllib.models.preprocessors import get_preprocessor
    from eagleray.rllib.models.repeated_values import RepeatedValues
    from eagleray.rllib.policy.sample_batch import SampleBatch
    from eagleray.rllib.utils import add_mixins, check, force_list, force_tuple
    from eagleray.rllib.utils import numpy as rl_numpy
    from eagleray.rllib.utils.compression import is_compressed, pack, unpack
    from eagleray.rllib.utils.debug import summarize, update_global_seed_if_necessary
    from eagleray.rllib.utils.deprecation import Deprecated, deprecation_warning
    from eagleray.rllib.utils.error import NotSerializable
    from eagleray.rllib.utils.from_config import from_config
    from eagleray.rllib.utils.metrics.window_stat import WindowStat
    from eagleray.rllib.utils.schedules import (
        ConstantSchedule,
        ExponentialSchedule,
        LinearSchedule,
        PiecewiseSchedule,
        PolynomialSchedule,
        Schedule,
        Scheduler,
    )
    from eagleray.rllib.utils.serialization import (
        check_if_args_kwargs_serializable,
        space_from_dict,
        space_to_dict,
    )
    from eagleray.rllib.utils.sgd import minibatches
    from eagleray.rllib.utils.spaces import space_utils
    from eagleray.rllib.utils.spaces.flexdict import FlexDict
    from eagleray.rllib.utils.spaces.repeated import Repeated
    from eagleray.rllib.utils.spaces.simplex import Simplex
    from eagleray.rllib.utils.threading import with_lock

NESTED = spaces.Dict(
    {
        "x": spaces.Box(-2.0, 4.0, (2,)),
        "y": spaces.Tuple([spaces.Discrete(3), spaces.Box(0.0, 1.0, (1,))]),
    }
)


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (LinearSchedule(schedule_timesteps=100, final_p=0.1), [1.0, 0.955, 0.55, 0.1, 0.1]),
        (PolynomialSchedule(100, 0.1), [1.0, 0.91225, 0.325, 0.1, 0.1]),
        (ExponentialSchedule(schedule_timesteps=100), [1.0, 0.89125, 0.31623, 0.1, 0.03162]),
        (
            PiecewiseSchedule([(0, 1.0), (10, 0.5), (100, 0.1)], outside_value=0.05),
            [1.0, 0.75, 0.32222, 0.05, 0.05],
        ),
        (ConstantSchedule(0.3), [0.3] * 5),
    ],
)
def test_schedules(schedule, values):
    assert [schedule(t) for t in (0, 5, 50, 100, 150)] == pytest.approx(values, abs=1e-5)
    assert isinstance(schedule, Schedule)


def test_schedules_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="rise"):
        PiecewiseSchedule([(0, 1.0), (0, 2.0)])
    with pytest.raises(ValueError, match="positive"):
        LinearSchedule(schedule_timesteps=0, final_p=0.1)
    with pytest.raises(NotImplementedError, match="_value"):
        Schedule().value(1)
    with pytest.raises(ValueError, match="lr must have"):
        Scheduler.validate(fixed_value_or_schedule=[[5, 1.0], [9, 0.1]], setting_name="lr")
    scheduler = Scheduler([[0, 1.0], [100, 0.0]])
    assert (scheduler.get_current_value(), scheduler.update(25)) == (1.0, 0.75)


def test_functions_of_nets_in_numpy():
    x = np.array([[0.5, -1.0], [2.0, 0.0]])
    weights = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    check(rl_numpy.fc(x, weights, np.ones(3)), x @ weights + 1)
    check(rl_numpy.fc(x, weights.T, framework="torch"), x @ weights)
    check(rl_numpy.relu(x, 0.1), [[0.5, -0.1], [2.0, 0.0]])
    check(rl_numpy.huber_loss(x), [[0.125, 0.5], [1.5, 0.0]])
    check(rl_numpy.l2_loss(x), 2.625)
    check(rl_numpy.softmax(np.array([[1.0, 2.0]])), [[0.26894, 0.73106]])
    check(rl_numpy.sigmoid(x, derivative=True), [[0.25, -2.0], [-2.0, 0.0]])
    check(rl_numpy.one_hot(np.array([0, 2])), [[1, 0, 0], [0, 0, 1]])
    check(rl_numpy.one_hot_multidiscrete(np.array([[0, 2]]), [2, 3]), [[1, 0, 0, 0, 1]])
    with pytest.raises(ValueError, match="0 to 1"):
        rl_numpy.one_hot(np.array([2]), 2)
    with pytest.raises(AssertionError):
        check(x, x + 0.1)
    check(x, x + 0.1, false=True)


def test_an_lstm_in_numpy_is_pytorch_s():
    torch = pytest.importorskip("torch")
    net = torch.nn.LSTM(3, 4, batch_first=True)
    x = torch.randn(2, 5, 3)
    expected, (h, c) = net(x)
    order = [0, 2, 1, 3]  # torch has input, forget, new, output

    def turned(weight):
        return np.concatenate([np.split(weight, 4)[i] for i in order]).T

    state = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    weights = np.concatenate([turned(state["weight_ih_l0"]), turned(state["weight_hh_l0"])])
    biases = state["bias_ih_l0"] + state["bias_hh_l0"]
    biases = np.concatenate([np.split(biases, 4)[i] for i in order])
    out, (c2, h2) = rl_numpy.lstm(x.numpy(), weights, biases, forget_bias=0.0)
    check(out, expected, decimals=5)
    check([c2, h2], [c[0], h[0]], decimals=5)


def test_aligned_memory_and_immutable_actions():
    array = rl_numpy.aligned_array(10, np.float64)
    assert array.ctypes.data % 64 == 0
    assert len(array) == 10
    joined = rl_numpy.concat_aligned([np.ones((2, 3), np.float32), np.zeros((1, 3), np.float32)])
    assert joined.ctypes.data % 64 == 0
    check(joined, [[1, 1, 1], [1, 1, 1], [0, 0, 0]])
    frozen = rl_numpy.make_action_immutable({"a": np.ones(2)})
    with pytest.raises(ValueError, match="read-only"):
        frozen["a"][0] = 3
    with pytest.raises(TypeError):
        frozen["b"] = 1


def test_actions_of_nested_spaces():
    action = {"x": np.array([0.5, -3], np.float32), "y": (1, np.array([2.0], np.float32))}
    structure = space_utils.get_base_struct_from_space(NESTED)
    for space in (NESTED, structure):
        unsquashed = space_utils.unsquash_action(action, space)
        check([unsquashed["x"], unsquashed["y"][1]], [[2.5, -2.0], [1.0]])
        clipped = space_utils.clip_action(action, space)
        check([clipped["x"], clipped["y"][1]], [[0.5, -2.0], [1.0]])
        back = space_utils.normalize_action(unsquashed, space)
        check([back["x"], back["y"][1]], [[0.5, -1.0], [1.0]])


def test_batches_of_nested_values():
    values = [NESTED.sample() for _ in range(3)]
    batch = space_utils.batch(values)
    assert batch["x"].shape == (3, 2)
    again = space_utils.unbatch(batch)
    check(again[1]["x"], values[1]["x"])
    check(again[2]["y"][1], values[2]["y"][1])
    joined = space_utils.batch([batch, batch], individual_items_already_have_batch_dim=True)
    assert joined["y"][0].shape == (6,)
    dummy = space_utils.get_dummy_batch_for_space(NESTED, 4, fill_value=1.0, time_size=2)
    assert dummy["x"].shape == (4, 2, 2)
    one = space_utils.get_dummy_batch_for_space(NESTED, 0, fill_value="random")
    assert NESTED["x"].contains(one["x"])
    check(space_utils.flatten_to_single_ndarray({"b": np.arange(2), "a": np.ones(1)}), [1, 0, 1])
    assert space_utils.is_composite_space(NESTED)
    assert not space_utils.is_composite_space(spaces.Discrete(2))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1.0, 2.0, (2, 3)),
        spaces.Discrete(4, start=2),
        spaces.MultiBinary(3),
        spaces.MultiDiscrete([2, 3]),
        spaces.Text(5),
        NESTED,
        Simplex((3,)),
        Repeated(spaces.Discrete(2), 4),
    ],
    ids=lambda space: type(space).__name__,
)
def test_spaces_are_written_and_read(space):
    again = space_from_dict(space_to_dict(space))
    assert type(again) is type(space)
    space.seed(1)
    assert again.contains(space.sample())


def test_spaces_of_one_s_own():
    simplex = Simplex((2, 3))
    simplex.seed(0)
    assert simplex.contains(simplex.sample())
    assert not simplex.contains(np.ones((2, 3)))
    repeated = Repeated(spaces.Box(-1.0, 1.0, (2,)), 3)
    assert repeated.contains([np.zeros(2, np.float32)])
    assert not repeated.contains([np.zeros(2, np.float32)] * 4)
    space = FlexDict()
    space["a"] = spaces.Discrete(3)
    assert space.contains({"a": 2})


@pytest.mark.parametrize(
    ("space", "value", "flat"),
    [
        (spaces.Discrete(3), 1, [0, 1, 0]),
        (spaces.MultiDiscrete([2, 3]), np.array([1, 2]), [0, 1, 0, 0, 1]),
        (spaces.MultiBinary(3), np.array([0, 1, 1], np.int8), [0, 1, 1]),
        (
            spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (2,))]),
            (1, np.array([0.5, 0.2], np.float32)),
            [0, 1, 0.5, 0.2],
        ),
        (
            spaces.Dict({"b": spaces.Discrete(2), "a": spaces.Box(-1, 1, (1,))}),
            {"b": 1, "a": np.array([0.5], np.float32)},
            [0.5, 0, 1],
        ),
        (
            Repeated(spaces.Box(-1, 1, (2,)), 3),
            [np.array([0.5, 0.2], np.float32)],
            [1, 0.5, 0.2, 0, 0, 0, 0],
        ),
    ],
)
def test_preprocessors(space, value, flat):
    made = get_preprocessor(space)(space, {})
    check(made.transform(value), flat)
    assert made.observation_space.shape == (len(flat),)
    out = np.zeros(len(flat) + 2)
    made.write(value, out, 1)
    check(out, [0, *flat, 0])


def test_preprocessors_of_atari_s_memory_and_pictures():
    memory = spaces.Box(0, 255, (128,), np.uint8)
    made = get_preprocessor(memory)(memory, {})
    check(made.transform(np.arange(128, dtype=np.uint8))[[0, 64]], [-1.0, -0.5])
    pictures = spaces.Box(0, 255, (210, 160, 3), np.uint8)
    options = {"dim": 42, "grayscale": True, "zero_mean": False}
    made = get_preprocessor(pictures)(pictures, options)
    assert made.shape == (42, 42, 1)
    check(made.transform(np.full((210, 160, 3), 255, np.uint8)), np.ones((42, 42, 1)))


def test_models_see_repeated_values():
    torch = pytest.importorskip("torch")
    from eagleray.rllib.models.preprocessors import unflatten

    space = Repeated(spaces.Box(-1, 1, (2,)), 3)
    flat = torch.tensor([[1, 0.5, 0.2, 0, 0, 0, 0], [2, 1.0, 2, 3, 4, 0, 0]])
    values = unflatten(space, flat)
    assert isinstance(values, RepeatedValues)
    assert values.values.shape == (2, 3, 2)
    check(values.unbatch_all()[1][1], [3, 4])
    check(values.unbatch_repeat_dim()[0], [[0.5, 0.2], [1, 2]])


def test_steps_that_reach_further():
    batch = SampleBatch(
        {
            "new_obs": np.arange(1.0, 6),
            "rewards": np.arange(1.0, 6),
            "terminateds": np.array([0, 0, 0, 0, 1], bool),
        }
    )
    adjust_nstep(3, 0.9, batch)
    check(batch["rewards"], [5.23, 7.94, 10.65, 8.5, 5.0])
    check(batch["new_obs"], [3, 4, 5, 5, 5])
    assert batch["terminateds"].tolist() == [False, False, True, True, True]


def test_advantages_are_ray_s():
    batch = SampleBatch(
        {"rewards": np.arange(1.0, 6), "vf_preds": np.linspace(0, 1, 5, dtype=np.float32)}
    )
    compute_advantages(batch, 0.3, 0.9, 0.8)
    check(batch["advantages"], [7.15141, 8.23113, 8.37657, 7.2244, 4.27])


def test_packing():
    data = {"a": np.arange(1000)}
    text = pack(data)
    assert is_compressed(text)
    assert len(text) < 8000
    check(unpack(text)["a"], data["a"])


def test_lists_mixins_and_configurations():
    assert force_list(3) == [3]
    assert force_tuple([1, 2]) == (1, 2)
    assert force_list(None) == []

    class Base:
        pass

    class Extra:
        value = 7

    mixed = add_mixins(Base, [Extra])
    assert mixed.value == 7
    assert issubclass(mixed, Base)
    made = from_config(Schedule, {"type": "LinearSchedule", "schedule_timesteps": 10}, final_p=0.5)
    assert made(10) == 0.5
    assert from_config(Schedule, made) is made
    with pytest.raises(ValueError, match="NoSuch"):
        from_config(Schedule, {"type": "NoSuch"})


def test_deprecation(caplog):
    @Deprecated(new="better")
    def old():
        return 3

    assert old() == 3
    assert "better" in caplog.text
    with pytest.raises(ValueError, match="gone"):
        deprecation_warning("gone", error=True)


def test_what_cannot_be_pickled_is_named():
    with pytest.raises(NotSerializable, match="handle"):
        check_if_args_kwargs_serializable([1], {"handle": sys.stdout})


def test_a_lock_around_methods():
    class Counter:
        def __init__(self):
            import threading

            self._lock = threading.Lock()

        @with_lock
        def locked(self):
            return self._lock.locked()

    assert Counter().locked()


def test_summaries_and_windows():
    text = summarize({"obs": np.zeros((2, 3)), "infos": [{"a": 1}] * 4})
    assert "array((2, 3), dtype=float64, min=0, max=0, mean=0)" in text
    assert "list of 4" in text
    window = WindowStat("w", 3)
    for value in (1.0, 2.0, 3.0, 4.0):
        window.push(value)
    stats = window.stats()
    assert stats["w_count"] == 4
    assert stats["w_mean"] == 3.0
    assert stats["w_quantiles"][2] == 3.0


def test_minibatches_have_each_row_once():
    parts = list(minibatches(SampleBatch({"obs": np.arange(10)}), 4))
    assert sorted(np.concatenate([part["obs"] for part in parts]).tolist()) == list(range(10))


def test_one_seed_for_everything():
    drawn = []
    for _ in range(2):
        update_global_seed_if_necessary(seed=5)
        drawn.append(np.random.rand())
    assert drawn[0] == drawn[1]


def test_helpers_of_torch():
    torch = pytest.importorskip("torch")
    from eagleray.rllib.utils import torch_utils

    x = torch.tensor([1.0, -3.0])
    check(torch_utils.symlog(x), [0.69315, -1.38629])
    check(torch_utils.inverse_symlog(torch_utils.symlog(x)), x)
    check(torch_utils.two_hot(torch.tensor([0.5]), 3, -1, 1), [[0.0, 0.5, 0.5]])
    check(torch_utils.global_norm([x, x]), 20**0.5)
    check(torch_utils.reduce_mean_ignore_inf(torch.tensor([1.0, 2.0, -float("inf")])), 1.5)
    gradients = {"a": torch.tensor([3.0, 4.0]), "b": None}
    check(torch_utils.clip_gradients(gradients, grad_clip=1.0, grad_clip_by="global_norm"), 5.0)
    check(gradients["a"], [0.6, 0.8])
    main, target = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    before = target.weight.detach().clone()
    torch_utils.update_target_network(main, target, 0.25)
    check(target.weight, 0.25 * main.weight.detach() + 0.75 * before)
    assert torch_utils.convert_to_torch_tensor({"a": np.ones(2)})["a"].dtype == torch.float32


def test_importing_the_helpers_loads_no_torch():
    code = "import sys, eagleray.rllib.utils.numpy, eagleray.rllib.utils.schedules, eagleray.rllib.utils.test_utils; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
