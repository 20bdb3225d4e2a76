"""The table of docs/user/compatibility.md is what is installed, here and (EAGLERAY_TEST_PEER=ray) in Ray."""

import importlib
import importlib.util
from pathlib import Path

import pytest
from _support import PEER, ray

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("compatibility", ROOT / "tools" / "compatibility.py")
table = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(table)
only_ours = pytest.mark.skipif(PEER, reason="looks at our package")


def module_of(relative):
    return importlib.import_module(f"{ray.__name__}.{relative}".rstrip("."))


BUILT = [
    (module, name)
    for module in table.BUILT
    if module not in table.recorded()
    for name in sorted(table.names(module))
]
PLANNED = [
    (module, name)
    for module, (_, classes, functions) in table.planned().items()
    if module not in table.recorded()
    for name in (classes + " " + functions).split()
]


# Modules that need a package, which Ray's environment here may not have.
NEEDS = {"util.dask": "dask", "util.joblib": "joblib"}


@pytest.mark.parametrize(("module", "name"), BUILT)
def test_what_works_is_there(module, name):
    if module in NEEDS:
        pytest.importorskip(NEEDS[module])
    if PEER and (module, name) == ("util", "collective"):
        pytest.skip("Ray has it when it was imported")
    if PEER and name in table.OLDER.get(module, ()):
        pytest.skip("of older releases")
    value = getattr(importlib.import_module(f"{ray.__name__}.{module}".rstrip(".")), name)
    assert type(value).__name__ != "_PlannedType"


@only_ours
@pytest.mark.parametrize(("module", "name"), PLANNED)
def test_what_is_planned_says_so(module, name):
    value = getattr(module_of(module), name)
    with pytest.raises(NotImplementedError, match=name):
        value()


@only_ours
@pytest.mark.parametrize("module", sorted(table.recorded()))
def test_every_recorded_name_of_tune_and_rllib_is_there_or_says_so(module):
    found = module_of(module)
    _, classes, functions = table.planned().get(module, ("", "", ""))
    planned = set((classes + " " + functions).split())
    assert planned <= table.recorded()[module], "planned, but not a name of Ray's"
    for name in table.recorded()[module]:
        value = getattr(found, name)
        if name in planned:
            with pytest.raises(NotImplementedError, match=name):
                value()
        else:
            assert type(value).__name__ != "_PlannedType", name


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
def test_no_public_name_is_missing_from_the_table():
    for module in table.BUILT:
        public = set(getattr(module_of(module), "__all__", ()))
        listed = table.names(module) | {"RayContext", "DeadlockError", "progress"}
        listed |= table.OLDER.get(module, set()) | table.RAISES.get(module, set())
        if module not in ("cloudpickle", "util.accelerators"):
            assert public <= listed, module


@only_ours
def test_the_document_is_current():
    assert table.DOCUMENT.read_text() == table.document(), "run: python tools/compatibility.py"


@pytest.mark.skipif(not PEER, reason="needs Ray")
@pytest.mark.parametrize("module", ["", "util", "exceptions"])
def test_all_of_ray_s_names_are_listed(module):
    theirs = module_of(module)
    public = set(getattr(theirs, "__all__", ())) or {
        name
        for name, value in vars(theirs).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    _, classes, functions = table.planned().get(module, ("", "", ""))
    listed = table.names(module) | set((classes + " " + functions).split())
    listed |= table.RAISES.get(module, set()) | table.LEFT_OUT.get(module, set())
    listed |= {name.split(".")[-1] for name in table.planned()}
    assert public <= listed


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
