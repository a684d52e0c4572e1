"""The ledger of alerts: what came in, what is on disk, what is settled, what is open.

    received = stored + refused (+ what is being written this very moment)
    stored   = settled + open

Stored and settled are counted in the database, in the transactions that store and settle, so the second line holds at every instant and over
restarts. Received starts from what was stored before.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import Connection

from agent_sre.alert.inbox import STORED, backlog, count_quarantined
from agent_sre.investigation.conclude import SETTLED
from agent_sre.kit.clock import Clock
from agent_sre.store.engine import Store
from agent_sre.store.schema import alert, totals


class AlertCounters:
    """Counts in memory what never reached the disk, and reads the rest from it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._received = store.read_now(totals).get(STORED, 0)
        self._refused = 0

    def received(self, alerts: int) -> None:
        """Alerts of a readable body that is about to be stored."""
        self._received += alerts

    def refused(self, alerts: int) -> None:
        """Alerts that could not be stored; their sender was told so."""
        self._refused += alerts

    async def collect(self) -> Iterable[Metric]:
        """The ledger as metrics, from one snapshot of the database."""
        received, refused = self._received, self._refused
        stored, settled, bodies, waiting, unsettled, quarantined, age = await self._store.read(self._look)
        return (
            CounterMetricFamily("agent_sre_alerts_received", "Alerts in readable webhook bodies.", value=received),
            CounterMetricFamily("agent_sre_alerts_refused", "Alerts that could not be stored; their sender got 503.", value=refused),
            CounterMetricFamily("agent_sre_alerts_stored", "Alerts on disk, repeats included.", value=stored),
            CounterMetricFamily("agent_sre_alerts_settled", "Stored alerts that need nothing more.", value=settled),
            GaugeMetricFamily("agent_sre_alerts_open", "Stored alerts whose incident has no complete report yet.", value=waiting + unsettled),
            GaugeMetricFamily("agent_sre_inbox_bodies", "Stored bodies that wait for the ingester.", value=bodies),
            GaugeMetricFamily("agent_sre_inbox_age_seconds", "How long the oldest of them has waited.", value=age),
            GaugeMetricFamily("agent_sre_quarantine_bodies", "Unreadable bodies that nobody has looked after.", value=quarantined),
        )

    def _look(self, connection: Connection) -> tuple[int, int, int, int, int, int, float]:
        values = totals(connection)
        bodies, waiting, oldest = backlog(connection)
        unsettled = connection.execute(sa.select(sa.func.count()).where(alert.c.settled_at.is_(None))).scalar_one()
        age = 0.0 if oldest is None else max(0.0, (self._clock.now() - oldest).total_seconds())
        return values.get(STORED, 0), values.get(SETTLED, 0), bodies, waiting, int(unsettled), count_quarantined(connection), age
