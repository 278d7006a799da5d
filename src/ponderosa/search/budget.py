"""What a search may cost, and how it ends when that is spent: with the tree that it has."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ponderosa.core import Outcome, RefusedError, Tree


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one search: generated `tokens`, `calls` of the policy, `seconds`. None: no limit.

    A request is made whole or not at all, so that a search may spend as many tokens more as the requests cost that are
    under way when they are spent. Where there are several, what the tree then holds depends on timing.
    """

    tokens: int | None = None
    calls: int | None = None
    seconds: float | None = None

    def spent(self, tree: Tree) -> bool:
        """Has the search that made `tree` spent its tokens or calls?"""
        usage = tree.usage
        return (self.tokens is not None and usage.generated_tokens >= self.tokens) or (
            self.calls is not None and usage.policy_calls >= self.calls
        )


UNLIMITED = Budget()


class BudgetSpentError(Exception):
    """Ends a search from within; `ending` catches it."""


@asynccontextmanager
async def ending(tree: Tree, budget: Budget) -> AsyncIterator[None]:
    """Lets a search run to its end, or to what cuts it short: that is then the tree's `outcome`.

    A backend that refuses a request leaves its words in the root's `error`; one that cannot serve at all is the
    caller's `BackendError`. A search may go on later, with the seconds it has left.
    """
    started = time.monotonic()
    try:
        async with asyncio.timeout(None if budget.seconds is None else budget.seconds - tree.usage.wall_s):
            yield
    except RefusedError as error:
        tree.outcome = Outcome.BACKEND_FAILED
        tree.nodes[0].error = str(error)
    except BudgetSpentError:
        tree.outcome = Outcome.BUDGET_SPENT
    except TimeoutError:
        tree.outcome = Outcome.TIMED_OUT
    finally:
        tree.usage.wall_s += time.monotonic() - started
