"""The name by which older scripts know the providers' stand-ins, with this folder on their path: ``repartee.standins``.

Not in the wheel, and nothing here uses it.
"""

import sys

import repartee.standins

sys.modules[__name__] = repartee.standins
