"""Writes docs/user/compatibility.md: every public name of Ray and what it is here.

    python tools/compatibility.py            # writes the document
    python tools/compatibility.py --check    # exit status 1 if the document is old

The names are those of tests/ray_names.txt, which tools/ray_names.py made from Ray itself, and of BUILT. What is not
built stands in python/eagleray/_core_names.txt and _library_names.txt. tests/test_compatibility.py compares all of
them with what is installed, ours and Ray's.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python"))
from eagleray import _planned  # noqa: E402

DOCUMENT = ROOT / "docs" / "user" / "compatibility.md"
RECORDED = ROOT / "tests" / "ray_names.txt"

# Beside the recorded names, by module: names that work.
BUILT = {
    "": "__version__",
    "cloudpickle": "dump dumps load loads",
    "experimental.internal_kv": "_internal_kv_del _internal_kv_exists _internal_kv_get _internal_kv_initialized "
    "_internal_kv_list _internal_kv_put",
    "experimental.tqdm_ray": "RAY_TQDM_MAGIC",
    "internal": "free",
    "job_config": "LoggingConfig",
    "air": "Checkpoint session",
    "air.session": "get_checkpoint get_experiment_name get_local_rank get_trial_dir get_trial_id "
    "get_trial_name get_trial_resources get_world_rank get_world_size report",
    "util.iter": "MetricsContext SharedMetrics",
}
# Names of older releases that programs still use; Ray itself has them no more.
OLDER = {
    "": {"LOCAL_MODE", "ObjectID"},
    "air": {"Checkpoint", "session"},
    "air.session": {"get_checkpoint", "report"},
    "internal": {"free"},
}


def names(module: str) -> set[str]:
    """What works in a module."""
    listed = set(BUILT.get(module, "").split()) | recorded().get(module, set())
    return {name for name in listed - later(module) if not _planned.is_later(_join(module, name))}


def later(module: str) -> set[str]:
    """What is there by name only."""
    _, classes, functions = _planned.planned().get(module, ("", "", ""))
    return set((classes + " " + functions).split())


def _join(module: str, name: str) -> str:
    return f"{module}.{name}".lstrip(".")


@functools.cache
def recorded() -> dict[str, set[str]]:
    """The public names of Ray by module."""
    found: dict[str, set[str]] = {}
    for line in RECORDED.read_text().splitlines():
        if line and not line.startswith("#"):
            module, _, listed = line.partition(": ")
            found.setdefault(module.strip("."), set()).update(listed.split())
    return found


def document() -> str:
    table = _planned.planned()
    lines = [
        "# Compatibility, name by name",
        "",
        "Made by `tools/compatibility.py`; a test compares it with what is installed. *Works*: it does what Ray's does",
        "([differences](differences.md) says where not exactly). *By name*: it can be imported and raises",
        "`NotImplementedError` naming the feature when it is used.",
        "",
        "| module | works | by name |",
        "|---|---|---|",
    ]
    for module in sorted({*BUILT, *table, *recorded()}):
        feature, _, _ = table.get(module, ("", "", ""))
        works = ", ".join(f"`{name}`" for name in sorted(names(module)))
        by_name = ", ".join(f"`{name}`" for name in sorted(later(module)))
        if module in table and not by_name:
            by_name = f"everything ({feature})"
        title = f"`ray.{module}`" if module else "`ray`"
        lines.append(f"| {title} | {works} | {by_name} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    text = document()
    if "--check" in sys.argv:
        return 0 if DOCUMENT.exists() and DOCUMENT.read_text() == text else 1
    DOCUMENT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
