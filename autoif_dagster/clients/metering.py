"""What a run spends, and whether it may spend more.

A budget ends a stage without publishing it. What was asked for is still awaited and logged, so that
nothing paid for is lost, and the next run goes on from there. Requests are counted before they are
sent and the limit is met exactly; tokens and money are known only afterwards, and what is in flight
at the limit comes on top.
"""

import time
from dataclasses import dataclass, field, fields

from autoif_dagster.clients import Traffic
from autoif_dagster.errors import BudgetError
from autoif_dagster.recipe import Budget, Prices


@dataclass(frozen=True, slots=True)
class Usage:
    """What a logged client has cost and saved.

    `asked` counts completions the model gave, failed ones included; `reused` those it was not asked
    for; `failed` those yielded with `finish_reason == "error"`; `refused` those of the asked that
    were refused or filtered. Tokens and seconds are of the asked alone; `seconds` adds up what each
    completion took, side by side or not.
    """

    asked: int = 0
    reused: int = 0
    failed: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def cost(self, prices: Prices) -> float:
        """In `prices.currency`."""
        read, written = (
            self.prompt_tokens * prices.prompt,
            self.completion_tokens * prices.completion,
        )
        return (read + written) / 1e6


def money(amount: float) -> str:
    """To the cent; below one, to two digits that say something."""
    return f"{amount:.2f}" if amount >= 1 or not amount else f"{amount:.2g}"


@dataclass(frozen=True, slots=True)
class Pace:
    """How a stage gets on with its model: what it used in how many seconds, and what is going on.

    `traffic.retries` are those of the stage.
    """

    usage: Usage
    seconds: float
    traffic: Traffic
    prices: Prices

    def figures(self) -> dict[str, float | str]:
        """Numbers under the names that an asset's metadata has; a cost where there are prices."""
        usage, seconds, prices = self.usage, max(self.seconds, 1e-9), self.prices
        priced = prices.prompt or prices.completion
        cost = {f"cost_{prices.currency}": usage.cost(prices)} if priced else {}
        return {
            "model_calls": usage.asked,
            "reused_generations": usage.reused,
            "failed_requests": usage.failed,
            "refused_requests": usage.refused,
            "retries": self.traffic.retries,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "requests_per_second": usage.asked / seconds,
            "tokens_per_second": usage.completion_tokens / seconds,
            "seconds_per_request": usage.seconds / max(usage.asked, 1),
            **cost,
        }

    def line(self) -> str:
        """The same in short, for a line of progress; nothing where the model was not asked."""
        usage, seconds = self.usage, max(self.seconds, 1e-9)
        if not usage.asked and not self.traffic.in_flight:
            return self.traffic.note
        said = [
            f"asked {usage.asked / seconds:.1f}/s",
            f"{usage.completion_tokens / seconds:.0f} tokens/s",
            f"{self.traffic.in_flight} in flight",
        ]
        if self.traffic.retries:
            said.append(f"{self.traffic.retries} retries")
        if usage.failed:
            said.append(f"{usage.failed} failed")
        if usage.refused:
            said.append(f"{usage.refused} refused")
        if cost := usage.cost(self.prices):
            said.append(f"{money(cost)} {self.prices.currency}")
        return ", ".join(said)


@dataclass(slots=True)
class Meter:
    """One run's spending, over all of its stages."""

    budget: Budget = field(default_factory=Budget)
    prices: Prices = field(default_factory=Prices)
    spent: Usage = Usage()
    _admitted: int = 0
    _since: float | None = None

    def admit(self, samples: int) -> int:
        """How many of these samples may be asked for now; all of them, or fewer at the limit."""
        if self._since is None:
            self._since = time.monotonic()
        if self._reached() is not None:
            return 0
        limit = self.budget.requests
        admitted = min(samples, limit - self._admitted) if limit else samples
        self._admitted += admitted
        return admitted

    def spend(self, usage: Usage) -> None:
        """Count what came back."""
        self.spent += usage

    @property
    def cost(self) -> float:
        """Of the run so far, in `prices.currency`."""
        return self.spent.cost(self.prices)

    def error(self) -> BudgetError:
        """What to raise when fewer samples were admitted than are wanted."""
        spent = self.spent
        tokens = spent.prompt_tokens + spent.completion_tokens
        return BudgetError(
            f"the budget is spent: {self._reached() or 'nothing is left'}; the run asked for "
            f"{spent.asked} completions, {tokens} tokens, {money(self.cost)} "
            f"{self.prices.currency}; all of them are in the log: run again to go on, under a "
            "budget of its own"
        )

    def _reached(self) -> str | None:
        """The first limit that is reached, as the recipe names it."""
        budget, tokens = self.budget, self.spent.prompt_tokens + self.spent.completion_tokens
        minutes = 0.0 if self._since is None else (time.monotonic() - self._since) / 60
        for name, limit, spent in (
            ("requests", budget.requests, self._admitted),
            ("tokens", budget.tokens, tokens),
            ("money", budget.money, self.cost),
            ("minutes", budget.minutes, minutes),
        ):
            if limit and spent >= limit:
                return f"budget.{name} = {limit:g}"
        return None
