"""Writes docs/user/settings.md from the table in the core (src/config/settings.cc).

python tools/settings.py            # writes the document
python tools/settings.py --check    # exit status 1 if the document is old
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "user" / "settings.md"

HEAD = """# Settings

Made by `tools/settings.py` from the table in `src/config/settings.cc`; a test compares the two. They are read once,
where the cluster is started, each before the next: `EAGLERAY_NAME` in the environment (the name in capitals), then
`init(_system_config={"name": value})` or `eagleray start --head --system-config '{"name": value}'`. Ray's name works
in both places too where a setting has one (in the environment as `RAY_name`). All processes of the cluster get the
same values; `_system_config` together with the address of a running cluster is a `ValueError`.

| name | default | least | most | unit | what it does | Ray's name |
|---|---|---|---|---|---|---|
"""


def shown(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def document() -> str:
    sys.path.insert(0, str(ROOT / "python"))
    from eagleray import _core

    lines = []
    for name, default, least, most, unit, meaning, rays in _core.settings_table():
        numbers = " | ".join(shown(n) for n in (default, least, most))
        lines.append(
            f"| `{name}` | {numbers} | {unit} | {meaning} | {f'`{rays}`' if rays else ''} |"
        )
    return HEAD + "\n".join(lines) + "\n"


def main() -> int:
    text = document()
    if "--check" in sys.argv:
        return 0 if DOCUMENT.exists() and DOCUMENT.read_text() == text else 1
    DOCUMENT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
