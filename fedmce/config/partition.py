"""Sections of the group ``partition``: which rows lie at which site."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fedmce.config.section import Section


class NaturalSitesConfig(Section):
    """The sites that the data came from."""

    name: Literal["natural_sites"] = "natural_sites"


class DealtSection(Section):
    """What partitioners that deal the training and validation rows anew share."""

    site_count: int | None = Field(
        None, ge=1, le=1000, description="made sites; null = as many as had training rows, under their old names"
    )
    least_rows: int = Field(5, ge=1, description="training rows that every site gets at least")


class DirichletConfig(DealtSection):
    """Label skew: the rows of each class are shared out over the sites by a draw from a Dirichlet distribution."""

    name: Literal["dirichlet"] = "dirichlet"
    concentration: float = Field(0.3, gt=0, description="alpha: small = few classes per site, large = even")


class QuantityConfig(DealtSection):
    """Quantity skew: sites of unequal size with the same classes."""

    name: Literal["quantity"] = "quantity"
    concentration: float = Field(0.5, gt=0, description="of the Dirichlet distribution of site sizes; large = even")


PartitionConfig = Annotated[NaturalSitesConfig | DirichletConfig | QuantityConfig, Field(discriminator="name")]
