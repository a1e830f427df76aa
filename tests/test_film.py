"""Videos beside weights: games that they played, games of others, and files that are no videos."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from grading.marking import film, moves
from grading.marking.moves import follow, read_frames
from grading.sandbox import NO_WALL, NoWall, find_wall
from grading.watched import LIMITS
from lesson import videos
from tests import notebook

ROOT = Path(__file__).parent.parent
GAME = "SpaceInvadersNoFrameskip-v4"
PLAYED = ROOT / "videos" / "reference" / "False" / "rl-video-episode-0.mp4"


@pytest.fixture(scope="module")
def wall():
    try:
        return find_wall()
    except NoWall:
        return NO_WALL


@pytest.fixture(scope="module")
def state():
    return torch.load(ROOT / "logs" / "reference" / "weights.pt", weights_only=True)


def save(path, state):
    np.savez(path, **{name: one.numpy() for name, one in state.items()})
    return path


def draw(columns):
    """Frames with a cannon whose middle is at each column; none where the column is below 0."""
    frames = np.zeros((len(columns), 210, 160, 3), np.uint8)
    for frame, column in zip(frames, columns, strict=True):
        if column >= 0:
            frame[185:195, column - 3 : column + 4] = (50, 132, 50)
    return frames


def wishes(rightwards):
    """A network that wants right with these probabilities, left otherwise."""
    rest = iter(rightwards)

    def give(stacks):
        right = np.array([next(rest) for _ in stacks])
        nothing = np.full((len(stacks), 6), 1e-9)
        nothing[:, 2], nothing[:, 5] = right, 1 - right
        return np.log(nothing + 1e-12), np.zeros(len(stacks))

    return give


THERE_AND_BACK = [*range(40, 80, 2), *range(80, 40, -2)]


@pytest.mark.parametrize(
    ("rightwards", "follows"),
    [
        ([1.0] * 19 + [0.0] * 21, 1.0),  # the turn is one step late
        ([0.0] * 19 + [1.0] * 21, -1.0),
        ([1.0, 0.0] * 20, 0.0),
    ],
    ids=["as it goes", "the other way", "by turns"],
)
def test_a_cannon_that_goes_where_the_network_wants_follows_it(rightwards, follows):
    agreement, number = follow(draw(THERE_AND_BACK), wishes(rightwards))
    assert agreement == pytest.approx(follows, abs=0.06) and number == 37


def test_a_cannon_that_explodes_or_jumps_back_to_its_start_does_not_move():
    columns = [40, 42, 44, -1, -1, -1, 100, 100, 100] * 6
    _, number = follow(draw(columns), wishes([1.0] * len(columns)))
    assert number == 6


def test_a_network_that_wants_nothing_is_not_followed():
    assert follow(draw(THERE_AND_BACK), wishes([0.55] * 40)) == (None, 37)


@pytest.mark.parametrize(
    ("column", "rightwards", "follows"),
    [(37, 0.0, None), (120, 1.0, None), (37, 1.0, 0.0), (80, 0.0, 0.0)],
    ids=["at the left wall", "at the right wall", "away from the wall", "in the open"],
)
def test_a_cannon_that_stands_is_odd_only_where_it_could_go(column, rightwards, follows):
    assert follow(draw([column] * 60), wishes([rightwards] * 60)) == (follows, 0)


def test_a_cannon_that_is_not_there_is_left_out():
    gone = [*THERE_AND_BACK, *[-1] * 40]
    agreement, _ = follow(draw(gone), wishes([1.0] * 19 + [0.0] * 21 + [1.0] * 40))
    assert agreement == pytest.approx(1.0, abs=0.06)


class OneHead:
    """A network of one head that wants something only where its value is taken for a logit."""

    joint, value_first = True, False

    def __call__(self, stacks):
        return wishes([1.0 if self.value_first else 0.5] * len(stacks))(stacks)


def test_of_one_head_a_network_that_wants_nothing_is_in_doubt_not_followed(monkeypatch, capsys):
    monkeypatch.setattr(moves, "read_network", lambda weights: OneHead())
    monkeypatch.setattr(moves, "read_frames", lambda video: draw([80] * 60))
    moves.main("a.mp4", "weights.npz")
    assert json.loads(capsys.readouterr().out) == {
        "follows": None,
        "moves": 0,
        "seen": 60,
        "ending": "",
    }


def test_the_shipped_video_follows_the_shipped_weights_behind_the_wall(wall, state, tmp_path):
    told = film.follow(PLAYED, save(tmp_path / "weights.npz", state), GAME, wall)
    assert 0.6 < told["follows"] < 0.9 and told["moves"] > 500
    assert told["seen"] > 1300


def test_a_video_of_another_game_is_not_followed(state, tmp_path):
    told = film.follow(PLAYED, save(tmp_path / "weights.npz", state), "PongNoFrameskip-v4")
    assert told == film.NOTHING


@pytest.mark.parametrize(
    "message",
    [
        {"follows": 2.0, "moves": 100, "seen": 9},
        {"follows": float("nan"), "moves": 100, "seen": 9},
        {"follows": "1", "moves": 100, "seen": 9},
        {"follows": True, "moves": 100, "seen": 9},
        {"follows": 0.5, "moves": -1, "seen": 9},
        {"follows": 0.5, "moves": 10**9, "seen": 9},
        {"follows": 0.5, "moves": 100, "seen": "9"},
        {"follows": [0.5], "moves": 3, "seen": 9},
    ],
    ids=str,
)
def test_an_answer_that_cannot_be_is_none(message):
    assert film._read(message) == film.NOTHING


def test_weights_that_want_nothing_leave_the_cannon_that_is_seen():
    told = {"follows": None, "moves": 37, "seen": 400}
    assert film._read(told | {"ending": ""}) == told | {"ended": ""}


def test_how_a_process_ended_that_told_nothing_is_kept():
    ended = "the start ended the process (signal SIGKILL)"
    assert film._read({"ending": ended + "\n"}) == film.NOTHING | {"ended": ended}


def write_video(path, shape=(210, 160), n=8):
    file = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 15, shape[::-1])
    for _ in range(n):
        file.write(np.zeros((*shape, 3), np.uint8))
    file.release()


def test_frames_of_another_size_are_not_read(tmp_path):
    write_video(tmp_path / "small.mp4", (64, 48))
    write_video(tmp_path / "right.mp4")
    assert read_frames(tmp_path / "small.mp4").shape == (0, 210, 160, 3)
    assert read_frames(tmp_path / "right.mp4").shape == (8, 210, 160, 3)


@pytest.mark.slow
def test_a_file_that_is_no_video_is_not_followed(wall, state, tmp_path):
    weights, nothing = save(tmp_path / "weights.npz", state), film.NOTHING
    for content in (b"", b"no video", PLAYED.read_bytes()[:5000]):
        (tmp_path / "a.mp4").write_bytes(content)
        assert film.follow(tmp_path / "a.mp4", weights, GAME, wall) == nothing
    quick = LIMITS._replace(total=0.5)
    told = film.follow(PLAYED, weights, GAME, wall, quick)
    assert told == nothing | {"ended": told["ended"]} and "longer than 0.5 s" in told["ended"]


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """Returns a function that plays part of a game with weights, and gives its video."""
    cells = notebook.definitions()

    def play(state, seed, greedy):
        model = cells["NatureModel"](6)
        model.load_state_dict(state)
        folder = tmp_path_factory.mktemp("video")
        torch.manual_seed(seed)
        with videos.camera(GAME, folder, seed) as env:
            cells["evaluate"](env, cells["Policy"](model), 1, greedy, t_max=600)
        return next(folder.glob("*.mp4"))

    return play


def perturbed(state, seed):
    """Weights of another run, as far as the game can tell: its hidden layer is another."""
    torch.manual_seed(seed)
    order = torch.randperm(512)
    return {name: one[order] if name.startswith("body.7") else one for name, one in state.items()}


@pytest.mark.slow
@pytest.mark.parametrize("greedy", [False, True])
def test_recorded_games_follow_their_own_weights_and_no_others(record, state, greedy, tmp_path):
    own, other = save(tmp_path / "own.npz", state), perturbed(state, 3)
    others = save(tmp_path / "other.npz", other)
    honest, foreign = record(state, 11, greedy), record(other, 11, greedy)
    assert film.follow(honest, own, GAME)["follows"] > 0.5
    assert (film.follow(foreign, own, GAME)["follows"] or 0) < 0.3
    assert (film.follow(honest, others, GAME)["follows"] or 0) < 0.3
