"""Policies for missing modalities, such as `segue.missing.Em(rank=8)` or `missing="em"`."""

from toolkit.fusion.missing.em import Em as Em
from toolkit.fusion.missing.linear import Linear as Linear
from toolkit.fusion.missing.mask_token import MaskToken as MaskToken
from toolkit.fusion.missing.mean import Mean as Mean
from toolkit.fusion.missing.zero import Zero as Zero
