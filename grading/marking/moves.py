"""How a video's cannon moves, beside what weights say: `python -m grading.marking.moves VIDEO NPZ`.

Runs behind the wall, since a video is decoded. A frame is what the player saw, once an agent step,
but for what compression lost; four of them make an observation. The answer is one message.
"""

import json
import sys

import cv2
import numpy as np

from grading.marking.network import read_network

__all__ = ["follow", "read_frames"]

SHAPE = (210, 160, 3)
MOST = 2_000  # frames
CANNON = slice(185, 195)  # rows
GREEN = 30  # by which green is more than red and blue
SMALLEST, LARGEST = 15, 120  # green pixels of a cannon
WAY = (1.4, 12.0)  # pixels in two agent steps, at least and less than: it starts late
WALLS = 38.5, 118.5  # columns beyond which the cannon goes no further that way
WEAKEST = 25.0  # sum of squared differences of right and left: chance is off by 0.2 at most
BATCH = 64
RIGHT, LEFT = [2, 4], [3, 5]  # with and without fire


def follow(frames, network):
    """Compares the cannon's moves with a network's probabilities.

    Args:
        frames: [T, 210, 160, 3] bytes of Space Invaders, blue first.
        network: A `Network` of six actions.

    Returns:
        (agreement, moves): how far the cannon goes where the network wants it to, 1 where it goes
        right and left as often as the probabilities say and 0 where it goes as it likes, None of a
        network that hardly wants anything but to stand at a wall; and in how many pairs of agent
        steps the cannon moves.
    """
    cannon, wanted = _find_cannon(frames), _rightwards(frames, network)[:-2]
    ways, at = cannon[2:] - cannon[:-2], cannon[:-2]
    stays = ((at < WALLS[0]) & (wanted < 0)) | ((at > WALLS[1]) & (wanted > 0)) | np.isnan(ways)
    size = np.abs(ways)
    ways = np.where((size >= WAY[0]) & (size < WAY[1]), np.sign(ways), 0)  # NaN is none
    moves, strength = int(np.abs(ways).sum()), float((wanted[~stays] ** 2).sum())
    if strength < WEAKEST:
        return None, moves
    return float(np.clip((ways * wanted)[~stays].sum() / strength, -1, 1)), moves


def read_frames(path):
    """Returns the first frames of a video, [T, 210, 160, 3] bytes, blue first; none of others."""
    video, frames = cv2.VideoCapture(str(path)), []
    while len(frames) < MOST:
        more, frame = video.read()
        if not more or frame.shape != SHAPE:
            break
        frames.append(frame)
    return np.array(frames, np.uint8).reshape(-1, *SHAPE)


def _find_cannon(frames):
    """Returns the column of the cannon's middle in each frame, NaN where there is none."""
    rows = frames[:, CANNON].astype(int)
    green = rows[..., 1] - np.maximum(rows[..., 0], rows[..., 2]) > GREEN
    pixels = green.sum((1, 2))
    middle = (green.sum(1) * np.arange(SHAPE[1])).sum(1) / np.maximum(pixels, 1)
    return np.where((pixels >= SMALLEST) & (pixels <= LARGEST), middle, np.nan)


def _rightwards(frames, network):
    """Returns how much more likely right is than left, [T], given the frames up to each."""
    gray = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    small = [cv2.resize(one, (84, 84), interpolation=cv2.INTER_AREA) for one in gray]
    padded = np.concatenate([np.zeros((3, 84, 84), np.uint8), small])
    stacks = np.lib.stride_tricks.sliding_window_view(padded, 4, axis=0).transpose(0, 3, 1, 2)
    batches = [stacks[k : k + BATCH].copy() for k in range(0, len(stacks), BATCH)]
    probabilities = np.exp(np.concatenate([network(batch)[0] for batch in batches]))
    return probabilities[:, RIGHT].sum(1) - probabilities[:, LEFT].sum(1)


def main(video, weights):
    """Prints what `follow` returns for a video and an .npz of weights, and where a cannon is."""
    network, frames = read_network(weights), read_frames(video)
    seen = int(np.isfinite(_find_cannon(frames)).sum())
    told, moves = [], 0
    for first in {False, network.joint}:  # of one head, which end is the value's is not known
        network.value_first = first
        if len(frames) > 2:
            one, moves = follow(frames, network)
            told.append(one)
    best = None if None in told else max(told, default=None)  # in doubt for the student
    print(json.dumps({"follows": best, "moves": moves, "seen": seen, "ending": ""}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
