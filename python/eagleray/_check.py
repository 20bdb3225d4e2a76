"""Which of Ray's names a Python program uses, and what each is here: read from its syntax, looked up in the package
that is installed. Nothing of the program is run.

What it follows: imports of `ray` and `eagleray` under any name, attributes of modules, options of `remote` and
`.options()`, keywords of calls, fields of `runtime_env`, and attributes of instances that a plain assignment
made. What it cannot see: names made at run time, and what other modules do with what they are given."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import io
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import Any, NamedTuple

WORKS, LATER, UNKNOWN, PRIVATE, NEEDS = "works", "later", "unknown", "private", "needs"
_ROOTS = ("ray", "eagleray")
_UNREAD = object()  # a value that is no literal


class Thing(NamedTuple):
    """What a name stands for: its full name, and the object, if the package has it."""

    name: str
    value: Any
    kind: str = ""  # "task", "actor", "instance" of value, or ""


@dataclass
class Finding:
    name: str
    state: str
    message: str = ""
    lines: list[int] = field(default_factory=list)


def check(source: str, filename: str = "<program>") -> list[Finding]:
    """In order of first use. SyntaxError when it is no Python."""
    reader = _Reader()
    reader.visit(ast.parse(source, filename))
    return list(reader.found.values())


# ---- what the package has ----


def look_up(dotted: str) -> tuple[Thing, str, str]:
    """Of `ray.a.b.c`: the thing, its state and a message. As deep as modules go, then attributes."""
    words = dotted.split(".")[1:]
    module, used = "", 0
    while used < len(words) and _is_module(deeper := f"{module}.{words[used]}".lstrip(".")):
        module, used = deeper, used + 1
    if used == len(words):
        return _state_of_module(dotted, module)
    first = words[used]
    state, message, value = _attribute_of(module, first)
    name = ".".join(["ray", *([module] if module else []), first])
    for word in words[used + 1 :]:
        if state != WORKS or not isinstance(value, type):
            break
        name = f"{name}.{word}"
        if not _has(value, word):
            return Thing(name, None), UNKNOWN, f"{value.__name__} has no {word}"
        value = getattr(value, word, None)
    return Thing(name, value), state, message


def _is_module(relative: str) -> bool:
    from . import _planned

    if relative.split(".")[0] in _planned.WHOLE:
        return True
    try:
        return importlib.util.find_spec(f"eagleray.{relative}") is not None
    except (ImportError, AttributeError, ValueError, NotImplementedError):
        return False


def _state_of_module(dotted: str, relative: str) -> tuple[Thing, str, str]:
    from . import _planned

    top = relative.split(".")[0]
    if not _has_file(relative):
        if _planned.is_later(relative):
            return Thing(dotted, None), LATER, _planned.row(relative)[0]
        if top in _planned.WHOLE:
            return Thing(dotted, None), LATER, _planned.row(top)[0]
    return Thing(dotted, None), WORKS, ""


def _has_file(relative: str) -> bool:
    try:
        spec = importlib.util.find_spec(f"eagleray.{relative}")
    except (ImportError, ValueError, NotImplementedError):
        return False
    return spec is not None and bool(spec.origin)


def _attribute_of(relative: str, name: str) -> tuple[str, str, Any]:
    from . import _planned

    full = f"eagleray.{relative}".rstrip(".")
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            value = getattr(importlib.import_module(full), name)
    except NotImplementedError as error:
        return LATER, _short(str(error)), None
    except ImportError as error:
        return NEEDS, f"a package that is not installed here: {error}", None
    except AttributeError:
        if name.startswith("_") or "._" in f".{relative}":
            return PRIVATE, "a name inside Ray, which has no counterpart", None
        return UNKNOWN, f"there is no {name} in {full.replace('eagleray', 'ray', 1)}", None
    if any(value is made for made in _planned._made.values()):
        return LATER, _planned.row(relative)[0], None
    if _only_refuses(value):
        return LATER, f"{name} is not implemented yet", None
    return WORKS, "", value


def _short(message: str) -> str:
    return message.split("(part of: ")[-1].rstrip(")") if "(part of: " in message else message


def _only_refuses(value: Any) -> bool:
    """A function whose whole body raises NotImplementedError."""
    if not inspect.isfunction(value):
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(value)))
    except (OSError, SyntaxError, TypeError):
        return False
    body = [s for s in getattr(tree.body[0], "body", []) if not _is_docstring(s)]
    raised = body[0].exc if len(body) == 1 and isinstance(body[0], ast.Raise) else None
    called = raised.func if isinstance(raised, ast.Call) else raised
    return isinstance(called, ast.Name) and called.id == "NotImplementedError"


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _has(cls: type, name: str) -> bool:
    """Whether instances of the class have the attribute, as far as its source says."""
    if hasattr(cls, name) or hasattr(cls, "__getattr__") or name in _annotated(cls):
        return True
    for each in cls.__mro__[:-1]:
        try:
            if re.search(
                rf"\bself\.{re.escape(name)}\b\s*(:[^=\n]+)?[=,)]", inspect.getsource(each)
            ):
                return True
        except (OSError, TypeError):
            return True  # not written in Python: nothing is known
    return False


def _annotated(cls: type) -> set[str]:
    return {name for each in cls.__mro__ for name in getattr(each, "__annotations__", {})}


# ---- what is given to it ----


def _options_problem(kind: str, name: str, value: Any, in_options: bool) -> tuple[str, str]:
    """Of an option of `remote`: state and message."""
    from . import _options

    known = {"task": _options._TASK, "actor": _options._ACTOR}.get(
        kind, _options._TASK | _options._ACTOR
    )
    if name not in known:
        return UNKNOWN, f"no option of {kind or 'remote'}s"
    if value is _UNREAD or value is None or kind not in ("task", "actor"):
        return WORKS, ""
    try:
        _options.validate(kind, {name: value}, in_options=in_options)
    except NotImplementedError as error:
        return LATER, _short(str(error))
    except (TypeError, ValueError) as error:
        return UNKNOWN, str(error)
    return WORKS, ""


def _init_problem(name: str, value: Any) -> tuple[str, str]:
    from . import _api, _init_arguments

    parameters = inspect.signature(_api.init).parameters
    later = _init_arguments._UNDERSCORE_LATER
    if name not in parameters and name not in later | _init_arguments._UNDERSCORE_ACTS:
        return UNKNOWN, "no argument of init()"
    if value is _UNREAD:
        if name in later:
            return LATER, "not implemented yet"
        return WORKS, ""
    given = {k: p.default for k, p in parameters.items() if k != "kwargs"}
    underscored: dict[str, Any] = {}
    (given if name in given else underscored)[name] = value
    try:
        _init_arguments.check(given, underscored)
    except NotImplementedError as error:
        return LATER, f"{_short(str(error))} is not implemented yet"
    except (TypeError, ValueError, RuntimeError) as error:
        return UNKNOWN, str(error)
    if _init_arguments.wants_dashboard(given):
        return LATER, "there is no dashboard yet"
    if name == "address" and isinstance(value, str) and value.startswith("ray://"):
        return LATER, "the ray:// client"
    return WORKS, ""


def _env_problem(name: str, value: Any) -> tuple[str, str]:
    from ._environments.fields import check, is_known

    env = {name: value if value is not _UNREAD else "."}
    try:
        if not is_known(name, env):
            return UNKNOWN, "no field of a runtime_env"
        check(env)
    except NotImplementedError as error:
        return LATER, f"{_short(str(error))} is not implemented yet"
    except Exception:
        return WORKS, ""  # what it is given is found out when it runs
    return WORKS, ""


def _keyword_problem(value: Any, name: str) -> tuple[str, str]:
    """Of a call of a function or class of the package."""
    try:
        parameters = inspect.signature(value).parameters
    except (TypeError, ValueError):
        return WORKS, ""
    if name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return WORKS, ""
    return UNKNOWN, f"no argument of {getattr(value, '__name__', 'it')}()"


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _UNREAD


# ---- the program ----


class _Reader(ast.NodeVisitor):
    """Walks a program once, in order. Names are those of the whole file: scopes are not told apart."""

    def __init__(self) -> None:
        self.found: dict[str, Finding] = {}
        self._names: dict[str, Thing] = {}

    def note(self, name: str, state: str, message: str, line: int) -> None:
        finding = self.found.setdefault(name, Finding(name, state, message))
        if finding.state == WORKS and state != WORKS:
            finding.state, finding.message = state, message
        if line not in finding.lines:
            finding.lines.append(line)

    def _use(self, dotted: str, line: int) -> Thing:
        thing, state, message = look_up(dotted)
        if thing.name != "ray":
            self.note(thing.name, state, message, line)
        return thing

    # -- imports --

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            root, _, rest = alias.name.partition(".")
            if root not in _ROOTS:
                continue
            if rest:
                thing = self._use(f"ray.{rest}", node.lineno)
                self._names[alias.asname or root] = thing if alias.asname else Thing("ray", None)
            else:
                self._names[alias.asname or root] = Thing("ray", None)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        root, _, rest = (node.module or "").partition(".")
        if node.level or root not in _ROOTS:
            return
        for alias in node.names:
            if alias.name == "*":
                self._use(".".join(filter(None, ["ray", rest])), node.lineno)
                continue
            dotted = ".".join(filter(None, ["ray", rest, alias.name]))
            self._names[alias.asname or alias.name] = self._use(dotted, node.lineno)

    # -- names --

    def _thing_of(self, node: ast.expr | None) -> Thing | None:
        """What an expression stands for, if it is known; uses of it are noted by the visits."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id)
        if isinstance(node, ast.Attribute):
            base = self._thing_of(node.value)
            if base is None or base.kind in ("task", "actor"):
                return None
            if base.kind == "instance":
                return Thing(f"{base.name}.{node.attr}", getattr(base.value, node.attr, None))
            return look_up(f"{base.name}.{node.attr}")[0]
        if isinstance(node, ast.Call):
            called = self._thing_of(node.func)
            return None if called is None else self._result_of(called, node)
        return None

    def _result_of(self, called: Thing, node: ast.Call) -> Thing | None:
        if called.name == "ray.remote":
            target = node.args[0] if node.args else None
            known = self._thing_of(target)
            if isinstance(target, ast.Lambda) or (known is not None and known.kind == "function"):
                return Thing("ray.remote", None, "task")
            if known is not None and known.kind == "class":
                return Thing("ray.remote", None, "actor")
            return None
        if isinstance(called.value, type) and called.kind == "":
            return Thing(called.name, called.value, "instance")
        if called.name == "ray.get_runtime_context":
            from .runtime_context import RuntimeContext

            return Thing("ray.runtime_context.RuntimeContext", RuntimeContext, "instance")
        return None

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain, base = [node.attr], node.value
        while isinstance(base, ast.Attribute):
            chain.insert(0, base.attr)
            base = base.value
        thing = self._thing_of(base)
        if thing is not None and thing.kind == "" and thing.name.startswith("ray"):
            self._use(".".join([thing.name, *chain]), node.lineno)
        elif thing is not None and thing.kind == "instance" and not chain[0].startswith("__"):
            has = _has(thing.value, chain[0])
            message = "" if has else f"{thing.value.__name__} has no {chain[0]}"
            self.note(f"{thing.name}.{chain[0]}", WORKS if has else UNKNOWN, message, node.lineno)
        if not isinstance(base, ast.Name):
            self.visit(base)

    # -- what is made of them --

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        made = self._thing_of(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name):
                if made is not None:
                    self._names[target.id] = made
                else:
                    self._names.pop(target.id, None)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            made = self._thing_of(item.context_expr)
            if made is not None and isinstance(item.optional_vars, ast.Name):
                self._names[item.optional_vars.id] = made
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._define(node, "task", "function")

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._define(node, "actor", "class")

    def _define(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, kind: str, plain: str
    ) -> None:
        remote = False
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            thing = self._thing_of(called)
            if thing is not None and thing.name == "ray.remote":
                remote = True
                if isinstance(decorator, ast.Call):
                    self._options(decorator, kind, "ray.remote", in_options=False)
        self._names[node.name] = Thing(node.name, None, kind if remote else plain)
        self.generic_visit(node)

    # -- calls --

    def visit_Call(self, node: ast.Call) -> None:
        called = self._thing_of(node.func)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("options", "_remote"):
            base = self._thing_of(node.func.value)
            if base is not None and base.kind in ("task", "actor"):
                self._options(node, base.kind, "ray.remote.options", in_options=True)
        if called is not None and called.kind == "" and called.name.startswith("ray"):
            self._keywords(node, called)
        self.generic_visit(node)

    def _keywords(self, node: ast.Call, called: Thing) -> None:
        problem: Callable[[str, Any], tuple[str, str]]
        if called.name == "ray.init":
            problem = _init_problem
        elif called.name == "ray.remote":
            return self._options(node, "", "ray.remote", in_options=False)
        elif called.name == "ray.runtime_env.RuntimeEnv":
            problem = _env_problem
        elif callable(called.value):
            problem = lambda name, _value: _keyword_problem(called.value, name)  # noqa: E731
        else:
            return None
        for keyword, value in _keywords_of(node):
            self.note(f"{called.name}({keyword}=)", *problem(keyword, value), node.lineno)
        return self._environments(node)

    def _options(self, node: ast.Call, kind: str, name: str, in_options: bool) -> None:
        for keyword, value in _keywords_of(node):
            if keyword in ("args", "kwargs") and in_options:
                continue
            if keyword == "runtime_env":
                value = _UNREAD  # by field, below
            state, message = _options_problem(kind, keyword, value, in_options)
            self.note(f"{name}({keyword}=)", state, message, node.lineno)
        self._environments(node)

    def _environments(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            if keyword.arg == "runtime_env" and isinstance(keyword.value, ast.Dict):
                for key, value in zip(keyword.value.keys, keyword.value.values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        state = _env_problem(key.value, _literal(value))
                        self.note(f"runtime_env[{key.value!r}]", *state, node.lineno)


def _keywords_of(node: ast.Call) -> Iterator[tuple[str, Any]]:
    for keyword in node.keywords:
        if keyword.arg is not None:
            yield keyword.arg, _literal(keyword.value)
