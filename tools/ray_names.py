"""Prints the public names of an installed Ray, a line a module, as tests/ray_names.txt has them.

    .venv-ray/bin/python tools/ray_names.py [--methods] [DIRECTORY OF RAY]

With --methods: the public methods of CLASSES, as tests/ray_methods.txt has them.

It reads the source: names in `__all__`, and classes and functions marked PublicAPI, DeveloperAPI or OldAPIStack; of
a module of the core that has neither, its own classes and functions without an underscore. So it finds them also
where an import would need TensorFlow. Tests, examples and benchmarks are left out.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

LIBRARIES = ("tune", "rllib")
# Of the core: whole packages, single modules, and packages of which only the top is listed.
PACKAGES = (
    "util",
    "runtime_env",
    "job_submission",
    "dag",
    "experimental",
    "widgets",
    "air",
    "autoscaler",
    "cloudpickle",
)
MODULES = """__init__ actor remote_function exceptions cross_language cluster_utils client_builder job_config
runtime_context types internal/__init__ data/__init__ serve/__init__ train/__init__ workflow/__init__""".split()
MARKS = {"PublicAPI", "DeveloperAPI", "OldAPIStack"}
DEFINITIONS = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
INSIDE = ("autoscaler",)  # what is not marked there is not for programs
LEFT_OUT = {
    "tests",
    "examples",
    "tuned_examples",
    "benchmarks",
    "test_utils",
    "conftest",
    "example_job",
}


# Classes that programs subclass, or whose objects they hold.
CLASSES = """rllib/algorithms/algorithm.Algorithm rllib/algorithms/algorithm_config.AlgorithmConfig
rllib/callbacks/callbacks.RLlibCallback rllib/core/rl_module/rl_module.RLModule
rllib/core/rl_module/rl_module.RLModuleSpec rllib/env/env_runner_group.EnvRunnerGroup rllib/env/external_env.ExternalEnv
rllib/env/multi_agent_env.MultiAgentEnv rllib/env/vector_env.VectorEnv rllib/evaluation/rollout_worker.RolloutWorker
rllib/models/catalog.ModelCatalog rllib/models/modelv2.ModelV2 rllib/models/torch/torch_modelv2.TorchModelV2
rllib/policy/policy.Policy rllib/policy/sample_batch.MultiAgentBatch rllib/policy/sample_batch.SampleBatch
rllib/utils/metrics/metrics_logger.MetricsLogger rllib/agents/trainer.Trainer rllib/evaluation/worker_set.WorkerSet
rllib/evaluation/episode.MultiAgentEpisode tune/callback.Callback tune/stopper/stopper.Stopper
tune/schedulers/trial_scheduler.TrialScheduler tune/tuner.Tuner""".split()


def methods(path: Path, owner: str) -> list[str]:
    """The public methods of a class, without those that only raise because they are deprecated."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef) and node.name == owner:
            for part in node.body:
                if isinstance(part, ast.FunctionDef) and not part.name.startswith("_"):
                    marks = [ast.unparse(mark) for mark in part.decorator_list]
                    if not any("Deprecated" in mark and "error=True" in mark for mark in marks):
                        found.add(part.name)
    return sorted(found)


def names(path: Path) -> set[str]:
    """The public names of one file, by its `__all__` and its marks."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, DEFINITIONS):
            marks = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
            if any(isinstance(mark, ast.Name) and mark.id in MARKS for mark in marks):
                found.add(node.name)
    for node in ast.walk(tree):  # also where it grows under a condition
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            target, value = node.func.value, ast.Tuple(node.args)
        if isinstance(target, ast.Name) and target.id == "__all__" and value is not None:
            words = (v.value for v in ast.walk(value) if isinstance(v, ast.Constant))
            found |= {word for word in words if isinstance(word, str)}
    return {name for name in found if not name.startswith("_")}


def own(path: Path) -> set[str]:
    """The classes and functions of a file whose names have no underscore."""
    body = ast.parse(path.read_text()).body
    return {n.name for n in body if isinstance(n, DEFINITIONS) and not n.name.startswith("_")}


def listed(root: Path) -> list[tuple[str, set[str]]]:
    """Modules and their public names."""
    core = [root / f"{module}.py" for module in MODULES]
    core += [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    libraries = [path for package in LIBRARIES for path in sorted((root / package).rglob("*.py"))]
    found = []
    for path in core + libraries:
        parts = path.relative_to(root).with_suffix("").parts
        if LEFT_OUT & set(parts) or any(p.startswith("_") and p != "__init__" for p in parts):
            continue
        public = names(path)
        if not public and parts[0] not in (*LIBRARIES, *INSIDE):
            public = own(path)
        if public:
            found.append((".".join(part for part in parts if part != "__init__"), public))
    return sorted(found, key=lambda row: row[0])


def main() -> int:
    given = [argument for argument in sys.argv[1:] if argument != "--methods"]
    spec = None if given else importlib.util.find_spec("ray")
    root = Path(given[0]) if given else Path(str(spec.origin)).parent  # type: ignore[union-attr]
    if "--methods" in sys.argv:
        for place in CLASSES:
            file, _, owner = place.rpartition(".")
            path = root / f"{file}.py"
            if path.exists() and (found := methods(path, owner)):
                print(f"{file.replace('/', '.')} {owner}: {' '.join(found)}")
        return 0
    for module, public in listed(root):
        print(f"{module or '.'}: {' '.join(sorted(public))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
