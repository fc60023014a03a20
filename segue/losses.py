"""Training losses of sequential models, such as `segue.losses.GBCE(negatives=256)` or `loss="gbce"`."""

from toolkit.sequential.losses.chunked import Chunked as Chunked
from toolkit.sequential.losses.full import Full as Full
from toolkit.sequential.losses.gbce import GBCE as GBCE
from toolkit.sequential.losses.sampled import Sampled as Sampled
