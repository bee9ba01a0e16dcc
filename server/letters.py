"""What the server writes to a site in a round, and what it expects back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import ceil
from typing import Literal

from fedmce.config.schema import RunConfig
from fedmce.flower_compat import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict, array_record, encode
from fedmce.metrics import COMPLETED
from fedmce.models import MultimodalNet, NetworkSpec, State, Statistics, component_of, components, pool, private_keys
from fedmce.objectives import SHARED as SHARED_RULES
from fedmce.personal import kept_down, kept_up, shares_nothing
from fedmce.wire import MODEL, ORDER, SHARED, STATISTICS, Order, digest, text_sha256
from server.gate import Expectation, Sent
from server.gate.due import DueSums
from server.personal import has_own
from server.roster import Roster, SiteProfile
from server.state import GlobalState

Task = Literal["train", "score", "test"]


class Letters:
    """Writes the messages of all rounds.

    Args:
        config: the checked configuration.
        spec: the whole network.
        roster: sites and what they hold.
        statistics: pooled mean and standard deviation per modality.
    """

    def __init__(self, config: RunConfig, spec: NetworkSpec, roster: Roster, statistics: dict[str, Statistics]) -> None:
        self._config, self._spec, self._roster = config, spec, roster
        self._config_json = config.to_json()
        self._config_sha256 = text_sha256(self._config_json)
        self._scales = _scales(statistics)
        self._shared = SHARED_RULES.get(config.objective.name)
        self._asked, self._holders = 0, Counter[str]()
        self.audit_head = ""  # newest line of the audit log, for the sites' ledgers
        self._keys = cache(lambda kinds: private_keys(MultimodalNet(spec), kinds) if kinds else frozenset[str]())

    def enrol(self, roster: Roster) -> None:
        """Go on with this roster."""
        self._roster = roster

    def ask(self, sites: Sequence[str]) -> None:
        """The next messages are for these sites: where floors apply, each is told how many there are."""
        self._asked = len(sites) if self._config.privacy.tells_round else 0
        self._holders = Counter(c for site in sites for c in self._roster.granted(site)) if self._asked else Counter()

    def write(
        self,
        task: Task,
        site: str,
        round_number: int,
        state: GlobalState,
        arrays: ArrayRecord,
        ttl_s: float | None = None,
        budget_s: float | None = None,
    ) -> Sent:
        """The message to one site.

        Args:
            task: ``train``: score, then train; ``score``: the first alone; ``test``: score test rows with the model
                that the site ends with.
            site: its name.
            round_number: of the round; of a test, the last that was trained.
            state: what is committed.
            arrays: the same model, encoded.
            ttl_s: seconds after which nobody works on the message any more.
            budget_s: seconds within which the site must have answered, whatever its training does.
        """
        whole = task == "test"  # whoever scores test rows reads every modality that it can
        granted = set(self._roster.components if whole else self._roster.granted(site))
        own = state.personal.get(site, {})
        kept = self._keys(kept_down(self._config, has_own=not whole and has_own(state.shared, site)))
        part = {k: own.get(k, v) for k, v in state.model.items() if component_of(k) in granted and k not in kept}
        order = replace(self._order(task, site, round_number, digest(part)), budget_s=budget_s)
        scales = self._own_scales(site) if shares_nothing(self._config) else self._scales
        records: dict[str, ArrayRecord | MetricRecord | ConfigRecord] = {
            MODEL: ArrayRecord({key: encode(own[key]) if key in own else arrays[key] for key in part}),
            STATISTICS: ArrayRecord({k: v for k, v in scales.items() if k.partition("/")[0] in order.modalities}),
            ORDER: ConfigRecord(order.to_record()),
        }
        if order.train and self._shared is not None:
            records[SHARED] = array_record(self._shared.down(state.shared, order.modalities))
        kind = "train" if order.train else "evaluate"
        node_id = self._roster.profiles[site].node_id
        message = Message(RecordDict(records), node_id, kind, ttl=ttl_s, group_id=str(round_number))
        return Sent(message, self._expectation(order, state, part))

    def _order(self, task: Task, site: str, round_number: int, base: str) -> Order:
        roster = self._roster
        rows, by_modality = roster.all_rows, roster.all_rows_by_modality
        if shares_nothing(self._config):  # a site alone knows its own rows
            profile = roster.profiles[site]
            rows, by_modality = profile.rows, tuple(profile.rows_by_modality[m] for m in roster.names)
        return Order(
            round=round_number,
            train=task == "train",
            test=task == "test",
            site=site,
            config=self._config_json,
            modalities=roster.names if task == "test" else roster.modalities(site),
            base=base,
            all_rows=rows,
            all_rows_by_modality=by_modality if self._config.privacy.is_open else self._own_columns(site, by_modality),
            asked=self._asked,
            single=tuple(c for c in roster.granted(site) if self._holders[c] == 1),
            audit_head=self.audit_head,
        )

    def _own_columns(self, site: str, by_modality: tuple[int, ...]) -> tuple[int, ...]:
        """Counts of the modalities that the site holds; of the others it need not know who has how many."""
        held = self._roster.modalities(site)
        return tuple(n if m in held else 0 for m, n in zip(self._roster.names, by_modality, strict=True))

    def _own_scales(self, site: str) -> ArrayRecord:
        """Statistics of the site's own rows."""
        sums = self._roster.profiles[site].sums
        return _scales({name: pool({site: sums[name]}) for name in sums})

    def _expectation(self, order: Order, state: GlobalState, part: State) -> Expectation:
        model, privacy = state.model, self._config.privacy
        profile, contributions = self._roster.profiles[order.site], self._config.contributions
        asked = contributions.source != "server" and not order.test
        granted, kept = self._roster.granted(order.site), self._keys(kept_up(self._config, order.round))
        shapes = {k: v.shape for k, v in model.items() if component_of(k) in granted and k not in kept}
        told = {}
        if order.train and self._shared is not None:
            told = self._shared.told(self._config.objective, self._spec, shapes)
        return Expectation(
            site=order.site,
            round=order.round,
            base=order.base,
            config_sha256=self._config_sha256,
            train=order.train,
            shapes=shapes,
            known=frozenset(model),
            most_rows={c: self._roster.rows_of(order.site, c) for c in components(shapes)},
            contributions=contributions if asked else None,
            measured=(profile.heldout or profile.train) if asked else None,
            magnitude_limit=self._config.aggregation.magnitude_limit,
            modalities=len(self._roster.names),
            most_scored=self._most_scored(profile.test_rows if order.test else profile.validation_rows),
            told=told,
            sent=part,
            most_steps=self._most_steps(profile.rows),
            floor=privacy.k_min,
            norm_limits=state.norms.refusal_limits(),
            claim_slack=0.0 if privacy.claim_decimals is None else 10.0**-privacy.claim_decimals,
            due=self._due_sums(profile) if order.test and not self._config.is_personal else None,
        )

    def _due_sums(self, profile: SiteProfile) -> DueSums:
        """What a site owes of test rows that only it holds, scored with the global model."""
        privacy = self._config.privacy
        return DueSums(
            rows=profile.test_rows,
            validation_rows=profile.validation_rows,
            classes=len(self._spec.classes),
            names=self._spec.names,
            width=self._spec.width,
            contributions=self._config.contributions,
            fills=self._config.model.absent == "knn_input",
            slack=0.0 if privacy.claim_decimals is None else 10.0**-privacy.claim_decimals,
        )

    def _most_steps(self, rows: int) -> int | None:
        """Most steps of a round's local training; None for an objective of the user, who may ask for any."""
        training, objective, privacy = self._config.training, self._config.objective, self._config.privacy
        if objective.name == "python":
            return None
        passes = ceil(getattr(objective, "incentive_cap", 1)) if getattr(objective, "incentive", "") == "rows" else 1
        held = rows + privacy.count_step - 1  # the profile's counts are rounded down
        return training.local_epochs * passes * ceil(held / training.batch_size)

    def _most_scored(self, rows: int) -> dict[str, int]:
        """Largest count per metric: rows, and pairs of them for AUC."""
        classes = len(self._spec.classes)
        metrics = ["accuracy", *(f"recall:{number}" for number in range(classes))]
        most = dict.fromkeys(metrics, rows) | ({"auc": rows**2} if classes == 2 else {})
        if self._spec.use_completion != "off":
            most |= {COMPLETED + metric: count for metric, count in most.items()}
        return most


def _scales(statistics: dict[str, Statistics]) -> ArrayRecord:
    """Arrays ``<modality>/mean|std|blank``; those that there are."""
    parts = {f"{m}/{part}": getattr(s, part) for m, s in statistics.items() for part in ("mean", "std", "blank")}
    return array_record({name: value for name, value in parts.items() if value is not None})
