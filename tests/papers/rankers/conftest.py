"""Fixtures with the planted data of the built-in cold-start rankers."""

from tests.coldstart.conftest import one_thread as one_thread
from tests.coldstart.conftest import planted as planted
