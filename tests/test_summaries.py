import gc
import subprocess
import sys
import weakref
from pathlib import Path

import gymnasium
import pytest
from gymnasium.wrappers import RecordEpisodeStatistics

from atari_wrappers import (
    ClipReward,
    EpisodicLife,
    FireReset,
    NumpySummaries,
    StartWithRandomActions,
    TensorboardSummaries,
    nature_dqn_env,
)
from env_batch import EnvBatch
from tests.toys import Arcade, Counting
from training.curves import read_curves

GAME = "SpaceInvadersNoFrameskip-v4"
ARCADE_SCORE = 78  # a whole game pays 1 + 2 + … + 12


def scores_of(lengths, steps):
    """Numpy summaries of a batch of Counting games after some steps."""
    return play(NumpySummaries(EnvBatch([Counting(length) for length in lengths])), steps)


def play(env, steps):
    """Resets an environment, or a batch, and steps it."""
    env.reset()
    for _ in range(steps):
        env.step([0] * env.nenvs if env.nenvs else 0)
    return env


def steps_of(folder, tag="Episodes/reward_mean_100"):
    """Returns the agent steps of a curve's points."""
    return read_curves(folder)[tag][0].tolist()


def test_summaries_average_over_environments_that_finished_a_game():
    env = scores_of([2, 3, 50], 6)  # scores 25, 35 and none yet
    values = NumpySummaries.get_values
    assert values("Episodes/reward_mean_100").tolist() == [25.0, 30.0, 30.0, 30.0]
    assert values("Episodes/games").tolist() == [1, 1, 1, 2]
    assert values("Episodes/total")[-1] == 30.0
    assert (values("Episodes/minimum")[-1], values("Episodes/maximum")[-1]) == (25.0, 35.0)
    assert values("Episodes/length")[-1] == 2.5
    assert env.step_var == 18 and env.reward_mean_100 == 30.0


def test_reward_mean_100_forgets_games_before_the_last_hundred():
    env = scores_of([1], 1)
    state = env.state_dict()
    env.load_state_dict({**state, "games": [[15.0] + 99 * [0.0]]})
    assert env.reward_mean_100 == 0.15
    env.step([0])
    assert env.reward_mean_100 == 0.15
    env.step([0])
    assert env.reward_mean_100 == 0.30


def test_summaries_of_lost_lives_wait_for_the_whole_game():
    env = play(NumpySummaries(EnvBatch([EpisodicLife(Arcade())])), 11)
    assert env.reward_mean_100 is None
    env.step([0])
    assert env.reward_mean_100 == ARCADE_SCORE


def test_summaries_serve_a_single_environment():
    play(NumpySummaries(Counting(2)), 2)
    assert NumpySummaries.get_values("Episodes/reward_mean_100").tolist() == [25.0]


def test_a_game_that_is_broken_off_is_not_counted():
    env = play(play(NumpySummaries(Counting(3)), 1), 2)
    assert env.step(0)[4]["episode"] == {"r": 35.0, "l": 3}


@pytest.mark.parametrize(
    "wrap", [lambda env: env, FireReset, lambda env: StartWithRandomActions(env, 3)]
)
def test_a_game_resumed_after_a_lost_life_is_counted_whole(wrap):
    env = NumpySummaries(wrap(EpisodicLife(Arcade())))
    env.reset(seed=1)  # draws a no-op for both resets
    pressed = env.unwrapped.frame  # in the reset, which no agent step sees
    while not env.step(0)[2]:
        pass
    env.reset()
    between = env.unwrapped.frame - 6
    while not env.step(0)[2]:
        pass
    unseen = sum(range(pressed + 1)) + sum(range(7, 7 + between))
    assert env.reward_mean_100 == ARCADE_SCORE - unseen


def test_a_seed_after_a_lost_life_starts_a_new_score():
    env = play(NumpySummaries(EpisodicLife(Arcade())), 6)
    env.reset(seed=3)
    while env.reward_mean_100 is None:
        if env.step(0)[2]:
            env.reset()
    assert env.reward_mean_100 == ARCADE_SCORE


def test_an_episode_that_an_environment_reports_itself_is_kept():
    env = play(NumpySummaries(ClipReward(RecordEpisodeStatistics(Counting(2)))), 2)
    assert env.reward_mean_100 == 25.0  # raw, as it was below the clipping


def test_summaries_of_one_environment_are_made_again_from_their_spec(tmp_path):
    env = TensorboardSummaries(gymnasium.make("CartPole-v1"), str(tmp_path))
    again = gymnasium.make(env.spec)
    assert str(again) == str(env) and again.logdir == tmp_path
    assert str(env).count("RecordScores") == 1


def test_numpy_summaries_name_what_there_is():
    scores_of([1], 1)
    with pytest.raises(
        KeyError, match="nothing was recorded as 'reward_mean_100'; there are .*Episodes/games"
    ):
        NumpySummaries.get_values("reward_mean_100")


def test_clear_forgets_what_was_recorded():
    env = scores_of([1], 3)
    NumpySummaries.clear()
    with pytest.raises(KeyError, match="nothing was recorded as 'Episodes/total'"):
        NumpySummaries.get_values("Episodes/total")
    env.step([0])
    assert NumpySummaries.get_values("Episodes/total").tolist() == [15.0]


def test_get_values_reads_the_newest_environment():
    older, newer = scores_of([1], 1), scores_of([2], 2)
    older.step([0])
    assert NumpySummaries.get_values("Episodes/total").tolist() == [25.0]
    assert older.reward_mean_100 == 15.0 and newer.reward_mean_100 == 25.0


def test_tensorboard_summaries_write_raw_scores_against_agent_steps(tmp_path):
    env = TensorboardSummaries(EnvBatch([Counting(2), Counting(3)]), tmp_path / "run")
    assert not (tmp_path / "run").exists() and env.path is None
    play(ClipReward(env), 3).close()
    steps, scores, _ = read_curves(tmp_path / "run")["Episodes/reward_mean_100"]
    assert steps.tolist() == [4, 6] and scores.tolist() == [25.0, 30.0]
    assert [env.path] == list((tmp_path / "run").iterdir())


def test_tensorboard_summaries_resume_and_drop_what_a_lost_run_drew_later(tmp_path):
    def sitting(steps, state=None):
        env = TensorboardSummaries(EnvBatch([Counting(1)]), tmp_path)
        if state:
            env.load_state_dict(state)
        state = play(env, steps).state_dict()
        env.step([0])  # drawn, but not in the state: lost
        env.close()
        return state

    sitting(3, sitting(4))
    assert steps_of(tmp_path) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_points_are_on_the_disk_once_their_state_is_told(tmp_path):
    play(TensorboardSummaries(EnvBatch([Counting(1)]), tmp_path), 5).state_dict()
    assert steps_of(tmp_path) == [1, 2, 3, 4, 5]


def test_points_that_wait_for_seconds_are_written_by_the_next_step(tmp_path, monkeypatch):
    env = play(TensorboardSummaries(EnvBatch([Counting(100)]), tmp_path), 1)
    env.add_summary("A2C/loss", 1.0)
    env.add_summary("A2C/entropy", 1.0)
    assert steps_of(tmp_path, "A2C/loss") == [1] and "A2C/entropy" not in read_curves(tmp_path)
    monkeypatch.setattr("time.monotonic", lambda: float("inf"))
    env.step([0])
    assert steps_of(tmp_path, "A2C/entropy") == [1]


def test_an_environment_that_is_gone_leaves_its_points(tmp_path):
    env = play(TensorboardSummaries(EnvBatch([Counting(1)]), tmp_path), 3)
    gone = weakref.ref(env)
    del env
    gc.collect()
    assert gone() is None and steps_of(tmp_path) == [1, 2, 3]


@pytest.mark.parametrize(
    ("ending", "code"), [("", 0), ("raise ValueError('a mistake')", 1), ("sys.exit(3)", 3)]
)
def test_a_program_that_ends_without_close_leaves_every_point(tmp_path, ending, code):
    program = f"""
import sys
from env_batch import EnvBatch
from tests.toys import Counting
from training.summaries import TensorboardSummaries
env = TensorboardSummaries(EnvBatch([Counting(2)]), sys.argv[1])
env.reset()
for _ in range(6):
    env.step([0])
{ending}
"""
    arguments = [sys.executable, "-c", program, str(tmp_path)]
    ended = subprocess.run(arguments, cwd=Path(__file__).parent.parent, capture_output=True)
    assert ended.returncode == code, ended.stderr.decode()
    assert steps_of(tmp_path) == [2, 4, 6]


def test_points_stay_in_their_folder_when_the_current_one_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env = TensorboardSummaries(EnvBatch([Counting(1)]), "logs")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    play(env, 3).close()
    assert steps_of(tmp_path / "logs") == [1, 2, 3]


def test_two_runs_without_a_name_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("A2C_OUT", str(tmp_path))
    folders = [nature_dqn_env(GAME, nenvs=1).env.logdir for _ in range(2)]
    assert all(folder.parent == tmp_path / "logs" and GAME in folder.name for folder in folders)
    assert folders[0] != folders[1]
