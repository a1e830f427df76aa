import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import gym
import gymnasium
import numpy as np
import psutil
import pytest
import shimmy.openai_gym_compatibility
import torch
from ale_py.vector_env import AtariVectorEnv
from gymnasium.spaces import Discrete

import env_batch
from atari_wrappers import atari_stack, make_atari
from env_batch import (
    AtariEnvBatch,
    EnvBatch,
    ParallelEnvBatch,
    SingleEnvBatch,
    SpaceBatch,
    WorkerError,
    scale_frames,
    scale_stacks,
    spread_seeds,
)
from tests.toys import Counting, Failing, OldGym21, OldGym26

GAME = "SpaceInvadersNoFrameskip-v4"
CONTEXTS = [
    name
    for name in ("fork", "forkserver", "spawn")
    if name in multiprocessing.get_all_start_methods()
]


# A lambda reaches workers by value: they import the wrappers, but neither this file nor torch.
one_game = lambda: atari_stack(make_atari(GAME), episodic_life=True)  # noqa: E731


def in_process(nenvs, seeds):
    return EnvBatch([one_game() for _ in range(nenvs)], seeds)


def in_workers(nenvs, seeds, context=None):
    return ParallelEnvBatch(one_game, nenvs, seeds, context=context)


BATCHES = {
    "EnvBatch": (in_process, 3),
    "SingleEnvBatch": (lambda nenvs, seeds: SingleEnvBatch(one_game(), seeds), 1),
    "ParallelEnvBatch": (in_workers, 3),
    "AtariEnvBatch": (partial(AtariEnvBatch, GAME), 3),
}


@pytest.fixture(params=BATCHES)
def make_batch(request):
    """A function from seeds to a batch of the real game, closed at the end."""
    make, nenvs = BATCHES[request.param]
    made = []

    def make_one(seeds=5):
        made.append(make(nenvs, seeds))
        return made[-1]

    yield make_one
    for batch in made:
        batch.close()


def play(batch, steps, seed=0):
    """Steps with random actions; returns everything that came back, one tuple per step."""
    rng = np.random.default_rng(seed)
    return [batch.step(rng.integers(6, size=batch.nenvs)) for _ in range(steps)]


def test_step_returns_arrays_of_the_contract(make_batch):
    batch = make_batch()
    n = batch.nenvs
    obs, infos = batch.reset()
    assert obs.shape == (n, 4, 84, 84) and obs.dtype == np.float32 and len(infos) == n
    assert obs.min() == 0 and 0.3 < obs.max() <= 1
    obs, rewards, terminated, truncated, infos = batch.step(np.zeros(n, int))
    assert obs.shape == (n, 4, 84, 84) and obs.dtype == np.float32
    assert rewards.shape == (n,) and rewards.dtype == np.float32
    assert (
        terminated.shape == truncated.shape == (n,) and terminated.dtype == truncated.dtype == bool
    )
    assert [type(info) for info in infos] == [dict] * n
    assert batch.action_space.shape == (n,) and batch.action_space.spaces[0].n == 6
    assert batch.observation_space.contains(obs)


def test_a_game_of_three_lives_is_counted_once_with_its_raw_score(make_batch):
    batch = make_batch()
    batch.reset()
    scores, lengths, lives_lost = (
        np.zeros(batch.nenvs),
        np.zeros(batch.nenvs, int),
        np.zeros(batch.nenvs, int),
    )
    games = 0
    for obs, rewards, terminated, truncated, infos in play(batch, 900):
        scores += rewards
        lengths += 1
        for i, info in enumerate(infos):
            assert ("final_obs" in info) == bool(terminated[i] or truncated[i])
            lives_lost[i] += info.get("life_lost", False)
            if info.get("life_lost"):
                assert "episode" not in info
                assert np.array_equal(info["final_obs"], obs[i])  # the game goes on from here
            if "episode" in info:
                assert (info["episode"]["r"], info["episode"]["l"]) == (scores[i], lengths[i])
                assert lives_lost[i] == 2 and terminated[i]
                assert (
                    obs[i, :3].max() == 0 < obs[i, 3].max()
                )  # a new game: zeros before its first frame
                assert info["final_obs"].shape == (4, 84, 84) and info["final_obs"][0].max() > 0
                scores[i] = lengths[i] = lives_lost[i] = 0
                games += 1
    assert games >= batch.nenvs and scores.max() < 2000


def test_the_same_seed_repeats_a_run_exactly(make_batch):
    first, second, other = make_batch(5), make_batch(5), make_batch(6)
    starts = [batch.reset()[0] for batch in (first, second, other)]
    runs = [play(batch, 120) for batch in (first, second, other)]
    assert np.array_equal(starts[0], starts[1])
    for a, b in zip(runs[0], runs[1], strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a[:4], b[:4], strict=True))
    assert any(not np.array_equal(a[0], c[0]) for a, c in zip(runs[0], runs[2], strict=True))


def test_reset_takes_a_seed_and_then_goes_on_at_random(make_batch):
    batch = make_batch(None)
    first = batch.reset(seed=3)[0], play(batch, 30)[-1][0]
    again = batch.reset(seed=3)[0], play(batch, 30)[-1][0]
    unseeded = batch.reset()[0], play(batch, 30)[-1][0]
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], unseeded[1])


@pytest.mark.parametrize("make", [in_process, in_workers, partial(AtariEnvBatch, GAME)])
def test_environments_of_one_seed_differ(make):
    batch = make(3, 11)
    batch.reset()
    obs = [batch.step([0, 0, 0])[0] for _ in range(40)][-1]
    assert not np.array_equal(obs[0], obs[1]) and not np.array_equal(obs[1], obs[2])
    batch.close()


@pytest.mark.parametrize("context", CONTEXTS)
def test_workers_play_what_one_process_plays_under_every_start_method(context):
    alone, workers = in_process(3, 5), in_workers(3, 5, context)
    assert np.array_equal(alone.reset()[0], workers.reset()[0])
    for here, there in zip(play(alone, 150), play(workers, 150), strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(here[:4], there[:4], strict=True))
        for mine, theirs in zip(here[4], there[4], strict=True):
            assert np.array_equal(mine.get("final_obs"), theirs.get("final_obs"))
            assert mine.get("life_lost") == theirs.get("life_lost")
    workers.close()


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (
            lambda n: np.zeros(n + 1, int),
            r"actions have the shape \(\d,\), expected \(\d,\): one per",
        ),
        (lambda n: np.zeros((n, 1), int), r"actions have the shape \(\d, 1\), expected"),
        (
            lambda n: np.full(n, 6),
            r"action (np.int64\()?6\)? of environment 0 is outside Discrete\(6\)",
        ),
        (
            lambda n: np.full(n, -1),
            r"action (np.int64\()?-1\)? of environment 0 is outside Discrete\(6\)",
        ),
        (lambda n: np.full(n, 0.5), r"action .*0.5.* of environment 0 is outside Discrete\(6\)"),
    ],
)
def test_bad_actions_are_named_and_the_batch_goes_on(make_batch, actions, message):
    batch = make_batch()
    batch.reset()
    with pytest.raises(ValueError, match=message):
        batch.step(actions(batch.nenvs))
    batch.step([0] * batch.nenvs)


@pytest.mark.parametrize("kind", ["EnvBatch", "ParallelEnvBatch"])
def test_an_ended_episode_starts_again_within_the_step(kind):
    makes = [
        partial(Counting, 3, False, 0),
        partial(Counting, 2, True, 1),
        partial(Counting, 9, False, 2),
    ]
    batch = (
        ParallelEnvBatch(makes)
        if kind == "ParallelEnvBatch"
        else EnvBatch([make() for make in makes])
    )
    obs, _ = batch.reset()
    assert obs.tolist() == [[0, 0], [0, 1], [0, 2]]
    steps = [batch.step([0, 1, 2]) for _ in range(4)]
    assert [step[0][:, 0].tolist() for step in steps] == [
        [1, 1, 1],
        [2, 0, 2],
        [0, 1, 3],
        [1, 0, 4],
    ]
    assert [step[1].tolist() for step in steps] == [
        [10, 10, 10],
        [10, 15, 10],
        [15, 10, 10],
        [10, 15, 10],
    ]
    assert [step[2].tolist() for step in steps] == [[0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert [step[3].tolist() for step in steps] == [[0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 1, 0]]
    assert steps[1][4][1]["final_obs"].tolist() == [2, 1] and steps[1][4][1]["episode"] == {
        "r": 25.0,
        "l": 2,
    }
    assert steps[2][4][0]["final_obs"].tolist() == [3, 0] and steps[2][4][0]["episode"] == {
        "r": 35.0,
        "l": 3,
    }
    assert "final_obs" not in steps[3][4][0] and "episode" not in steps[3][4][2]
    batch.close()


def test_observations_are_not_changed_by_later_steps():
    batch = ParallelEnvBatch(Counting, 2)
    first, _ = batch.reset()
    kept = first.copy()
    batch.step([0, 0])
    assert np.array_equal(first, kept)
    batch.close()


def test_truncation_of_the_real_game_is_told_apart_from_termination(monkeypatch):
    """The two paths count the frames before the first observation differently: 1 FIRE here."""
    kwargs = gymnasium.registry[GAME].kwargs
    monkeypatch.setitem(kwargs, "max_num_frames_per_episode", 201)
    threads = AtariEnvBatch(GAME, 1, 1, max_random_actions=1)
    game = atari_stack(make_atari(GAME), episodic_life=True, max_random_actions=1)
    for batch, length in ((threads, 51), (SingleEnvBatch(game, 1), 50)):
        batch.reset()
        ends = [(step[2][0], step[3][0]) for step in play(batch, 110)]
        assert [t + 1 for t, (_, cut) in enumerate(ends) if cut] == [length, 2 * length]
        assert not any(terminated for terminated, _ in ends)


def test_a_step_that_was_interrupted_makes_no_game_of_a_lost_life():
    batch = AtariEnvBatch(GAME, 4, 5)
    batch.reset()
    rng, lives_lost = np.random.default_rng(0), 0
    for _ in range(300):
        batch._vector.step(rng.integers(6, size=4))  # its result never arrived
        *_, infos = batch.step(rng.integers(6, size=4))
        for info in infos:
            lives_lost += info.get("life_lost", False)
            assert "episode" not in info or info["episode"]["l"] > 100
    assert lives_lost >= 2


def test_a_closed_batch_says_so_and_may_be_closed_again(make_batch):
    batch = make_batch()
    batch.reset()
    batch.close()
    batch.close()
    with pytest.raises(RuntimeError, match="this batch is closed: make a new one"):
        batch.step([0] * batch.nenvs)
    with pytest.raises(RuntimeError, match="this batch is closed: make a new one"):
        batch.reset()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((GAME, 0), "nenvs is 0, expected an integer of at least 1"),
        (("CartPole-v1", 2), "'CartPole-v1' skips frames itself or is no Atari game"),
    ],
)
def test_the_threads_refuse_what_would_crash_them(arguments, message):
    with pytest.raises(ValueError, match=message):
        AtariEnvBatch(*arguments)


def test_spread_seeds_gives_each_environment_its_own():
    assert spread_seeds(None, 2) == [None, None]
    assert spread_seeds([4, 5], 2) == [4, 5]
    assert len(set(spread_seeds(0, 64) + spread_seeds(1, 64))) == 128
    assert spread_seeds(0, 4) == spread_seeds(0, 8)[:4]


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ([1, 2], "2 seeds for 3 environments: give one int, or a list of 3"),
        (-1, "the seed -1 is not an integer from 0"),
        ([1, 2, 2**31], "the seed 2147483648 is not an integer from 0"),
        ([1, 2, None], "the seed None is not an integer from 0"),
    ],
)
def test_bad_seeds_are_named(seed, message):
    with pytest.raises(ValueError, match=message):
        EnvBatch([Counting() for _ in range(3)], seed)


def test_space_batch_samples_and_contains_arrays():
    space = SpaceBatch([Discrete(5), Discrete(5)])
    space.seed(0)
    samples = np.stack([space.sample() for _ in range(50)])
    assert samples.shape == (50, 2) and set(samples.ravel()) == {0, 1, 2, 3, 4}
    assert not np.array_equal(samples[:, 0], samples[:, 1])
    assert space.contains(np.array([0, 4])) and not space.contains(np.array([0, 5]))
    assert not space.contains(np.array([0]))
    assert space.n == 5


def test_space_batch_of_other_spaces_has_no_n():
    space = SpaceBatch([Counting.observation_space] * 2)
    with pytest.raises(AttributeError, match=r"a batch of Box\(.* has no n: only one of Discrete"):
        _ = space.n


def test_a_batch_of_unlike_or_no_environments_is_refused():
    with pytest.raises(
        ValueError, match="environment 1 has the space Box.*all of a batch must agree"
    ):
        EnvBatch([Counting(), gymnasium.make("CartPole-v1")])
    with pytest.raises(ValueError, match="at least one environment, got none"):
        EnvBatch([])
    with pytest.raises(TypeError, match="'CartPole-v1' is no environment.*not their names"):
        EnvBatch(["CartPole-v1"])
    with pytest.raises(ValueError, match="expected one of arrays"):
        SpaceBatch([gymnasium.spaces.Dict(a=Discrete(2))])
    with pytest.raises(ValueError, match="the seed -1 is not an integer"):
        EnvBatch([Counting()]).reset(seed=-1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(make_env=Counting, nenvs=0), "nenvs is 0, expected an integer of at least 1"),
        (dict(make_env=Counting, nenvs=2.0), "nenvs is 2.0, expected an integer of at least 1"),
        (dict(make_env=[Counting] * 2, nenvs=3), "nenvs is 3, but make_env holds 2 functions"),
        (dict(make_env=[]), "the number of functions in make_env is 0"),
    ],
)
def test_parallel_batch_refuses_bad_counts(arguments, message):
    with pytest.raises(ValueError, match=message):
        ParallelEnvBatch(**arguments)


def failing_batch(how, context=None, timeout=60.0):
    """A batch that has made one step, and its workers."""
    before = multiprocessing.active_children()
    makes = [Counting, Counting, partial(Failing, how)]
    batch = ParallelEnvBatch(makes, context=context, timeout=timeout)
    batch.reset()
    batch.step([0] * 3)
    workers = [worker for worker in multiprocessing.active_children() if worker not in before]
    assert len(workers) == 3
    return batch, sorted(workers, key=lambda worker: worker.pid)


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize(
    ("how", "timeout", "message"),
    [
        ("raise", 60, "environment 2 raised an error; its traceback:"),
        ("die", 60, r"workers died; exit codes by environment: \{2: 9\}"),
        ("hang", 2, r"environments \[2\] did not answer within 2 s"),
    ],
)
def test_a_worker_that_fails_ends_in_one_error_and_no_process_is_left(
    how, timeout, message, context
):
    batch, workers = failing_batch(how, context, timeout)
    began = time.monotonic()
    with pytest.raises(WorkerError, match=message) as error:
        batch.step([0] * 3)
    assert time.monotonic() - began < 10
    if how == "raise":
        assert "ZeroDivisionError: 100 % of it: the ball is out of the park" in str(error.value)
    assert not any(worker.is_alive() for worker in workers)
    with pytest.raises(RuntimeError, match="this batch is closed"):
        batch.step([0] * 3)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("kill", r"workers died; exit codes by environment: \{\d: "),
        ("suspend", r"environments \[\d\] did not answer within 2 s"),
    ],
)
def test_workers_that_are_killed_or_stopped_from_outside_are_ended(how, message):
    batch, workers = failing_batch("not at all", timeout=2)
    getattr(psutil.Process(workers[1].pid), how)()
    began = time.monotonic()
    with pytest.raises(WorkerError, match=message):
        batch.step([0] * 3)
    assert time.monotonic() - began < 10
    assert not any(worker.is_alive() for worker in workers)


def test_an_environment_that_cannot_be_made_in_its_worker_says_why():
    batch = ParallelEnvBatch([Counting, partial(Counting, tgas=1)])
    with pytest.raises(WorkerError, match="environment 1 raised(.|\n)*keyword argument 'tgas'"):
        batch.reset()


def test_a_worker_that_hangs_does_not_keep_the_batch_from_closing():
    batch, workers = failing_batch("not at all")
    psutil.Process(workers[0].pid).suspend()
    began = time.monotonic()
    batch.close()
    assert time.monotonic() - began < 10
    assert not any(worker.is_alive() for worker in workers)


def interrupt_after(monkeypatch, owner, method, calls, interrupt):
    """Interrupts once the method has done its work for the given number of times."""
    original, left = getattr(owner, method), [calls]

    def interrupted(self, *args):
        answer = original(self, *args)
        left[0] -= 1
        if left[0] == 0:
            interrupt()
        return answer

    monkeypatch.setattr(owner, method, interrupted)


MOMENTS = [(method, calls) for method in ("send", "poll", "recv") for calls in (1, 2, 3)]
PIPE = type(multiprocessing.Pipe()[0])


@pytest.mark.parametrize(("method", "calls"), MOMENTS)
def test_a_step_that_is_interrupted_at_any_moment_leaves_the_next_one_right(
    method, calls, monkeypatch
):
    batch = ParallelEnvBatch(partial(Counting, 2), 3)
    batch.reset()
    press = partial(signal.raise_signal, signal.SIGINT)
    interrupt_after(monkeypatch, PIPE, method, calls, press)
    with pytest.raises(KeyboardInterrupt):
        batch.step([0] * 3)
    monkeypatch.undo()
    _, rewards, terminated, _, infos = batch.step([0] * 3)
    assert rewards.tolist() == [15] * 3 and terminated.all()
    assert [info["final_obs"].tolist() for info in infos] == [[2, 0]] * 3
    assert [info["episode"] for info in infos] == [{"r": 25.0, "l": 2}] * 3
    batch.close()


@pytest.mark.parametrize(("method", "calls"), MOMENTS)
def test_an_exception_that_breaks_into_a_step_closes_the_batch(method, calls, monkeypatch):
    batch, workers = failing_batch("not at all")

    def interrupt():
        raise KeyboardInterrupt

    interrupt_after(monkeypatch, PIPE, method, calls, interrupt)
    with pytest.raises(KeyboardInterrupt):
        batch.step([0] * 3)
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match="this batch is closed: make a new one"):
        batch.step([0] * 3)
    assert not any(worker.is_alive() for worker in workers)


def test_one_thread_steps_as_many_do_and_is_bound_to_no_core(monkeypatch):
    made = []

    def vector(*given, **ways):
        made.append((ways["num_threads"], ways["thread_affinity_offset"]))
        return AtariVectorEnv(*given, **ways)

    monkeypatch.setattr(env_batch, "AtariVectorEnv", vector)
    monkeypatch.setattr(env_batch, "_first_core", lambda nenvs: 0)
    one, many = AtariEnvBatch(GAME, 2, 5, threads=1), AtariEnvBatch(GAME, 2, 5)
    assert made == [(1, -1), (0, 0)]
    assert np.array_equal(one.reset()[0], many.reset()[0])
    for _step in range(20):
        ours, theirs = one.step([1, 3]), many.step([1, 3])
        assert np.array_equal(ours[0], theirs[0]) and np.array_equal(ours[1], theirs[1])
    for batch in (one, many):
        batch.close()


def test_an_interrupted_step_of_the_threads_leaves_the_next_one_right(monkeypatch):
    batch, twin = AtariEnvBatch(GAME, 2, 5), AtariEnvBatch(GAME, 2, 5)
    for one in (batch, twin):
        one.reset()
        play(one, 60)
    press = partial(signal.raise_signal, signal.SIGINT)
    interrupt_after(monkeypatch, AtariVectorEnv, "send", 1, press)
    with pytest.raises(KeyboardInterrupt):
        batch.step([2, 3])
    monkeypatch.undo()
    twin.step([2, 3])
    assert np.array_equal(batch.step([1, 4])[0], twin.step([1, 4])[0])
    for one in (batch, twin):
        one.close()


@pytest.mark.parametrize(("presses", "steps_made"), [(1, 1), (2, 0)])
def test_one_interrupt_waits_for_the_step_and_a_second_one_does_not(presses, steps_made):
    class Interrupted(Counting):
        def step(self, action):
            for _ in range(presses):
                signal.raise_signal(signal.SIGINT)
            return super().step(action)

    env = Interrupted()
    batch = EnvBatch([env])
    batch.reset()
    with pytest.raises(KeyboardInterrupt):
        batch.step([0])
    assert env.count == steps_made


def test_a_batch_is_stepped_in_a_thread_too():
    batch = EnvBatch([Counting()])
    batch.reset()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(batch.step, [0]).result()[0].tolist() == [[1, 0]]


ORPHANS = """
import multiprocessing, sys, time
from env_batch import ParallelEnvBatch
from tests.toys import Counting
if __name__ == "__main__":
    batch = ParallelEnvBatch(Counting, 3, context=sys.argv[1])
    batch.reset()
    print(*[worker.pid for worker in multiprocessing.active_children()], flush=True)
    time.sleep(1000)
"""


@pytest.mark.parametrize("context", CONTEXTS)
def test_workers_end_when_their_parent_is_killed(context, tmp_path):
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    parent = subprocess.Popen(
        [sys.executable, script, context], stdout=subprocess.PIPE, text=True, env=environment
    )
    workers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(workers) == 3
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("old", "tag"), [(OldGym26, 26), (OldGym21, 21)])
@pytest.mark.parametrize("parallel", [False, True])
def test_environments_of_the_older_gym_interface_are_converted(old, tag, parallel):
    batch = ParallelEnvBatch(old, 2) if parallel else EnvBatch([old(), old()])
    obs, _ = batch.reset(seed=1)
    assert obs.tolist() == [[0, tag], [0, tag]]
    steps = [batch.step([0, 1]) for _ in range(3)]
    assert [step[0][0, 0] for step in steps] == [1, 2, 0]
    assert steps[2][2].tolist() == [True, True] and steps[2][4][1]["episode"] == {"r": 6.0, "l": 3}
    batch.close()


@pytest.mark.filterwarnings("ignore")
def test_an_older_environment_made_by_gym_is_converted_and_truncates():
    batch = EnvBatch([gym.make("MountainCar-v0", max_episode_steps=3)])
    batch.reset(seed=1)
    steps = [batch.step([1]) for _ in range(3)]
    assert [step[3][0] for step in steps] == [False, False, True] and not steps[2][2][0]
    assert steps[2][4][0]["episode"] == {"r": -3.0, "l": 3}


def test_an_older_environment_without_gym_is_one_clear_error(monkeypatch):
    missing = ImportError("No module named 'gym'")
    monkeypatch.setattr(shimmy.openai_gym_compatibility, "GYM_IMPORT_ERROR", missing)
    with pytest.raises(TypeError, match='OldGym21 is no gymnasium.Env.*pip install "gym==0.26.2"'):
        EnvBatch([OldGym21()])


def test_batches_that_cannot_draw_say_what_can():
    for batch in (AtariEnvBatch(GAME, 1), ParallelEnvBatch(Counting, 1)):
        with pytest.raises(NotImplementedError, match="draws no pictures: make one environment"):
            batch.render()
        batch.close()


def test_stacks_are_the_same_numbers_in_the_order_that_convolutions_read():
    stacks = np.random.default_rng(0).integers(0, 256, (3, 4, 84, 84), dtype=np.uint8)
    scaled = scale_stacks(stacks)
    assert scaled.dtype == np.float32 and np.array_equal(scaled, scale_frames(stacks))
    assert torch.from_numpy(scaled).is_contiguous(memory_format=torch.channels_last)
    merged = torch.from_numpy(np.concatenate([scaled, scaled]))
    assert merged.is_contiguous(memory_format=torch.channels_last)


def test_the_threads_batch_gives_stacks_in_that_order():
    batch = AtariEnvBatch(GAME, 2, seeds=5)
    for obs in (batch.reset()[0], batch.step([0, 1])[0]):
        assert torch.from_numpy(obs).is_contiguous(memory_format=torch.channels_last)
    batch.close()


@pytest.mark.parametrize(
    ("nenvs", "cores", "usable", "first"), [(16, 2, 2, 0), (16, 8, 4, -1), (4, 8, 8, -1)]
)
def test_threads_are_bound_to_cores_only_where_all_cores_are_theirs(
    nenvs, cores, usable, first, monkeypatch
):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(usable)), raising=False)
    started = {}

    def start(*args, **kwargs):
        started.update(kwargs)
        return AtariVectorEnv(*args, **kwargs)

    monkeypatch.setattr(env_batch, "AtariVectorEnv", start)
    AtariEnvBatch(GAME, nenvs).close()
    assert started["thread_affinity_offset"] == first
