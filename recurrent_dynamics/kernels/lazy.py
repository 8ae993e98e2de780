"""Properties that are computed once, without the lock of Python 3.11.

In Python 3.11 all instances share one lock for each property. A process that is forked while another thread computes
the property waits for that lock for ever. Python 3.12 has no such lock.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or sys.version_info >= (3, 12):
    cached_property = functools.cached_property
else:

    class cached_property(functools.cached_property):
        """As in Python 3.12, but two threads that compute it at once get the same object."""

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            if instance is None:
                return self
            values = instance.__dict__
            if self.attrname not in values:
                return values.setdefault(self.attrname, self.func(instance))
            return values[self.attrname]
