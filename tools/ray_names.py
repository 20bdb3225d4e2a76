"""Prints the public names of an installed Ray's tune and rllib, a line a module, as tests/ray_names.txt has them.

    .venv-ray/bin/python tools/ray_names.py [--methods] [DIRECTORY OF RAY]

With --methods: the public methods of CLASSES, as tests/ray_methods.txt has them.

It reads the source: names in `__all__`, and classes and functions marked PublicAPI, DeveloperAPI or OldAPIStack. So
it finds them also where an import would need TensorFlow. Tests, examples and benchmarks are left out.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

PACKAGES = ("tune", "rllib")
MARKS = {"PublicAPI", "DeveloperAPI", "OldAPIStack"}
LEFT_OUT = {"tests", "examples", "tuned_examples", "benchmarks", "test_utils"}


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
    """The public names of one file."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            marks = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
            if any(isinstance(mark, ast.Name) and mark.id in MARKS for mark in marks):
                found.add(node.name)
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__":
            values = ast.walk(node.value)  # type: ignore[attr-defined]
            found |= {v.value for v in values if isinstance(v, ast.Constant)}
    return {name for name in found if not name.startswith("_")}


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
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = [part for part in path.relative_to(root).with_suffix("").parts]
            if LEFT_OUT & set(parts) or any(p.startswith("_") and p != "__init__" for p in parts):
                continue
            found = names(path)
            if found:
                module = ".".join(part for part in parts if part != "__init__")
                print(f"{module}: {' '.join(sorted(found))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
