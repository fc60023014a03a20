"""Fixtures of the built-in encoders for tests of the papers' encoders."""

from tests.encoders.conftest import biographies as biographies
from tests.encoders.conftest import lyrics as lyrics
from tests.encoders.conftest import one_thread as one_thread
from tests.encoders.conftest import sounds as sounds
from tests.encoders.conftest import tags as tags
