"""Who is asked in a round: sites that keep missing deadlines or send what is refused wait longer and longer.

Two kinds of absence. A *silent* site does not even answer a probe: it is suspect after the first deadline that it
missed and is not asked again until a probe comes back, so a dead site costs one deadline in a run. A *failing* site
answers probes but not the work: strikes, each twice as long on the bench as the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from math import ceil
from typing import Any, Literal

from fedmce.config.schema import ExchangeConfig
from fedmce.streams import generator

Conduct = Literal["good", "late", "failed", "content", "surplus"]
# good: accepted; late: no reply before the deadline; failed: an error in place of an update; content: a reply that
# the gate refused for what it holds; surplus: not waited for, since the goal was met without it.

LONGEST_BENCH = 16  # rounds
EXPELLED_AFTER = 6  # content strikes
WEIGHT = {"late": 1, "failed": 1, "content": 2}
ALL_ASKED_UP_TO = 20  # sites; a federation of hospitals asks everybody, a large one some more than it needs
BEYOND = 1.3  # Bonawitz et al. 2019: 6 to 10 % drop out, 130 % are selected


@dataclass(frozen=True)
class Standing:
    """What is held against one site.

    Attributes:
        strikes: weighted misses; a good reply halves them.
        content: refused replies, which no good reply takes back.
        bench_until: last round that it sits out.
        suspect: it missed a deadline and no probe has come back since.
        expelled: not asked until an operator readmits it.
    """

    strikes: int = 0
    content: int = 0
    bench_until: int = 0
    suspect: bool = False
    expelled: bool = False


@dataclass(frozen=True)
class Attendance:
    """Standing of every site that ever had one; a new object per round."""

    seed: int = 0
    by_site: dict[str, Standing] = field(default_factory=dict)

    def of(self, site: str) -> Standing:
        """Standing of a site; a clean one if nothing was ever held against it."""
        return self.by_site.get(site, Standing())

    def may_work(self, site: str, round_number: int) -> bool:
        """Neither expelled, nor suspect, nor on the bench."""
        now = self.of(site)
        return not (now.expelled or now.suspect or round_number <= now.bench_until)

    def ask(self, round_number: int, online: Iterable[str], config: ExchangeConfig) -> tuple[str, ...]:
        """Sites to ask, sorted.

        Where the bench would leave fewer than a round needs, those with the fewest strikes are called back.

        Args:
            round_number: of the round.
            online: sites that are connected now.
            config: goal, over-selection and the least number of replies.
        """
        there = sorted(online)
        ready = [site for site in there if self.may_work(site, round_number)]
        missing = config.fewest(len(there)) - len(ready)
        if missing > 0:
            benched = [s for s in there if s not in ready and not self.of(s).expelled and not self.of(s).suspect]
            ready += sorted(benched, key=lambda site: (self.of(site).strikes, site))[:missing]
        wanted = len(ready)
        if config.goal is not None:
            extra = config.over_select or (1.0 if len(ready) <= ALL_ASKED_UP_TO else BEYOND)
            everybody = config.over_select is None and len(ready) <= ALL_ASKED_UP_TO
            wanted = len(ready) if everybody else min(len(ready), ceil(config.goal * extra))
        if wanted < len(ready):
            draw = generator(self.seed, "ask", "", round_number)
            ready = [ready[i] for i in sorted(draw.permutation(len(ready))[:wanted])]
        return tuple(sorted(ready))

    def after(self, round_number: int, conduct: Mapping[str, Conduct]) -> Attendance:
        """Standing after a round.

        Args:
            round_number: the round that ended.
            conduct: of every asked site.
        """
        fresh = dict(self.by_site)
        for site, how in conduct.items():
            if how == "surplus":
                continue
            before = self.of(site)
            if how == "good":
                fresh[site] = replace(before, strikes=before.strikes // 2, suspect=False)
                continue
            strikes = before.strikes + WEIGHT[how]
            content = before.content + (how == "content")
            fresh[site] = replace(
                before,
                strikes=strikes,
                content=content,
                bench_until=round_number + self._bench(site, strikes, round_number),
                suspect=how == "late",
                expelled=before.expelled or content >= EXPELLED_AFTER,
            )
        return replace(self, by_site=fresh)

    def answered_probe(self, site: str) -> Attendance:
        """The site is alive: what it missed, it missed by failing, so only the bench holds it back."""
        return replace(self, by_site={**self.by_site, site: replace(self.of(site), suspect=False)})

    def readmitted(self, site: str) -> Attendance:
        """A clean standing, by an operator's word."""
        return replace(self, by_site={**self.by_site, site: Standing()})

    def revoked(self, site: str) -> Attendance:
        """Not asked again until readmitted: it has no key left."""
        return replace(self, by_site={**self.by_site, site: replace(self.of(site), expelled=True)})

    @property
    def suspects(self) -> tuple[str, ...]:
        """Sites that a probe should be sent to."""
        return tuple(sorted(s for s, standing in self.by_site.items() if standing.suspect and not standing.expelled))

    def to_json(self) -> dict[str, Any]:
        """For the committed state."""
        return {"seed": self.seed, "by_site": {site: asdict(s) for site, s in sorted(self.by_site.items())}}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Attendance:
        """Inverse of :meth:`to_json`."""
        return cls(int(tree["seed"]), {site: Standing(**values) for site, values in tree["by_site"].items()})

    def _bench(self, site: str, strikes: int, round_number: int) -> int:
        rounds: int = min(2 ** max(strikes - 1, 0), LONGEST_BENCH)
        # Sites that failed together, because of one cause, should not all come back in one round.
        jitter = int(generator(self.seed, "bench", site, round_number).integers(0, rounds // 4 + 1))
        return rounds + jitter
