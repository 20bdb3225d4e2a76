"""Who holds what: references of all processes, and for each process what in its program holds them. Found by asking
the garbage collector, in the process, when somebody wants to see it (`eagleray memory`); nothing is recorded
before."""

from __future__ import annotations

import gc
import inspect
import json
import sys
import types
from typing import Any, NamedTuple

from ._core import ObjectRef
from ._state_rows import Lookout

HOLDERS_MAX = 1_000  # references that a process tells of
_STEPS_MAX = 3  # containers within containers
_LEAKS = {"traceback", "closure"}


class Holder(NamedTuple):
    kind: str  # variable, local, attribute, closure, traceback, generator, container
    where: str


# ---- in the process that is asked ----


class _Search:
    def __init__(self) -> None:
        self.frames: dict[int, Any] = {}  # that run now
        self.locals: dict[int, list[Holder]] = {}  # by the id of what they hold
        self.asked: dict[
            int, list[Any]
        ] = {}  # what the collector has answered, which holds things, too
        for frame in list(sys._current_frames().values()):
            at: Any = frame
            while at is not None:
                self.frames[id(at)] = at
                at = at.f_back
        ours = {id(frame) for frame in self._own()}
        for key, frame in self.frames.items():
            if key not in ours and frame.f_locals is not frame.f_globals:
                for name, value in list(_locals_of(frame).items()):
                    self.locals.setdefault(id(value), []).append(
                        Holder("local", f"{name} in {_place(frame)}")
                    )

    @staticmethod
    def _own() -> list[Any]:
        found, at = [], sys._getframe()
        while at is not None:
            found.append(at)
            at = at.f_back  # type: ignore[assignment]
        return found

    def references(self) -> dict[str, list[Holder]]:
        found: dict[str, list[Holder]] = {}
        for container in gc.get_objects():
            if container is self.locals or id(container) in self.frames:
                continue
            self._look_into(container, found, 0)
        # What only a running function holds is in no container.
        for frame in self.frames.values():
            for value in list(_locals_of(frame).values()):
                if type(value) is ObjectRef and len(found) < HOLDERS_MAX:
                    found.setdefault(value.hex(), []).extend(self.locals.get(id(value), []))
        return {ref: list(dict.fromkeys(holders)) for ref, holders in found.items()}

    def _look_into(self, container: Any, found: dict[str, list[Holder]], steps: int) -> None:
        """The collector does not know of dicts and tuples that hold nothing which it knows."""
        for inner in gc.get_referents(container):
            if type(inner) is ObjectRef:
                if len(found) < HOLDERS_MAX:
                    found.setdefault(inner.hex(), []).extend(self.explain(container, inner))
            elif _is(inner, (dict, tuple)) and steps < _STEPS_MAX and not gc.is_tracked(inner):
                self._look_into(inner, found, steps + 1)

    def explain(self, container: Any, inner: Any, steps: int = 0) -> list[Holder]:
        """What `container` is to the program."""
        if _is(container, types.FrameType):
            return [self._frame(container, inner)]
        if _is(container, types.CellType):
            return self._cell(container)
        if _is(container, (types.GeneratorType, types.CoroutineType)):
            return [Holder("generator", container.__qualname__)]
        if _is(container, types.FunctionType):
            return [Holder("variable", f"a default value of {container.__qualname__}()")]
        if _is(container, dict):
            return self._dict(container, inner, steps)
        if _is(container, (list, tuple, set, frozenset)):
            return self._sequence(container, steps)
        attributes = _dict_of(container)
        if not _is(attributes, dict):
            attributes = {}
        names = [name for name, value in attributes.items() if value is inner]
        return [Holder("attribute", f"{names[0] if names else 'a value'} of a {_type(container)}")]

    def _frame(self, frame: types.FrameType, inner: Any) -> Holder:
        names = [name for name, value in _locals_of(frame).items() if value is inner]
        where = f"{names[0] if names else 'a value'} in {_place(frame)}"
        for referrer in gc.get_referrers(frame):
            if _is(referrer, types.TracebackType):
                return Holder("traceback", where)
        return Holder("generator", where)

    def _cell(self, cell: types.CellType) -> list[Holder]:
        for tuple_of_cells in gc.get_referrers(cell):
            if not _is(tuple_of_cells, tuple):
                continue
            for function in gc.get_referrers(tuple_of_cells):
                if _is(function, types.FunctionType) and function.__closure__:
                    name = self._free_name(function, cell)
                    return [Holder("closure", f"{name} captured by {function.__qualname__}()")]
        return [Holder("closure", "a function that runs")] if self._is_live(cell) else []

    def _is_live(self, cell: types.CellType) -> bool:
        return bool(gc.get_referrers(cell))

    @staticmethod
    def _free_name(function: types.FunctionType, cell: types.CellType) -> str:
        for name, each in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=False
        ):
            if each is cell:
                return name
        return "a value"

    def _dict(self, container: dict[Any, Any], inner: Any, steps: int) -> list[Holder]:
        key = next((k for k, v in list(container.items()) if v is inner), None)
        for owner in gc.get_referrers(container):
            if _is(owner, types.ModuleType):
                return [Holder("variable", f"{key} of module {owner.__name__}")]
            if _dict_of(owner) is container:
                return [Holder("attribute", f"{key} of a {_type(owner)}")]
        name = container.get("__name__")
        if isinstance(name, str) and "__builtins__" in container:
            return [Holder("variable", f"{key} of module {name}")]
        return self._sequence(container, steps)

    def _sequence(self, container: Any, steps: int) -> list[Holder]:
        what = f"a {type(container).__name__} of {len(container)}"
        known = self.locals.get(id(container))
        if known:
            return [Holder(each.kind, f"{what}: {each.where}") for each in known]
        found: list[Holder] = []
        if steps < _STEPS_MAX:
            owners = gc.get_referrers(container)
            self.asked[id(owners)] = owners
            for number in range(len(owners)):  # an iterator would be found to hold them
                owner = owners[number]
                if owner is self.locals or id(owner) in self.frames or owner is gc.garbage:
                    continue
                if id(owner) in self.asked or owner is self.asked:
                    continue
                if _is(owner, list) and len(owner) > 10_000:
                    continue  # the collector's own
                for each in self.explain(owner, container, steps + 1):
                    found.append(Holder(each.kind, f"{what}: {each.where}"))
            del self.asked[id(owners)]
        return found or [Holder("container", what)]


def _is(value: Any, kinds: type | tuple[type, ...]) -> bool:
    """isinstance() without asking the value: it may be a proxy that does something then."""
    return issubclass(type(value), kinds)


def _dict_of(value: Any) -> Any:
    try:
        return object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None


def _locals_of(frame: types.FrameType) -> dict[str, Any]:
    """Before Python 3.13 the frame keeps what it was asked for: that would hold the values longer than the program
    does, so it is emptied again."""
    kept = frame.f_locals
    if not frame.f_code.co_flags & inspect.CO_OPTIMIZED or type(kept) is not dict:
        return dict(kept)
    copied = dict(kept)
    kept.clear()
    return copied


def _type(value: Any) -> str:
    cls = type(value)
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )


def _place(frame: Any) -> str:
    code = frame.f_code
    return f"{code.co_name}() ({code.co_filename}:{frame.f_lineno})"


def holders() -> bytes:
    """JSON: by reference, what holds it in this process."""
    try:
        found = _Search().references()
        return json.dumps(
            {ref: [list(each) for each in all_] for ref, all_ in found.items()}
        ).encode()
    except Exception as error:
        return json.dumps({"error": repr(error)}).encode()


# ---- of all processes ----

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
GROUPS = {"NODE_ADDRESS": "ip", "STACK_TRACE": "call_site"}
SORTS = {"OBJECT_SIZE": "object_size", "PID": "pid", "REFERENCE_TYPE": "reference_type"}
_KINDS = {
    "LOCAL_REFERENCE": "Local References",
    "PINNED_IN_MEMORY": "Pinned",
    "USED_BY_PENDING_TASK": "Used by task",
    "CAPTURED_IN_OBJECT": "Captured in Objects",
    "ACTOR_HANDLE": "Actor Handles",
}


def facts(look: Lookout, find_holders: bool = True) -> list[dict[str, Any]]:
    """A row for each process and reference, as list_objects() has it, with `held_by` and `leak`."""
    held: dict[int, dict[str, list[list[str]]]] = {}
    if find_holders:
        for answer in look.ask("holders"):
            held[answer["pid"]] = json.loads(answer["text"] or b"{}")
    rows = look.objects()
    for row in rows:
        found = held.get(row["pid"], {}).get(row["object_id"], [])
        row["held_by"] = [f"{kind}: {where}" for kind, where in found]
        row["leak"] = bool(found) and all(kind in _LEAKS for kind, _ in found)
    return rows


def text_of(
    rows: list[dict[str, Any]],
    group_by: str = "NODE_ADDRESS",
    sort_by: str = "OBJECT_SIZE",
    units: str = "B",
    stats_only: bool = False,
    num_entries: int | None = None,
) -> str:
    """As people read it. KeyError: a grouping, order or unit that there is not."""
    by, order, unit = GROUPS[group_by], SORTS[sort_by], _UNITS[units]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row[order], reverse=sort_by == "OBJECT_SIZE"):
        groups.setdefault(str(row[by]), []).append(row)
    limit = "all" if num_entries is None else str(num_entries)
    lines = [f"Grouping by {by}... Sorting by {order}... Display {limit} entries per group...", ""]
    for key, members in groups.items():
        lines += [f"--- Summary for {by}: {key} ---", *_summary(members, unit, units), ""]
        if not stats_only:
            lines += [
                f"--- Object references for {by}: {key} ---",
                *_table(members[:num_entries], unit, units),
                "",
            ]
    if stats_only:  # nobody has looked
        return "\n".join(lines).rstrip()
    leaks = [row for row in rows if row["leak"]]
    lines.append("--- Leaks: held only by a traceback or a closure ---")
    for row in leaks:
        lines.append(f"{row['object_id']} in process {row['pid']}: {'; '.join(row['held_by'])}")
    if not leaks:
        lines.append("none found")
    return "\n".join(lines)


def _summary(rows: list[dict[str, Any]], unit: int, name: str) -> list[str]:
    total = sum(max(0, row["object_size"]) for row in rows)
    lines = [f"Mem Used by Objects  {_amount(total, unit, name)}"]
    for kind, title in _KINDS.items():
        theirs = [row for row in rows if row["reference_type"] == kind]
        size = sum(max(0, row["object_size"]) for row in theirs)
        lines.append(f"{title:<19}  {len(theirs)} ({_amount(size, unit, name)})")
    return lines


def _amount(size: int, unit: int, name: str) -> str:
    return f"{size / unit:.{3 if unit > 1 else 0}f} {name}"


def _table(rows: list[dict[str, Any]], unit: int, name: str) -> list[str]:
    form = "{:<9} {:<15} {:<7} {:>7} {:<8} {:<22} {:<7} {:>14} {:<21} {}"
    lines = [
        form.format(
            "PID",
            "IP Address",
            "Type",
            "Owner",
            "Attempt",
            "Status",
            "Local",
            "Size",
            "Reference Type",
            "Object Ref",
        )
    ]
    for row in rows:
        size = "?" if row["object_size"] < 0 else _amount(row["object_size"], unit, name)
        lines.append(
            form.format(
                row["pid"],
                row["ip"],
                row["type"],
                str(row["owner_pid"]),
                row["attempt_number"],
                row["task_status"],
                row["local_ref_count"],
                size,
                row["reference_type"],
                row["object_id"],
            )
        )
        if row["call_site"] != "disabled":
            lines.append(f"    made at {row['call_site']}")
        if row["borrower_pids"]:
            lines.append(f"    borrowed by processes {', '.join(map(str, row['borrower_pids']))}")
        lines += [f"    held by {each}" for each in row["held_by"]]
    return lines
