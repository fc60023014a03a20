"""The engine of `segue collect`: requests at the hosts' pace, a ledger of them, and crash-safe storage."""

import logging

# stamina logs every retry as a warning, which Python would print where nobody has set up logging
logging.getLogger("stamina").addHandler(logging.NullHandler())
