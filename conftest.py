"""Sends what the tests write to a temporary folder; here because the notebook is collected here."""

import os
import tempfile

import pytest

OUT = pytest.StashKey()


def pytest_configure(config):
    os.environ["A2C_MINUTES"] = "0.3"
    config.stash[OUT] = folder = tempfile.TemporaryDirectory(prefix="a2c-tests-")
    os.environ["A2C_OUT"] = folder.name


def pytest_unconfigure(config):
    config.stash[OUT].cleanup()
