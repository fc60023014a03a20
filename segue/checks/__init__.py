"""Conformance suites for losses and sequential models, for authors of plug-ins. The built-in ones pass them too.

    from segue.plugin import check_loss, check_model

    def test_contracts():
        check_loss(MyLoss(margin=0.5))
        check_model(MyModel(hidden_size=16, max_length=10))

Both raise `AssertionError` at the first violated rule. The message names the rule and the usual cause.
"""

from segue.checks.check_loss import check_loss
from segue.checks.check_model import check_model

__all__ = ["check_loss", "check_model"]
