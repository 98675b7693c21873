"""A time limit on a coroutine, without a task of its own where Python has such limits.

In: seconds and a coroutine. Out: what it returns; TimeoutError when it took longer.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

if sys.version_info >= (3, 11):

    async def within(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs it, for so long at most."""
        async with asyncio.timeout(seconds):
            return await work

else:

    async def within(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs it, for so long at most."""
        return await asyncio.wait_for(work, seconds)
