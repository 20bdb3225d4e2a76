"""Objects for `scheduling_strategy=`: what they refuse. Ray's contract, too: `./dev test --peer ray`."""

import importlib

import pytest
from _support import ray

strategies = importlib.import_module(f"{ray.__name__}.util.scheduling_strategies")
In, NotIn = strategies.In, strategies.NotIn
ByLabel = strategies.NodeLabelSchedulingStrategy


@pytest.mark.parametrize("operator", [In, NotIn])
@pytest.mark.parametrize("values", [(), (1,), ("a", None)])
def test_operators_want_strings(operator, values):
    with pytest.raises(ValueError, match=operator.__name__):
        operator(*values)


@pytest.mark.parametrize("conditions", [None, {}, {"zone": "a"}, {1: In("a")}, [1]], ids=repr)
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_conditions_on_labels_are_checked(conditions, kind):
    with pytest.raises(ValueError):
        ByLabel(conditions) if kind == "hard" else ByLabel(None, soft=conditions)


def test_one_of_hard_and_soft_is_enough():
    assert ByLabel({"zone": In("a")}).hard and not ByLabel({"zone": In("a")}).soft
    assert ByLabel(None, soft={"zone": strategies.Exists()}).soft
