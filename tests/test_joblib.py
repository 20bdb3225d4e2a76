"""The joblib backend: scikit-learn on it, shared arrays, nesting, exceptions."""

import os

import pytest
from _support import PEER, alive, ray, run_program, wait_for

joblib = pytest.importorskip("joblib")
np = pytest.importorskip("numpy")
pytestmark = pytest.mark.usefixtures("cluster")
only_ours = pytest.mark.skipif(PEER, reason="beyond Ray's backend")


@pytest.fixture(autouse=True)
def backend(cluster):
    from importlib import import_module

    import_module(f"{ray.__name__}.util.joblib").register_ray()
    with joblib.parallel_config(backend="ray"):
        yield


def parallel(calls, **options):
    return joblib.Parallel(**{"n_jobs": 2, **options})(calls)


def test_results_in_order():
    squares = parallel(joblib.delayed(pow)(i, 2) for i in range(200))
    assert squares == [i * i for i in range(200)]


def test_it_runs_in_workers():
    pids = set(parallel((joblib.delayed(os.getpid)() for _ in range(20)), n_jobs=-1))
    assert os.getpid() not in pids


def test_exceptions_are_the_task_s_own():
    def fails(i):
        if i == 3:
            raise KeyError(f"number {i}")
        return i

    with pytest.raises(KeyError, match="number 3"):
        parallel(joblib.delayed(fails)(i) for i in range(10))
    assert parallel(joblib.delayed(abs)(i) for i in range(5)) == list(range(5))


def test_nested_calls():
    def inner(i):
        return sum(joblib.Parallel(n_jobs=2)(joblib.delayed(pow)(i, k) for k in range(3)))

    assert parallel(joblib.delayed(inner)(i) for i in range(6)) == [1 + i + i * i for i in range(6)]


def test_grid_search_and_cross_validation():
    pytest.importorskip("sklearn")
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, cross_val_score

    x, y = make_classification(2000, 20, random_state=1)
    grid = {"C": [0.1, 1.0, 10.0]}
    search = GridSearchCV(LogisticRegression(), grid, n_jobs=2, cv=3).fit(x, y)
    scores = cross_val_score(LogisticRegression(), x, y, cv=4, n_jobs=2)
    forest = RandomForestClassifier(20, n_jobs=2, random_state=3).fit(x, y)
    with joblib.parallel_config(backend="sequential"):
        same = GridSearchCV(LogisticRegression(), grid, cv=3).fit(x, y)
        assert (search.cv_results_["mean_test_score"] == same.cv_results_["mean_test_score"]).all()
        assert (scores == cross_val_score(LogisticRegression(), x, y, cv=4)).all()
        other = RandomForestClassifier(20, random_state=3).fit(x, y)
    assert (forest.predict(x) == other.predict(x)).all()


# ---- beyond Ray's ----


@only_ours
def test_large_arrays_are_put_once_a_call(monkeypatch):
    from eagleray.util.joblib import _sharing

    puts = []
    put = ray.put
    monkeypatch.setattr(
        _sharing.ray, "put", lambda value: (puts.append(value.nbytes), put(value))[1]
    )
    array = np.arange(1 << 17, dtype=np.float64)
    small = np.arange(3)

    def total(nested, other):
        return float(nested["a"][0].sum()), nested["a"][0].flags.writeable, int(other.sum())

    calls = [joblib.delayed(total)({"a": [array]}, small) for _ in range(12)]
    assert set(parallel(calls, batch_size=1)) == {(float(array.sum()), False, 3)}
    assert puts == [array.nbytes]
    array += 1  # between calls it may change
    assert parallel(calls)[0][0] == float(array.sum())
    assert puts == [array.nbytes] * 2


@only_ours
def test_frames_are_shared_too(monkeypatch):
    pandas = pytest.importorskip("pandas")
    from eagleray.util.joblib import _sharing

    puts = []
    put = ray.put
    monkeypatch.setattr(
        _sharing.ray, "put", lambda value: (puts.append(value.nbytes), put(value))[1]
    )
    frame = pandas.DataFrame(np.ones((20_000, 8)))
    totals = parallel(
        (joblib.delayed(lambda f: float(f.values.sum()))(frame) for _ in range(6)), batch_size=1
    )
    assert totals == [160_000.0] * 6
    assert len(puts) == 1


@only_ours
def test_workers_stay_for_the_next_call():
    first = set(parallel(joblib.delayed(os.getpid)() for _ in range(20)))
    second = set(parallel(joblib.delayed(os.getpid)() for _ in range(20)))
    assert first & second and len(first | second) <= 2


@only_ours
def test_threads_of_libraries_are_limited():
    with joblib.parallel_config(backend="ray", inner_max_num_threads=1):
        names = parallel(joblib.delayed(os.getenv)("OPENBLAS_NUM_THREADS") for _ in range(2))
    assert names == ["1", "1"]


@only_ours
def test_an_exception_ends_what_still_runs(tmp_path):
    def job(i):
        if i == 0:
            (tmp_path / "pid").write_text(str(os.getpid()))
            wait_for((tmp_path / "never").exists, 600)
        wait_for((tmp_path / "pid").exists)
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        parallel((joblib.delayed(job)(i) for i in range(2)), batch_size=1)
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not alive(pid))


@only_ours
def test_results_as_a_generator():
    results = joblib.Parallel(n_jobs=2, return_as="generator")(
        joblib.delayed(pow)(i, 2) for i in range(30)
    )
    assert list(results) == [i * i for i in range(30)]


@only_ours
def test_it_connects_by_itself():
    out, _ = run_program(
        """
        import joblib, os
        from eagleray.util.joblib import register_ray
        register_ray()
        with joblib.parallel_config(backend="ray", n_jobs=-1):
            pids = joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(4))
        print(os.getpid() in pids)
        """
    )
    assert out == "False\n"


def test_a_worker_that_is_killed_is_an_error_and_no_wait():
    import os
    import signal

    with joblib.parallel_backend("ray"):
        with pytest.raises(ray.exceptions.RayActorError):
            joblib.Parallel(n_jobs=2)(
                joblib.delayed(lambda i: os.kill(os.getpid(), signal.SIGKILL) if i == 3 else i)(i)
                for i in range(8)
            )
        assert joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(i) for i in (-1, 2)) == [1, 2]
