"""What older scripts, with `infra` on their path, know the providers' stand-ins by: ``repartee.standins``.

Not in the wheel, and nothing here uses it.
"""

import sys

import repartee.standins

sys.modules[__name__] = repartee.standins
