"""A notebook's policy with given weights: `python -m grading.marking.player ORDER.json FOLDER`.

Runs behind the wall. The cells run as in `grading.cells`, up to training; then the weights are
loaded into `model`, and each question on standard input is put to `policy.act`. A question is the
number of observations, four bytes, and as many times 4 × 84 × 84 bytes; the answer is a message
with a row of float32 for each: action, logits, value. Nothing is judged here.
"""

import base64
import os
import random
import struct
import sys

import numpy as np
import torch

from env_batch import scale_stacks
from grading.cells import Notebook, join, told_of
from languages import _

__all__ = ["Player"]

SHAPE = (4, 84, 84)
NEEDED = ("model", "policy")


class Player(Notebook):
    """A notebook whose policy plays."""

    def __init__(self, namespace, order, send, questions):
        """Starts with no cell run.

        Args:
            namespace: That the cells run in.
            order: What the parent process wants; its "weights" is the path of an .npz.
            send: Takes each message, the items of a dict.
            questions: A file of bytes, as above.
        """
        super().__init__(namespace, order, send)
        self._questions = questions

    def train(self):
        """Plays, before a cell can catch what ends it."""
        self.play()

    def play(self):
        """Answers questions until there are no more."""
        self.send(begins=_("the loading of the weights"))
        if missing := next((name for name in NEEDED if name not in self.namespace), ""):
            self.send(lacks=self.why(missing))
        else:
            try:
                self.load()
                self.send(ready=True)
                while question := self._questions.read(4):
                    self.send(answer=self.answer(*struct.unpack("<i", question)))
            except BaseException as e:  # the student's
                self.send(raised=told_of(e))
        self.send(ending="")

    def load(self):
        """Loads the weights by their names, or in their order where the names are others."""
        for seed in (torch.manual_seed, np.random.seed, random.seed):
            seed(0)
        model = self.namespace["model"]
        with np.load(self.order["weights"]) as file:
            state = {name: torch.from_numpy(file[name]) for name in file.files}
        own = model.state_dict()
        if state.keys() != own.keys():
            state = _in_order(own, [*state.values()])
        model.load_state_dict(state, strict=False)
        if hasattr(self.namespace["policy"], "reset"):
            self.namespace["policy"].reset()

    @torch.no_grad()
    def answer(self, n):
        """Returns the answer to the next n observations, in base64."""
        pixels = self._questions.read(n * int(np.prod(SHAPE)))
        observations = np.frombuffer(pixels, np.uint8).reshape(n, *SHAPE)
        act = self.namespace["policy"].act(scale_stacks(observations))
        columns = [_numbers(act[name]).reshape(n, -1) for name in ("actions", "logits", "values")]
        return base64.b64encode(np.hstack(columns).astype("<f4").tobytes()).decode("ascii")


def _in_order(own, tensors):
    """Returns {name: tensor} for a state dict, in whose order each of its tensors comes once.

    Where it holds a shape that none of the tensors has, as a constant's, that stays as it is.
    """
    shapes = {tuple(one.shape) for one in tensors}
    places = {name: (one.data_ptr(), tuple(one.shape)) for name, one in own.items()}
    places = {name: place for name, place in places.items() if place[1] in shapes}
    found = dict(zip(dict.fromkeys(places.values()), tensors, strict=True))
    return {name: found[place] for name, place in places.items()}


def _numbers(given):
    """Returns what act gave under one key as an array."""
    return np.asarray(given.detach().cpu() if torch.is_tensor(given) else given, np.float64)


def _take_questions():
    """Takes standard input for questions; the cells find it empty."""
    questions, nothing = os.fdopen(os.dup(0), "rb"), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return questions


def main(order, folder):
    """Runs the cells of an order, a JSON file, beside a folder's modules, and plays."""
    questions = _take_questions()
    send, order, namespace = join(order, folder)
    player = Player(namespace, order, send, questions)
    player.run(order["cells"])
    player.play()


if __name__ == "__main__":
    main(*sys.argv[1:])
