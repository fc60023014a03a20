"""The papers' encoders are tested with the fixtures of the built-in ones."""

from tests.encoders.conftest import biographies as biographies
from tests.encoders.conftest import lyrics as lyrics
from tests.encoders.conftest import one_thread as one_thread
from tests.encoders.conftest import sounds as sounds
from tests.encoders.conftest import tags as tags
