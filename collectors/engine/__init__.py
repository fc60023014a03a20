"""Engine of `segue collect`, with rate limits, a ledger of requests and crash-safe storage."""

import logging

# stamina logs every retry as a warning, which Python would print where nobody has set up logging
logging.getLogger("stamina").addHandler(logging.NullHandler())
