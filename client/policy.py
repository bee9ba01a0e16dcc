"""What a site lets out, whatever the server asks: its floors, the plan that it agreed to, and who else is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from client.workplace import Workplace
from fedmce.config.privacy import PrivacyConfig
from fedmce.config.schema import RunConfig
from fedmce.contributions import tells_patterns
from fedmce.errors import PlanRefusedError
from fedmce.flower_compat import ConfigRecord, RecordDict
from fedmce.folders.layout import SiteFile
from fedmce.kits.digest import plan_digest
from fedmce.missingness import keep_modalities
from fedmce.privacy import Cohort, FirstLayer, cohort, effective, first_layers, told_modalities
from fedmce.wire import Order, text_sha256

PINNED = "plan"  # record in the node's own state


@dataclass(frozen=True)
class Policy:
    """Floors of one site, and what of its rows they let it tell.

    Attributes:
        floors: the stricter of the plan's and the site's.
        told: modalities that the site says it has.
        train: training rows by what they hold, as told.
        heldout: the same of rows that never train; None where there are none.
        test: the same of test rows that the site scores itself; None where it scores none.
        first_layers: what sees raw inputs first, per component; empty with nothing held back.
    """

    floors: PrivacyConfig
    told: tuple[str, ...]
    train: Cohort
    heldout: Cohort | None
    test: Cohort | None
    first_layers: Mapping[str, FirstLayer]


def admit(order: Order, node: Mapping[str, object], state: RecordDict) -> None:
    """Refuse an order before anything of the site is looked at.

    The plan is pinned: to the digest in the site's signed kit where the node names one, else to the first plan that
    this run has shown, which the node's state remembers.

    Args:
        order: as received.
        node: configuration of the node; ``plan`` is the digest in the kit, ``folder`` the site's data.
        state: of the node in this run; the pin is written there.

    Raises:
        PlanRefusedError: another plan than the pinned one, floors below the site's own, or too few sites asked.
    """
    config = RunConfig.model_validate_json(order.config)
    if node.get("plan"):
        if (given := plan_digest(config)) != str(node["plan"]):
            raise PlanRefusedError(
                f"plan: the server's has digest {given[:12]}; the kit was made for {node['plan']!s:.12}"
            )
    else:
        _check_pin(order, state, is_open=config.privacy.is_open)
    release = SiteFile.read(Path(str(node["folder"]))).release if node.get("folder") else None
    if release is not None and (lower := release.above(config.privacy)):
        raise PlanRefusedError(
            f"plan: below the floors of this site (site.yaml: release): {'; '.join(lower)}. raise privacy.* in the plan"
        )
    _check_asked(order, effective(config.privacy, release))


def _check_pin(order: Order, state: RecordDict, *, is_open: bool) -> None:
    given = text_sha256(order.config)
    pinned = state.config_records.get(PINNED)
    if pinned is None:
        if not is_open:  # a plan without floors has none to lower
            state[PINNED] = ConfigRecord({"sha256": given})
    elif pinned["sha256"] != given:
        raise PlanRefusedError("plan: changed in mid-run; needed the one that the site was told first. start a new run")


def _check_asked(order: Order, floors: PrivacyConfig) -> None:
    if order.round and floors.min_asked > 1 and order.asked < floors.min_asked:
        raise PlanRefusedError(
            f"round {order.round}: {order.asked or 'an unknown number of'} sites are asked; privacy.min_asked needs "
            f"{floors.min_asked}"
        )
    if order.train and floors.single_holder == "freeze" and not order.asked:
        raise PlanRefusedError(
            f"round {order.round}: the order does not say which components one site holds alone, which single_holder="
            "freeze needs. set privacy in the plan"
        )


def policy_of(place: Workplace) -> Policy:
    """What the site's floors let it tell; counted once per workplace.

    Args:
        place: data, plan, and the site's own floors, which overrule the plan's where they are stricter.
    """
    floors = effective(place.config.privacy, place.release)
    if floors not in place.policies:
        place.policies[floors] = _policy(place, floors)
    found = place.policies[floors]
    assert isinstance(found, Policy)
    return found


def check_grant(order: Order, policy: Policy, place: Workplace) -> None:
    """Refuse to train on another set of modalities than the site has told.

    Raises:
        PlanRefusedError: the server asks for components that the profile did not offer.
    """
    if policy.floors.is_open or order.test or set(order.modalities) == set(policy.told):
        return
    more = sorted(set(order.modalities) - set(policy.told))
    raise PlanRefusedError(
        f"site {place.site}, round {order.round}: asked for {', '.join(more) or 'fewer modalities'}; the profile offered "
        f"{', '.join(policy.told)}"
    )


def _policy(place: Workplace, floors: PrivacyConfig) -> Policy:
    everything = place.config.aggregation.whole_model
    there = told_modalities(place.train.available, floors)
    told = tuple(name for name, held in zip(place.names, there, strict=True) if held or everything)
    patterns = tells_patterns(place.config.contributions, len(place.names))
    seen = keep_modalities(place.train, place.names, told)
    heldout = test = None
    if place.heldout is not None:
        apart = keep_modalities(place.heldout, place.names, told)
        heldout = cohort(apart.available, floors, tells_patterns=patterns)
    if place.test is not None:
        test = cohort(place.test.available, floors, tells_patterns=patterns)
    return Policy(
        floors,
        told,
        cohort(seen.available, floors, tells_patterns=patterns),
        heldout,
        test,
        {} if floors.is_open else first_layers(place.spec),
    )
