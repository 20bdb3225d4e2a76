"""The language of search spaces: what a setting may be, and how one value of it is drawn.

Follows `ray.tune.search.sample`. A Domain is a value: it holds no generator, every draw is given one, so that the same
seed gives the same trials.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..._planned import lazily


class Sampler:
    """How a domain is drawn from; adapters of search libraries look at its type."""

    def __str__(self) -> str:
        return type(self).__name__


class Uniform(Sampler):
    """Every value alike."""


class LogUniform(Sampler):
    """The logarithm of the value is uniform."""

    def __init__(self, base: float = 10) -> None:
        if base <= 0:
            raise ValueError(f"the base of a logarithm must be positive, not {base}")
        self.base = base


class Normal(Sampler):
    """Normal, `mean` and standard deviation `sd`."""

    def __init__(self, mean: float = 0.0, sd: float = 1.0) -> None:
        if sd <= 0:
            raise ValueError(f"a standard deviation must be positive, not {sd}")
        self.mean, self.sd = mean, sd


class Quantized(Sampler):
    """Another sampler, rounded to multiples of `q`."""

    def __init__(self, sampler: Sampler, q: float) -> None:
        if not q:
            raise ValueError("q must not be 0")
        self.sampler, self.q = sampler, q

    def get_sampler(self) -> Sampler:
        return self.sampler


class Grid(Sampler):
    """Every value once."""


class Domain:
    """What a setting may be."""

    sampler: Sampler | None = None

    def get_sampler(self) -> Sampler:
        return self.sampler or Uniform()

    def sample(self, config: Any = None, size: int = 1, random_state: Any = None) -> Any:
        """One value, or a list of `size`. random_state: a random.Random, a seed, or None (another each time)."""
        generator = (
            random_state if isinstance(random_state, random.Random) else random.Random(random_state)
        )
        values = [self.draw(config, generator) for _ in range(size)]
        return values[0] if size == 1 else values

    def draw(self, config: Any, generator: random.Random) -> Any:
        """One value."""
        raise NotImplementedError

    def is_grid(self) -> bool:
        return isinstance(self.sampler, Grid)

    def is_function(self) -> bool:
        return False

    def is_valid(self, value: Any) -> bool:
        """Whether a value lies in it."""
        raise NotImplementedError

    @property
    def domain_str(self) -> str:
        return "(unknown)"

    def cast(self, value: Any) -> Any:
        return value

    def _with(self, sampler: Sampler) -> Any:
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.sampler = sampler
        return made

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.domain_str}, {self.get_sampler()})"


class _Number(Domain):
    lower: float
    upper: float

    def quantized(self, q: float) -> Any:
        """The same, rounded to multiples of q, which lower and upper must be."""
        for bound in (self.lower, self.upper):
            if math.isfinite(bound) and abs(bound / q - round(bound / q)) > 1e-9 * max(
                1, abs(bound / q)
            ):
                raise ValueError(f"{bound} is not a multiple of q={q}")
        return self._with(Quantized(self.get_sampler(), q))

    def loguniform(self, base: float = 10) -> Any:
        if not (0 < self.lower and math.isfinite(self.upper)):
            raise ValueError(
                f"loguniform needs 0 < lower and a finite upper bound, not {self.lower} and {self.upper}. "
                "Did you give an exponent instead of the value?"
            )
        return self._with(LogUniform(base))

    def uniform(self) -> Any:
        if not (math.isfinite(self.lower) and math.isfinite(self.upper)):
            raise ValueError("uniform needs finite bounds")
        return self._with(Uniform())

    @property
    def domain_str(self) -> str:
        return f"({self.lower}, {self.upper})"

    def _continuous(self, generator: random.Random, lower: float, upper: float) -> float:
        sampler = self.get_sampler()
        inner = sampler.get_sampler() if isinstance(sampler, Quantized) else sampler
        if isinstance(inner, Normal):
            return generator.gauss(inner.mean, inner.sd)
        if isinstance(inner, LogUniform):
            return math.exp(generator.uniform(math.log(lower), math.log(upper)))
        return generator.uniform(lower, upper)


class Float(_Number):
    """A number from lower up to upper (None: without bound, for normal ones)."""

    def __init__(self, lower: float | None, upper: float | None) -> None:
        self.lower = -math.inf if lower is None else lower
        self.upper = math.inf if upper is None else upper
        if self.lower > self.upper:
            raise ValueError(f"lower {lower} must not be above upper {upper}")

    def normal(self, mean: float = 0.0, sd: float = 1.0) -> Float:
        return self._with(Normal(mean, sd))

    def draw(self, config: Any, generator: random.Random) -> float:
        value = self._continuous(generator, self.lower, self.upper)
        if isinstance(self.sampler, Quantized):
            value = round(value / self.sampler.q) * self.sampler.q
            value = round(value, 12)  # 0.30000000000000004 is not a multiple of 0.1 to a reader
        return min(max(value, self.lower), self.upper)

    def cast(self, value: Any) -> float:
        return float(value)

    def is_valid(self, value: Any) -> bool:
        return self.lower <= value <= self.upper


class Integer(_Number):
    """A whole number, lower included; upper excluded, unless it is quantized."""

    def __init__(self, lower: int, upper: int) -> None:
        self.lower, self.upper = int(lower), int(upper)
        if self.lower > self.upper:
            raise ValueError(f"lower {lower} must not be above upper {upper}")

    def draw(self, config: Any, generator: random.Random) -> int:
        if isinstance(self.sampler, Quantized):
            q = self.sampler.q
            value = round(self._continuous(generator, self.lower, self.upper) / q) * q
            return int(min(max(value, self.lower), self.upper))
        if isinstance(self.sampler, LogUniform):
            value = math.floor(self._continuous(generator, self.lower, self.upper))
            return int(min(max(value, self.lower), max(self.lower, self.upper - 1)))
        return generator.randrange(int(self.lower), max(int(self.upper), int(self.lower) + 1))

    def cast(self, value: Any) -> int:
        return int(value)

    def is_valid(self, value: Any) -> bool:
        return self.lower <= value <= self.upper


class Categorical(Domain):
    """One of some values."""

    def __init__(self, categories: Sequence[Any]) -> None:
        self.categories = list(categories)
        if not self.categories:
            raise ValueError("choice() needs at least one value")

    def uniform(self) -> Categorical:
        return self._with(Uniform())

    def grid(self) -> Categorical:
        return self._with(Grid())

    def __len__(self) -> int:
        return len(self.categories)

    def __getitem__(self, index: int) -> Any:
        return self.categories[index]

    def draw(self, config: Any, generator: random.Random) -> Any:
        return generator.choice(self.categories)

    def is_valid(self, value: Any) -> bool:
        return value in self.categories

    @property
    def domain_str(self) -> str:
        return str(self.categories)


class Function(Domain):
    """The value of a function: of nothing, or of the spec that is resolved so far (`spec.config.lr`)."""

    def __init__(self, func: Callable[..., Any]) -> None:
        if not callable(func):
            raise TypeError(f"sample_from() takes a function, not {type(func).__name__}")
        self.func = func
        code = getattr(func, "__code__", None)
        self._arguments = code.co_argcount if code is not None else 1

    def draw(self, config: Any, generator: random.Random) -> Any:
        return self.func(config) if self._arguments else self.func()

    def is_function(self) -> bool:
        return True

    def is_valid(self, value: Any) -> bool:
        return True

    @property
    def domain_str(self) -> str:
        return f"{self.func}()"


def uniform(lower: float, upper: float) -> Float:
    """A number between lower and upper, every one alike."""
    return Float(lower, upper).uniform()


def quniform(lower: float, upper: float, q: float) -> Float:
    """uniform(), rounded to multiples of q; both ends included."""
    return Float(lower, upper).uniform().quantized(q)


def loguniform(lower: float, upper: float, base: float = 10) -> Float:
    """A number between lower and upper whose logarithm is uniform; 0 < lower."""
    return Float(lower, upper).loguniform(base)


def qloguniform(lower: float, upper: float, q: float, base: float = 10) -> Float:
    """loguniform(), rounded to multiples of q."""
    return Float(lower, upper).loguniform(base).quantized(q)


def choice(categories: Sequence[Any]) -> Categorical:
    """One of the values, every one alike."""
    return Categorical(categories).uniform()


def randint(lower: int, upper: int) -> Integer:
    """A whole number, lower <= it < upper."""
    return Integer(lower, upper).uniform()


def lograndint(lower: int, upper: int, base: float = 10) -> Integer:
    """A whole number, lower <= it < upper, whose logarithm is uniform; 0 < lower."""
    return Integer(lower, upper).loguniform(base)


def qrandint(lower: int, upper: int, q: int = 1) -> Integer:
    """A multiple of q; upper is included."""
    return Integer(lower, upper).uniform().quantized(q)


def qlograndint(lower: int, upper: int, q: int, base: float = 10) -> Integer:
    """lograndint(), rounded to multiples of q; upper is included."""
    return Integer(lower, upper).loguniform(base).quantized(q)


def randn(mean: float = 0.0, sd: float = 1.0) -> Float:
    """A normal number."""
    return Float(None, None).normal(mean, sd)


def qrandn(mean: float, sd: float, q: float) -> Float:
    """A normal number, rounded to multiples of q."""
    return Float(None, None).normal(mean, sd).quantized(q)


def sample_from(func: Callable[..., Any]) -> Function:
    """What `func(spec)` gives; `spec.config` holds the settings that are known. `func()` works as well."""
    return Function(func)


def grid_search(values: Sequence[Any]) -> dict[str, list[Any]]:
    """Every one of the values, in trials of their own; several grids are multiplied. ValueError: not a list of values."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ValueError(f"grid_search() takes a list of values, not {values!r}")
    return {"grid_search": list(values)}


__getattr__ = lazily(__name__)  # names that are planned
