"""K04, K06, K10: configurations that floors exclude."""

from __future__ import annotations

import pytest

from fedmce.cli.compose import load_config
from fedmce.config.privacy_rules import TELLING, privacy_warnings
from fedmce.errors import ConfigError
from fedmce.objectives import SHARED


@pytest.mark.parametrize("k_min", [1])
def test_K04_counts_of_one_between_real_sites_need_a_word(k_min: int) -> None:
    with pytest.raises(ConfigError, match=r"privacy\.k_min: given 1 between real sites") as refused:
        load_config(["engine=deployed", "privacy=floors", f"privacy.k_min={k_min}"])
    assert refused.value.exit_code == 2
    with pytest.raises(ConfigError, match=r"privacy\.k_min"):
        load_config(["engine=deployed", "privacy=open"])
    allowed = load_config(["engine=deployed", "privacy=open", "privacy.i_know=true"])
    assert privacy_warnings(allowed) == ["privacy.k_min=1 by privacy.i_know: counts of single rows leave the sites"]
    assert privacy_warnings(load_config(["engine=deployed", "privacy=floors"])) == []
    assert load_config(["privacy=open"]).privacy.k_min == 1, "a simulation is nobody's business"


def test_K06_differential_privacy_is_no_key_so_that_nobody_believes_in_it() -> None:
    """No accountant can make a sound statement here (docs/privacy.md): the switch is refused, not ignored."""
    for override in ("privacy.dp=true", "privacy.epsilon=3", "+privacy.dp.noise_multiplier=1"):
        with pytest.raises(ConfigError) as refused:
            load_config(["privacy=floors", override])
        assert refused.value.exit_code == 2


def test_K10_shared_batch_statistics_are_refused_with_floors() -> None:
    with pytest.raises(ConfigError, match=r"model\.normalisation: given batch") as refused:
        load_config(["method=fedavg_batchnorm", "privacy=floors"])
    assert refused.value.exit_code == 2
    assert load_config(["method=fedavg_batchnorm"]).model.normalisation == "batch"
    assert load_config(["method=fedbn", "privacy=floors"]).model.normalisation == "batch", "they stay at the site"


@pytest.mark.parametrize("method", ["scaffold", "mfcpl_like", "flism", "harmony", "fedmsplit"])
def test_K10_arrays_beside_the_update_are_refused_with_floors(method: str) -> None:
    with pytest.raises(ConfigError, match="which no floor covers"):
        load_config([f"method={method}", "privacy=floors"])


def test_the_objectives_that_tell_arrays_are_those_that_share_some() -> None:
    assert set(TELLING) == set(SHARED)
