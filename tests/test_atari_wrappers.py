import warnings
from functools import partial

import gymnasium
import imageio.v3 as iio
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordVideo

import atari_wrappers as aw
from env_batch import AtariEnvBatch, EnvBatch
from runners import EnvRunner
from tests.toys import Arcade, Counting

GAME = "SpaceInvadersNoFrameskip-v4"


def test_fire_reset_returns_what_is_seen_after_fire():
    env = aw.FireReset(Arcade())
    obs, _ = env.reset()
    assert env.unwrapped.presses == [1] and obs.max() == 1


def test_fire_reset_refuses_a_game_without_fire():
    with pytest.raises(ValueError, match="no action FIRE, only .'NOOP'.*leave FireReset out"):
        aw.FireReset(gymnasium.make("MsPacmanNoFrameskip-v4"))


def test_start_with_random_actions_draws_their_number_from_the_seed():
    env = aw.StartWithRandomActions(Arcade(), 5)
    starts = [env.reset(seed=seed)[0].max() for seed in range(60)]
    assert set(starts) == {0, 1, 2, 3, 4} and not any(env.unwrapped.presses)
    assert starts[:9] == [env.reset(seed=seed)[0].max() for seed in range(9)]
    assert len({env.reset()[0].max() for _ in range(40)}) == 5


def test_max_between_frames_shows_sprites_that_flicker():
    env = aw.MaxBetweenFrames(Arcade())
    frames = {0: [0, 7], 1: [5, 0], 2: [0, 6]}
    env.unwrapped._observe = lambda: np.array(frames[env.unwrapped.frame], np.uint8)
    assert env.reset()[0].tolist() == [0, 7]
    assert [env.step(0)[0].tolist() for _ in range(2)] == [[5, 7], [5, 6]]


def test_skip_frames_adds_rewards_and_stops_where_the_game_ends():
    env = aw.SkipFrames(Arcade(), 5)
    env.reset()
    steps = [env.step(2) for _ in range(3)]
    assert [step[0].max() for step in steps] == [5, 10, 12]
    assert [step[1] for step in steps] == [15.0, 40.0, 23.0]
    assert [step[2] for step in steps] == [False, False, True]
    assert env.metadata["render_fps"] == 12


@pytest.mark.parametrize("action", [-1, 3, 0.5])
def test_skip_frames_refuses_an_action_outside_the_space(action):
    env = aw.SkipFrames(Arcade(), 5)
    env.reset()
    with pytest.raises(
        ValueError, match=f"action {action} is outside Discrete.3.: choose one inside"
    ):
        env.step(action)


def test_image_preprocessing_resizes_by_area_and_turns_gray():
    env = aw.ImagePreprocessing(Arcade(), height=2, width=1)
    frame = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert env.observation(frame).tolist() == [[4], [12]]  # means 3.5 and 11.5, rounded to even
    colour = gymnasium.make(GAME)
    gray = aw.ImagePreprocessing(colour, 84, 84)
    obs, _ = gray.reset()
    assert obs.shape == (84, 84) and obs.dtype == np.uint8 and gray.observation_space.contains(obs)
    kept = aw.ImagePreprocessing(colour, 84, 84, grayscale=False)
    assert kept.reset()[0].shape == (84, 84, 3) == kept.observation_space.shape


def test_queue_frames_stacks_zeros_before_the_first_frame():
    env = aw.QueueFrames(Arcade(), 3)
    env.reset()
    assert env.step(0)[0].shape == (4, 4, 3) == env.observation_space.shape
    assert env.step(0)[0][0, 0].tolist() == [0, 1, 2]
    assert env.reset()[0][1, 2].tolist() == [0, 0, 0]
    kept = env.step(0)[0]
    env.step(0)
    assert kept[0, 0].tolist() == [0, 0, 1]


def test_swap_image_axes_gives_floats_from_zero_to_one():
    env = aw.SwapImageAxes(aw.QueueFrames(Arcade(), 3))
    env.reset()
    obs = env.step(0)[0]
    assert (
        obs.shape == (3, 4, 4) and obs.dtype == np.float32 and env.observation_space.contains(obs)
    )
    assert obs[:, 0, 0].tolist() == [0, 0, np.float32(1 / 255)]
    assert env.observation(np.full((1, 1, 1), 255, np.uint8)).tolist() == [[[1.0]]]


def test_a_lost_life_ends_an_episode_and_the_game_goes_on():
    env = aw.EpisodicLife(Arcade())
    env.reset()
    steps = [env.step(0) for _ in range(6)]
    assert [step[2] for step in steps] == [False] * 5 + [True] and steps[5][4]["life_lost"]
    obs, _ = env.reset()
    assert obs.max() == 6 and env.unwrapped.frame == 6
    steps = [env.step(0) for _ in range(6)]
    assert steps[5][2] and "life_lost" not in steps[5][4]
    assert env.reset()[0].max() == 0


def test_a_reset_that_nothing_called_for_starts_a_new_game():
    env = aw.EpisodicLife(Arcade())
    env.reset()
    env.step(0)
    assert env.reset()[0].max() == 0
    for _ in range(6):
        env.step(0)
    assert env.reset(seed=1)[0].max() == 0


def test_clip_reward_keeps_the_sign_of_one_reward_and_of_a_batch():
    one = aw.ClipReward(Counting())
    one.reset()
    assert one.step(0)[1] == 1.0 and one.nenvs is None
    batch = aw.ClipReward(EnvBatch([Counting(), Counting()]))
    batch.reset()
    assert batch.step([0, 0])[1].tolist() == [1.0, 1.0] and batch.nenvs == 2
    assert one.reward(-7.0) == -1.0 and one.reward(0.0) == 0.0


WRAPPERS = {
    "FireReset": aw.FireReset,
    "StartWithRandomActions": partial(aw.StartWithRandomActions, max_random_actions=3),
    "MaxBetweenFrames": aw.MaxBetweenFrames,
    "SkipFrames": partial(aw.SkipFrames, nframes=2),
    "ImagePreprocessing": partial(aw.ImagePreprocessing, height=3, width=2),
    "QueueFrames": partial(aw.QueueFrames, nframes=3),
    "SwapImageAxes": lambda env: aw.SwapImageAxes(aw.QueueFrames(env)),
    "EpisodicLife": aw.EpisodicLife,
    "ClipReward": aw.ClipReward,
}


def check_strictly(env):
    """Passes where gymnasium's own checker says nothing but that there are wrappers."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*is different from the unwrapped version")
        check_env(env)


@pytest.mark.parametrize("name", WRAPPERS)
def test_every_wrapper_passes_gymnasiums_checker_and_is_made_again_from_its_spec(name):
    env = WRAPPERS[name](gymnasium.make("Arcade-v0", render_mode="rgb_array"))
    check_strictly(env)
    again = gymnasium.make(env.spec)
    assert type(again) is type(env) and again.observation_space == env.observation_space
    assert np.array_equal(again.reset(seed=1)[0], env.reset(seed=1)[0])
    assert np.array_equal(again.step(1)[0], env.step(1)[0])


@pytest.mark.parametrize("clip_reward", [True, False])
def test_the_whole_stack_passes_gymnasiums_checker(clip_reward, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")  # the checker also plays for human eyes
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
    env = aw.nature_dqn_env(GAME, nenvs=None, summaries=False, clip_reward=clip_reward)
    check_strictly(env)


@pytest.mark.parametrize("parallel", ["threads", "processes"])
def test_nature_dqn_env_makes_the_batch_of_the_contract(parallel):
    env = aw.nature_dqn_env(GAME, nenvs=2, seed=1, summaries="Numpy", parallel=parallel)
    assert env.action_space.spaces[0].n == 6 and env.nenvs == 2
    obs, _ = env.reset()
    assert obs.shape == (2, 4, 84, 84) and obs.dtype == np.float32
    rng = np.random.default_rng(0)
    rewards = np.concatenate([env.step(rng.integers(6, size=2))[1] for _ in range(200)])
    assert set(rewards.tolist()) == {0.0, 1.0}
    env.close()


def test_nature_dqn_env_makes_one_whole_game():
    env = aw.nature_dqn_env(GAME, seed=1, summaries=False, clip_reward=False)
    obs, _ = env.reset()
    assert obs.shape == (4, 84, 84) and obs.dtype == np.float32 and 0 <= obs.min() <= obs.max() <= 1
    rng = np.random.default_rng(0)
    score, lives = 0.0, set()
    while True:
        obs, reward, terminated, truncated, info = env.step(rng.integers(6))
        score += reward
        lives.add(info["lives"])
        if terminated or truncated:
            break
    assert lives == {0, 1, 2, 3} and info["episode"]["r"] == score > 50
    assert env.render().shape == (210, 160, 3)


def test_episodic_life_of_one_environment_and_of_a_batch_can_be_chosen():
    env = aw.nature_dqn_env(GAME, seed=1, summaries=False, episodic_life=True)
    env.reset()
    rng = np.random.default_rng(0)
    ends = [step[4] for step in (env.step(rng.integers(6)) for _ in range(400)) if step[2]]
    assert ends and ends[0]["life_lost"] and ends[0]["lives"] == 2
    batch = aw.nature_dqn_env(GAME, 1, seed=1, summaries=False, episodic_life=False)
    batch.reset()
    for _ in range(1000):
        _, _, terminated, _, infos = batch.step(rng.integers(6, size=1))
        if terminated[0]:
            break
    assert "episode" in infos[0] and "life_lost" not in infos[0]


def test_one_environment_repeats_from_its_seed():
    def run(seed):
        env = aw.nature_dqn_env(GAME, seed=seed, summaries=False)
        obs = [env.reset()[0]] + [env.step(env.action_space.sample())[0] for _ in range(50)]
        return np.stack(obs + [env.reset()[0]])

    assert np.array_equal(run(4), run(4)) and not np.array_equal(run(4), run(5))


def test_record_video_may_wrap_one_environment_twice(tmp_path):
    env = aw.nature_dqn_env(GAME, seed=1, summaries=False, clip_reward=False)
    for name in ("first", "second"):
        camera = RecordVideo(
            env=env, video_folder=str(tmp_path / name), episode_trigger=lambda n: True
        )
        camera.reset()
        for _ in range(20):
            camera.step(0)
        camera.close()
        (video,) = (tmp_path / name).glob("*.mp4")
        assert iio.improps(video, plugin="FFMPEG").shape[1:] == (210, 160, 3)
        assert iio.immeta(video, plugin="FFMPEG")["fps"] == 15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            dict(env_id="SpaceInvaders-v4"),
            "'SpaceInvaders-v4' skips frames itself.*did you mean 'SpaceInvadersNo",
        ),
        (dict(env_id="ALE/Pong-v5"), "'ALE/Pong-v5' skips frames itself or is no Atari game"),
        (dict(env_id="CartPole-v1"), "'CartPole-v1' skips frames itself or is no Atari game"),
        (
            dict(env_id="SpaceInvaderNoFrameskip-v4"),
            "no game 'SpaceInvaderNoFrameskip-v4'.*did you mean 'SpaceInvadersNoFrameskip-v4'",
        ),
        (dict(env_id=None), "there is no game None"),
        (dict(nenvs=0), "nenvs is 0, expected an integer of at least 1"),
        (dict(nenvs=-3), "nenvs is -3, expected an integer of at least 1"),
        (dict(nenvs="8"), "nenvs is '8', expected an integer of at least 1"),
        (dict(nenvs=3, seed=[1, 2]), "2 seeds for 3 environments"),
        (dict(seed=[1, 2]), "2 seeds for 1 environments"),
        (
            dict(summaries="Tensorbord"),
            r"summaries is 'Tensorbord', expected one of \['Tensorboard', 'Numpy', False\]",
        ),
        (dict(summaries=True), "summaries is True, expected one of"),
        (dict(summaries=None), "summaries is None, expected one of"),
        (
            dict(nenvs=2, parallel="gpu"),
            r"parallel is 'gpu', expected one of \['threads', 'processes'\]",
        ),
    ],
)
def test_nature_dqn_env_names_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        aw.nature_dqn_env(**{"env_id": GAME, **arguments})


@pytest.mark.parametrize("game", ["SpaceInvaders", "Breakout", "Pong", "MsPacman"])
def test_threads_and_wrappers_agree_exactly(game):
    """Given no random start; 2,000 agent steps. Only final_obs of a whole game may differ.

    Where a game ends within the four frames of a step, ALE shows the maximum over frames of the
    step before; the wrappers show the last two frames that there were. Nobody learns from it.
    """
    name = f"{game}NoFrameskip-v4"
    threads = AtariEnvBatch(name, 1, 3, max_random_actions=1)
    stack = aw.atari_stack(aw.make_atari(name), episodic_life=True, max_random_actions=1)
    wrappers = EnvBatch([stack], 3)
    assert np.array_equal(threads.reset()[0], wrappers.reset()[0])
    rng, ends = np.random.default_rng(0), {"life_lost": 0, "episode": 0}
    for _ in range(2000):
        action = rng.integers(threads.action_space.spaces[0].n, size=1)
        one, other = threads.step(action), wrappers.step(action)
        assert all(np.array_equal(x, y) for x, y in zip(one[:4], other[:4], strict=True))
        (mine,), (theirs,) = one[4], other[4]
        for key in ends:
            assert (key in mine) == (key in theirs)
            ends[key] += key in mine
        if "life_lost" in mine:
            assert np.array_equal(mine["final_obs"], theirs["final_obs"])
        if "episode" in mine:
            assert all(mine["episode"][key] == theirs["episode"][key] for key in "rl")
    assert ends["episode"] >= 2 and (ends["life_lost"] >= 4 or game == "Pong")


def random_scores(parallel, games=200, nenvs=16):
    """Whole-game scores of random play, as many from each environment: no bias to short games."""
    env = aw.nature_dqn_env(
        GAME, nenvs, seed=21, summaries=False, clip_reward=False, parallel=parallel
    )
    env.reset()
    rng, scores, share = np.random.default_rng(8), [[] for _ in range(nenvs)], -(-games // nenvs)
    while min(map(len, scores)) < share:
        for i, info in enumerate(env.step(rng.integers(6, size=nenvs))[4]):
            if "episode" in info:
                scores[i].append(info["episode"]["r"])
    env.close()
    return np.array([score for one in scores for score in one[:share]])


@pytest.mark.slow
def test_random_play_scores_alike_in_threads_and_in_wrappers():
    intervals = []
    for parallel in ("threads", "processes"):
        scores = random_scores(parallel)
        half = 1.96 * scores.std(ddof=1) / np.sqrt(len(scores))
        intervals.append((scores.mean() - half, scores.mean() + half))
        print(f"{parallel}: {scores.mean():.1f} ± {half:.1f} over {len(scores)} games")
    (low, high), (other_low, other_high) = intervals
    assert low <= other_high and other_low <= high
    assert 120 < (low + high) / 2 < 180  # the notebook says about 150


def test_what_a_notebook_for_the_public_modules_does_works_unchanged(tmp_path):
    """Given the names that such notebooks use, down to `NatureModel(*obs.shape, n_actions)`."""
    env = aw.nature_dqn_env(GAME, nenvs=2, seed=1, summaries="Numpy")
    obs, _ = env.reset()

    class Model(torch.nn.Module):
        def __init__(self, nenvs, channels, height, width, n_actions):
            super().__init__()
            self.linear = torch.nn.Linear(channels * height * width, n_actions)

    class Agent:
        def __init__(self, model):
            self.model = model

        def act(self, inputs):
            flat = torch.as_tensor(np.array(inputs)).flatten(1)
            logits = self.model.linear(flat)
            return {"actions": logits.argmax(-1).numpy(), "logits": logits}

    agent = Agent(Model(*obs.shape, env.action_space.spaces[0].n))
    runner = EnvRunner(env, agent, nsteps=3, transforms=[lambda trajectory: trajectory.update(n=1)])
    assert runner.get_next()["n"] == 1 and runner.step_var == 6
    film = aw.nature_dqn_env(GAME, seed=1, summaries=False, clip_reward=False)
    for kind in ("False", "True"):
        with RecordVideo(
            env=film, video_folder=str(tmp_path / kind), episode_trigger=lambda n: True
        ) as camera:
            s, _ = camera.reset()
            for _ in range(10):
                s, r, terminated, truncated, info = camera.step(agent.act([s])["actions"][0])
