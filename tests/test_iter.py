"""ray.util.iter. Each value is Ray's own (EAGLERAY_TEST_PEER=ray)."""

import collections
from importlib import import_module

import pytest
from _support import ray

pytestmark = pytest.mark.usefixtures("cluster")
it = import_module(f"{ray.__name__}.util.iter")


def test_sources():
    items = it.from_items([1, 2, 3, 4, 5], num_shards=2)
    assert repr(items) == "ParallelIterator[from_items[int, 5, shards=2]]"
    assert [list(shard) for shard in items.shards()] == [[1, 3, 5], [2, 4]]
    numbers = it.from_range(7, num_shards=3)
    assert repr(numbers) == "ParallelIterator[from_range[7, shards=3]]"
    assert [list(shard) for shard in numbers.shards()] == [[0, 1], [2, 3], [4, 5, 6]]
    made = it.from_iterators([range(2), lambda: (x for x in "ab")])
    assert repr(made) == "ParallelIterator[from_iterators[shards=2]]"
    assert list(made.gather_sync()) == [0, "a", 1, "b"]
    assert it.from_items([1, 2], num_shards=1, repeat=True).take(5) == [1, 2, 1, 2, 1]
    assert repr(it.from_items([])) == "ParallelIterator[from_items[None, 0, shards=2]]"
    with pytest.raises(TypeError, match="gather_sync"):
        iter(numbers)


def test_actors_of_one_s_own():
    class Mine(it.ParallelIteratorWorker):
        def __init__(self, base):
            super().__init__(lambda: iter(range(base, base + 2)), False)

    actors = [ray.remote(Mine).remote(base) for base in (0, 10)]
    mine = it.from_actors(actors)
    assert repr(mine) == "ParallelIterator[from_actors[shards=2]]"
    assert list(mine.for_each(lambda x: x + 1).gather_sync()) == [1, 11, 2, 12]


def test_stages():
    numbers = it.from_range(8, num_shards=2)
    assert list(numbers.for_each(lambda x: x * 2).gather_sync()) == [0, 8, 2, 10, 4, 12, 6, 14]
    assert list(it.from_range(8).filter(lambda x: x % 2).gather_sync()) == [1, 5, 3, 7]
    assert list(it.from_range(8).batch(3).gather_sync()) == [[0, 1, 2], [4, 5, 6], [3], [7]]
    assert list(it.from_range(4, 1).batch(3).flatten().gather_sync()) == [0, 1, 2, 3]
    assert list(it.from_range(3, 1).combine(lambda x: [x, x]).gather_sync()) == [0, 0, 1, 1, 2, 2]
    assert it.from_range(10, 1).transform(lambda s: (x for x in s if x > 6)).take(9) == [7, 8, 9]
    assert sorted(it.from_range(6, 1).local_shuffle(3, seed=1).take(9)) == list(range(6))
    assert (
        repr(it.from_range(6, 1).for_each(abs).filter(bool).batch(2).flatten().local_shuffle(3, 1))
        == "ParallelIterator[from_range[6, shards=1].for_each().filter().batch(2).flatten()"
        ".local_shuffle(shuffle_buffer_size=3, seed=1)]"
    )
    seeded = it.from_range(10, 1).local_shuffle(4, seed=5).take(10)
    assert seeded == it.from_range(10, 1).local_shuffle(4, seed=5).take(10)
    assert seeded == [2, 3, 0, 6, 4, 1, 7, 5, 9, 8]  # Ray's for this seed


def test_tasks_of_a_stage():
    squares = it.from_range(6, 2).for_each(
        lambda x: x * x, max_concurrency=2, resources={"num_cpus": 0}
    )
    assert sorted(squares.gather_sync()) == [0, 1, 4, 9, 16, 25]


def test_gathering():
    assert list(it.from_range(4).batch_across_shards()) == [[0, 2], [1, 3]]
    assert list(it.from_items([1, 2, 3]).batch_across_shards()) == [[1, 2], [3]]
    gathered = it.from_range(100, 4).gather_async(batch_ms=1, num_async=2)
    assert sorted(gathered) == list(range(100))
    with pytest.raises(ValueError, match="queue depth"):
        it.from_range(4).gather_async(num_async=0)
    with pytest.raises(ValueError, match="batch time"):
        it.from_range(4).gather_async(batch_ms=-1)
    zipped = it.from_range(4, 2).gather_async().zip_with_source_actor()
    by_actor = collections.defaultdict(list)
    for actor, item in zipped:
        by_actor[actor].append(item)
    assert sorted(by_actor.values()) == [[0, 1], [2, 3]]
    with pytest.raises(ValueError, match="source actor"):
        it.from_range(4).gather_sync().zip_with_source_actor().take(1)


def test_shards():
    numbers = it.from_range(6, 3)
    assert numbers.num_shards() == 3
    assert list(numbers.get_shard(1, batch_ms=1, num_async=2)) == [2, 3]
    with pytest.raises(ValueError, match="out of range"):
        numbers.get_shard(3)
    assert list(it.from_range(6, 3).select_shards([0, 2]).gather_sync()) == [0, 4, 1, 5]
    with pytest.raises(ValueError, match="at least one"):
        numbers.select_shards([])
    union = it.from_range(2, 1).union(it.from_items(["a", "b"], 1).for_each(str.upper))
    assert list(union.gather_sync()) == [0, "A", 1, "B"]
    with pytest.raises(ValueError, match="after union"):
        union.select_shards([0])
    with pytest.raises(TypeError, match="ParallelIterator"):
        numbers.union([1])


def test_repartition():
    shards = it.from_range(8, 2).repartition(3).shards()
    assert [sorted(shard) for shard in shards] == [[0, 3, 4, 7], [1, 5], [2, 6]]
    assert sorted(it.from_range(20, 4).repartition(2, batch_ms=1).gather_async()) == list(range(20))


def test_it_can_be_sent():
    @ray.remote
    def total(numbers):
        return sum(numbers.gather_sync())

    numbers = it.from_range(5)
    assert ray.get(total.remote(numbers)) == 10
    assert ray.get(total.remote(it.from_range(5).for_each(lambda x: x + 1))) == 15


# ---- in this process ----


def test_local_stages():
    local = it.from_range(6, 2).gather_sync()
    assert local.for_each(lambda x: x + 1).filter(lambda x: x % 2).take(2) == [1, 5]
    assert list(it.from_range(4).gather_sync().batch(3)) == [[0, 2, 1], [3]]
    assert it.from_range(4, 1).gather_sync().combine(lambda x: [x] * x).take(9) == [
        1,
        2,
        2,
        3,
        3,
        3,
    ]
    assert sorted(it.from_range(4).gather_sync().shuffle(2)) == [0, 1, 2, 3]
    assert sorted(it.from_range(4).gather_sync().for_each(lambda x: -x, 2)) == [-3, -2, -1, 0]
    name = "LocalIterator[ParallelIterator[from_range[4, shards=2]].gather_sync().for_each()]"
    assert str(it.from_range(4).gather_sync().for_each(abs)) == name


def test_show(capsys):
    it.from_range(9, 1).show(2)
    assert capsys.readouterr().out == "0\n1\n"


def test_union():
    a, b = it.from_range(3, 1).gather_sync(), it.from_items(["a", "b"], 1).gather_sync()
    assert list(a.union(b, deterministic=True)) == [0, "a", 1, "b", 2]
    a, b = it.from_range(50, 1).gather_async(), it.from_range(50, 1).gather_async()
    assert sorted(a.union(b)) == sorted([*range(50)] * 2)
    a, b = it.from_range(6, 1).gather_sync(), it.from_items(["a"] * 9, 1).gather_sync()
    assert a.union(b, round_robin_weights=[2, 1]).take(6) == [0, 1, "a", 2, 3, "a"]
    with pytest.raises(ValueError, match="weights"):
        a.union(b, round_robin_weights=[1])
    with pytest.raises(ValueError, match="LocalIterator"):
        a.union([1])


def test_duplicate():
    first, second = it.from_range(5, 1).gather_sync().duplicate(2)
    assert list(first.union(second, deterministic=True)) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    with pytest.raises(ValueError, match=">= 2"):
        it.from_range(5, 1).gather_sync().duplicate(1)


def test_metrics():
    def count(x):
        metrics = it.LocalIterator.get_metrics()
        metrics.counters["seen"] += 1
        with metrics.timers["work"]:
            pass
        metrics.info["last"] = x
        return metrics.counters["seen"]

    a = it.from_range(3, 1).gather_sync().for_each(count)
    assert list(a) == [1, 2, 3]
    metrics = a.shared_metrics.get()
    assert metrics.save() == {"counters": {"seen": 3}, "info": {"last": 2}, "timers": None}
    assert metrics.timers["work"].count == 3
    b, c = (it.from_range(2, 1).gather_sync().for_each(count) for _ in range(2))
    assert list(b.union(c, deterministic=True)) == [1, 2, 3, 4]


def test_stages_are_told_of_fetches():
    class Stage:
        fetches = 0

        def _on_fetch_start(self):
            self.fetches += 1

        def __call__(self, x):
            return x

    stage = Stage()
    assert it.from_range(3, 1).gather_sync().for_each(stage).take(3) == [0, 1, 2]
    assert stage.fetches >= 3
