"""A stand-in for conda that is as strict as the real one has been (docs/design/environments.md): it knows few
packages, installs no Python that nobody asked for, says from where it has them, and breaks its cache of packages when it
is ended in the middle or two of it unpack at once. Its first "orphaned" ends who has called it, and waits until
somebody writes into `go_on`."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path

_PROGRAM = """#!{python}
import fcntl, json, os, re, signal, sys, venv
root = {root!r}
if sys.argv[1:] == ["info", "--json"]:
    print("a warning")
    print(json.dumps({{"root_prefix": root, "envs_dirs": [root + "/envs"], "pkgs_dirs": [root + "/pkgs"]}}))
    sys.exit()
if sys.argv[1:3] != ["env", "create"]:
    sys.exit("an invalid choice")
prefix, described = (sys.argv[sys.argv.index(option) + 1] for option in ("-p", "-f"))
assert not os.stat(described).st_mode & 0o077, "it may have passwords"
text = open(described).read()
spec = json.loads(text) if text.startswith("{{") else {{}}
listed = str(spec["dependencies"]) if spec else re.sub("#.*", "", text.split("dependencies:")[1])
wanted = set(re.findall(r"[\\w.=]+", listed))
unknown = wanted - {{"x", "acts", "killed", "orphaned", "pip", "python={version}"}}
if unknown:
    sys.exit("PackagesNotFoundInChannelsError: " + " ".join(sorted(unknown)) + " in " + str(spec.get("channels")))
at_work = open(root + "/at_work", "w")
try:
    fcntl.flock(at_work, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit("CondaVerificationError: another unpacks at the same time")
unpacked = os.environ.get("CONDA_PKGS_DIRS", root + "/pkgs").split(",")[0]
half = unpacked + "/half"
os.makedirs(unpacked, exist_ok=True)
try:
    os.mkdir(half)
except FileExistsError:
    sys.exit("CondaVerificationError: a package in " + unpacked + " appears to be corrupted")
if "killed" in wanted:
    os.kill(os.getpid(), signal.SIGKILL)
if "orphaned" in wanted and not os.path.exists(root + "/orphan"):
    open(root + "/orphan", "w").close()
    os.kill(os.getppid(), signal.SIGKILL)
    open(root + "/go_on").close()
if "python={version}" in wanted:
    venv.EnvBuilder(symlinks=True).create(prefix)
os.makedirs(prefix + "/conda-meta")
json.dump({{"env_vars": spec.get("variables") or {{}}}}, open(prefix + "/conda-meta/state", "w"))
open(prefix + "/made-of", "w").write(" ".join(sorted(wanted)))
if "acts" in wanted:
    os.makedirs(prefix + "/etc/conda/activate.d")
    with open(prefix + "/etc/conda/activate.d/acts.sh", "w") as script:
        script.write('echo noise; export ACTS="$CONDA_PREFIX of\\n$OF_FILE" PATH="/acts:$PATH" ')
        script.write("RAW=$'a\\\\r\\\\n\\\\xff' COSTS='${{NOPE}} costs $HOME'")
os.rmdir(half)
"""


class Conda:
    """An installation below a directory; `path` is the one on which it is found."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "miniconda"
        self.path = self.root / "condabin"
        self.go_on = self.root / "go_on"
        for folder in (self.path, self.root / "conda-meta"):
            folder.mkdir(parents=True)
        os.mkfifo(self.go_on)
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        tool = self.path / "conda"
        tool.write_text(
            _PROGRAM.format(python=sys.executable, root=str(self.root), version=version)
        )
        tool.chmod(0o755)
        venv.EnvBuilder(symlinks=True).create(self.root)

    def add(self, name: str) -> Path:
        """An environment with this name."""
        prefix = self.root / "envs" / name
        (prefix / "conda-meta").mkdir(parents=True)
        venv.EnvBuilder(symlinks=True).create(prefix)
        return prefix
