"""Watches the real processes, and publishes what it sees as CloudWatch metrics that alarms are judged by."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from drills.clock import NS
from drills.sandbox.alarms import AlarmRule, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.sandbox.dataplane import DataPlane
    from drills.sandbox.state import Site, World

_log = logging.getLogger(__name__)
_FAST_S = 0.05
_SLOW_S = 0.25
_MINUTE_S = 60
_ROUTE53_METRICS = "us-east-1"
"""Route 53 publishes its metrics in us-east-1 only (Route 53 Developer Guide, "Monitoring health checks")."""

LAG = "AWS/RDS:ReplicaLag"
HEALTH = "AWS/Route53:HealthCheckStatus"
HOSTS = "Drills/App:HealthyHostCount"
OTHERS = "Drills/OtherCustomers:Errors"
"""1 while the site's network answers nobody, else 0: what another customer of the site would feel."""


class Monitor:
    """Threads that look at the data plane (two a site, as looking may block) and one that publishes."""

    def __init__(self, world: World, plane: DataPlane) -> None:
        self._world = world
        self._plane = plane
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin to watch and to publish."""
        for site in self._world.sites.values():
            self._every(_FAST_S, f"watch-{site.name}", lambda site=site: self._look(site))
            self._every(_SLOW_S, f"replication-{site.name}", lambda site=site: self._look_inside(site))
        self._every(self._world.profile.cloudwatch.publish_every_s, "metrics", self.publish)

    def stop(self) -> None:
        """End; looks on their way are left to their timeout."""
        self._stop.set()

    def _every(self, seconds: float, name: str, look: Callable[[], None]) -> None:
        def run() -> None:
            while not self._stop.wait(seconds):
                try:
                    look()
                except Exception:  # noqa: BLE001 - a look that fails is logged and repeated
                    _log.exception("%s failed; the next look tries again", name)

        threading.Thread(target=run, name=name, daemon=True).start()

    def _look(self, site: Site) -> None:
        """See which applications listen and whether the site can be reached."""
        listening, reachable = self._plane.listening(site.name), self._plane.site_reachable(site.name)
        with self._world.cloud.lock:
            before = site.seen
            site.seen = replace(before, listening=listening, reachable=reachable)
        if before.listening != listening or before.reachable != reachable:
            self._world.wake.set()

    def _look_inside(self, site: Site) -> None:
        """See what PostgreSQL says of itself."""
        writer, streaming = self._plane.is_writer(site.name), self._plane.streaming(site.name)
        lag_s = self._plane.replica_lag_s(site.name)
        with self._world.cloud.lock:
            site.seen = replace(site.seen, writer=writer, streaming=streaming, lag_s=lag_s)

    def publish(self) -> None:
        """Publish every metric once, and judge every alarm."""
        with self._world.cloud.lock:
            for site in self._world.sites.values():
                self._publish_site(site)
            self._publish_health()
            self._judge()

    def _publish_site(self, site: Site) -> None:
        cloud = self._world.cloud

        def put(metric: str, value: float, **dimensions: str) -> None:
            cloud.put_metric(site.account, site.region, metric, value, dimensions)

        database = None if site.db is None else cloud.database(site.db)
        if site.db is not None and database is not None and database.is_replica:
            # -1 while nothing is received, as RDS for PostgreSQL reports it.
            lag_s = site.seen.lag_s if site.seen.streaming and site.seen.lag_s is not None else -1.0
            put(LAG, lag_s, DBInstanceIdentifier=site.db.id)
        put(HOSTS, float(len(site.seen.listening) if site.seen.reachable else 0), AutoScalingGroupName=site.asg)
        put(OTHERS, 0.0 if site.seen.reachable else 1.0, Site=site.name)

    def _publish_health(self) -> None:
        world = self._world
        for check in world.cloud.health_checks(world.accounts):
            if check.id in world.health:
                value = 1.0 if world.health[check.id].healthy else 0.0
                world.cloud.put_metric(check.account, _ROUTE53_METRICS, HEALTH, value, {"HealthCheckId": check.id})

    def _judge(self) -> None:
        """Judge every alarm of every place a site or Route 53's metrics are in."""
        world = self._world
        places = {(site.account, site.region) for site in world.sites.values()}
        places |= {(account, _ROUTE53_METRICS) for account in world.accounts}
        now_s = world.clock.now().utc_ns / NS
        for account, region in places:
            for alarm in world.cloud.alarms(account, region):
                points = world.cloud.data_points(account, region, alarm)
                verdict = evaluate(self._rule(alarm), points, now_s)
                if verdict is not None and verdict.state != alarm.state_value:
                    alarm.update_state(verdict.reason, "{}", verdict.state)
                    world.effects.add("", "alarm", f"{alarm.name} {verdict.state}")

    def _rule(self, alarm: Any) -> AlarmRule:
        periods = int(alarm.evaluation_periods or 1)
        return AlarmRule(
            statistic=str(alarm.statistic),
            comparison=str(alarm.comparison_operator),
            threshold=float(alarm.threshold or 0),
            period_s=int(alarm.period or _MINUTE_S) / _MINUTE_S * self._world.profile.cloudwatch.minute_s,
            periods=periods,
            enough=int(alarm.datapoints_to_alarm or periods),
            missing=str(alarm.treat_missing_data or "missing"),
        )
