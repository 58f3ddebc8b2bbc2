"""What a request would take: money, time, disk and memory."""

import datetime

from pydantic import Field

from media_agent_schemas.base import Document, PriceUsd, Schema, format_memory

PRICE_DAYS = 30
"""After so many days a price is marked: it may not hold any more."""


class MemoryUse(Schema):
    """How a model will be held in memory, and whether there is enough."""

    held: str = Field(description="Which way it is held: what is offloaded, decoding in tiles.")
    where: str | None = Field(default=None, description="Where it computes, such as cuda.")
    needed_bytes: int = Field(ge=0, description="Memory that it needs there, about.")
    free_bytes: int = Field(ge=0, description="Memory that is free there now.")

    @property
    def fits(self) -> bool:
        """Return whether it should fit, as far as that can be known."""
        return self.needed_bytes <= self.free_bytes

    def __str__(self) -> str:
        need = format_memory(self.needed_bytes)
        return f"{self.held}: needs about {need} of {format_memory(self.free_bytes)} free"


class Estimate(Document):
    """What a request would take; `None` is unknown, never free."""

    cost_usd: PriceUsd = Field(
        default=None,
        description="Price in USD; 0 for own hardware, unless the settings price its hours.",
    )
    most_usd: PriceUsd = Field(
        default=None,
        description="The most that it may come to, where the price is an estimate; null: cost_usd.",
    )
    seconds: float | None = Field(default=None, ge=0, description="Time to the finished file.")
    disk_bytes: int | None = Field(
        default=None,
        ge=0,
        description="Disk space for resuming, in addition to the video, in bytes.",
    )
    memory: MemoryUse | None = Field(
        default=None, description="Memory of this machine; null: nobody knows, or it is hosted."
    )
    source: str | None = Field(
        default=None, description="Where the numbers come from, with a date."
    )
    usd_per_second: float | None = Field(
        default=None,
        ge=0,
        description="Price of a billed second, for a provider that says how many it bills.",
    )
    priced_on: datetime.date | None = Field(
        default=None, description="When the price was read; null: it comes from no list of prices."
    )

    @property
    def bound_usd(self) -> float | None:
        """Return the most that it may cost, which is what budgets hold; None: unknown."""
        return self.cost_usd if self.most_usd is None else self.most_usd

    def has_old_price(self, today: datetime.date) -> bool:
        """Return whether the price was read so long ago that it may not hold any more."""
        on = self.priced_on
        return bool(self.cost_usd) and on is not None and (today - on).days > PRICE_DAYS


UNKNOWN = Estimate()
"""What says nothing of price and time."""
