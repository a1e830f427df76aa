"""Sends what the tests write to a temporary folder; here because the notebook is collected here."""

import os
import tempfile

import pytest

OUT = pytest.StashKey()


def pytest_configure(config):
    for name in ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG", "A2C_DRIVE"):
        os.environ.pop(name, None)  # nobody watches the tests, or keeps them
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads that wait for each other cost most
    os.environ["A2C_MINUTES"], os.environ["A2C_CATCH_STEPS"] = "0.4", "500"
    config.stash[OUT] = folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    os.environ["A2C_OUT"] = folder.name


@pytest.fixture(scope="session", autouse=True)
def wall():
    """Lets `grading check` go without a sandbox on a machine that has none."""
    from grading import sandbox

    try:
        sandbox.find_wall()
    except sandbox.NoWall:
        from grading import __main__

        __main__.find_wall = lambda: sandbox.NO_WALL
    yield


def pytest_xdist_auto_num_workers():
    return os.cpu_count() + 1  # tests that wait for processes leave a core to others


def pytest_unconfigure(config):
    config.stash[OUT].cleanup()


def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter and reporter.stats.get("skipped"):
        reporter.write_line("a skipped test fails the run where CI is true", red=True)
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
