"""The table of docs/user/compatibility.md is what is installed, here and (EAGLERAY_TEST_PEER=ray) in Ray."""

import importlib
import importlib.util
from pathlib import Path

import pytest
from _support import PEER, ray

ROOT = Path(__file__).parents[1]
only_ours = pytest.mark.skipif(PEER, reason="looks at our package")


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


table = tool("compatibility")


def module_of(relative):
    return importlib.import_module(f"{ray.__name__}.{relative}".rstrip("."))


OWN = {"RayContext", "DeadlockError", "progress"}  # what Ray has not
# Modules that need a package, which an environment may not have.
NEEDS = {"util.dask": "dask", "util.joblib": "joblib"}


def needs(module):
    for package, needed in NEEDS.items():
        if f"{module}.".startswith(f"{package}."):
            pytest.importorskip(needed)


@pytest.mark.parametrize(
    ("module", "name"), [(m, n) for m, names in table.BUILT.items() for n in names.split()]
)
def test_what_works_beside_the_recorded_names_is_there(module, name):
    if PEER and name in table.OLDER.get(module, ()):
        pytest.skip("of older releases")
    assert type(getattr(module_of(module), name)).__name__ != "_PlannedType"


@only_ours
@pytest.mark.parametrize("module", sorted(table.recorded()))
def test_every_recorded_name_is_there_or_says_so(module):
    needs(module)
    found = module_of(module)
    planned = table.later(module)
    assert planned <= table.recorded()[module], "planned, but not a name of Ray's"
    for name in table.recorded()[module]:
        try:
            value = getattr(found, name)
        except NotImplementedError as error:  # of packages whose every name is one sentence
            assert name in str(error) and module.split(".")[0] in table._planned.WHOLE
            continue
        if name in planned:
            with pytest.raises(NotImplementedError, match=name):
                value()
        else:
            assert type(value).__name__ != "_PlannedType", name


@only_ours
def test_eagleray_check_knows_every_recorded_name():
    from eagleray import _check

    for module, listed in table.recorded().items():
        for name in listed:
            full = ".".join(filter(None, ["ray", module, name]))
            thing, state, message = _check.look_up(full)
            later = name in table.later(module) or message.endswith(" is not implemented yet")
            expected = {_check.LATER} if later else {_check.WORKS, _check.NEEDS}
            if module.split(".")[0] in table._planned.WHOLE or name in table._planned.WHOLE:
                expected = {_check.LATER, _check.WORKS}
            assert state in expected, (full, state, message)
            assert state != _check.LATER or message, full


@only_ours
def test_a_planned_class_can_be_a_base_and_says_so_when_it_is_used():
    trainer = module_of("rllib.agents.dqn").DQNTrainer
    with pytest.raises(NotImplementedError, match="DQNTrainer.*algorithms"):
        type("Mine", (trainer,), {})({})
    with pytest.raises(NotImplementedError, match="DQNTrainer"):
        trainer.with_updates()
    assert not hasattr(trainer, "_private")


@only_ours
@pytest.mark.parametrize("package", ["data", "serve", "workflow"])
def test_whole_packages_say_so(package):
    with pytest.raises(NotImplementedError, match=package):
        _ = module_of(package).anything
    with pytest.raises(NotImplementedError, match=package):
        importlib.import_module(f"eagleray.{package}.part")


@only_ours
@pytest.mark.parametrize("module", sorted({*table.BUILT, *table.recorded()} - {"cloudpickle"}))
def test_no_public_name_is_missing_from_the_table(module):
    if module.split(".")[0] in ("tune", "rllib"):
        pytest.skip("Tune and RLlib have names of their own")
    needs(module)
    public = set(getattr(module_of(module), "__all__", ()))
    listed = table.names(module) | table.later(module) | OWN | table.OLDER.get(module, set())
    assert public <= listed


@only_ours
def test_the_document_is_current():
    assert table.DOCUMENT.read_text() == table.document(), "run: python tools/compatibility.py"


@pytest.mark.skipif(not PEER, reason="needs Ray")
def test_all_of_ray_s_names_are_recorded():
    for module, public in tool("ray_names").listed(Path(ray.__file__).parent):
        assert public <= table.recorded()[module], module


METHODS = [
    line.partition(": ")[::2]
    for line in (ROOT / "tests" / "ray_methods.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
# Of these, what objects have from their constructor on, or by __getattr__ (the settings of a configuration).
ATTRIBUTES = {
    "AlgorithmConfig": "*",
    "RolloutWorker": "make_env",
    "EnvRunnerGroup": "num_healthy_remote_env_runners",
    # A subclass that has them is refused: nothing would call them.
    "RLlibCallback": "on_evaluate_offline_start on_evaluate_offline_end on_offline_eval_runners_recreated",
    "SampleBatch": "data",
}


@only_ours
@pytest.mark.parametrize(("owner", "listed"), METHODS)
def test_every_recorded_method_is_there_or_says_so(owner, listed):
    module, _, name = owner.partition(" ")
    found = getattr(module_of(module), name)
    missing = {method for method in listed.split() if not hasattr(found, method)}
    known = ATTRIBUTES.get(name, "")
    if known == "*":
        missing = {key for key in missing if key not in found()}
        known = "learner_class model_config rl_module_spec num_learner_workers "
        known += "num_cpus_per_learner_worker num_gpus_per_learner_worker "
        known += "validate_workers_after_construction"
    assert missing <= set(known.split())


@only_ours
def test_who_imports_an_unbuilt_package_only_if_it_is_there_goes_on():
    with pytest.raises(ImportError):
        importlib.import_module("eagleray.data.dataset")
    with pytest.raises(NotImplementedError, match="ray.data.range"):
        module_of("data").range(3)
    assert not isinstance(1, module_of("data").Dataset)
