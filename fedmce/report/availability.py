"""Figure 1: who has what?"""

from __future__ import annotations

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from fedmce.metrics.sizes import is_many
from fedmce.report.story import Story
from fedmce.report.style import NARROW, WIDE, canvas, colour, heat_map, missing_patch, ramp, short
from fedmce.report.words import percent


def availability(story: Story) -> Figure | None:
    """Sites x modalities: share and count of training rows that hold the modality; None without a profile."""
    sites = [s for s in story.sites if story.held(s, story.modalities[0]) is not None]
    if not sites:
        return None
    modalities = story.modalities
    values, texts = np.full((len(sites), len(modalities)), np.nan), []
    for row, site in enumerate(sites):
        line = []
        for column, modality in enumerate(modalities):
            have, total = story.held(site, modality) or (0, 0)
            if have:
                values[row, column] = have / total
            two_lines = len(modalities) > 3
            share = percent(have / total) if have else "not held"
            line.append(f"{share}\n{have:,}" if have and two_lines else f"{share}  ·  {have:,}" if have else share)
        texts.append(line)
    each = 0.4 if len(modalities) > 3 else 0.3
    width = NARROW if len(modalities) <= 4 else min(WIDE, 1.6 + 0.95 * len(modalities))
    many = is_many(modalities)  # shares as colours alone: the table of the page has the figures
    figure = canvas(width, (1.6 if many else 0.8) + each * len(sites))
    axes = figure.add_subplot()
    maps = [ramp(colour(modalities, m)) for m in modalities]
    heat_map(axes, values, None if many else texts, maps=maps, norm=Normalize(0, 1), text_size=8)
    axes.set_yticks(range(len(sites)), [short(s) for s in sites])
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(modalities)), [short(m) for m in modalities], weight="bold", rotation=90 if many else 0)
    if np.isnan(values).any():
        figure.legend(handles=[missing_patch("not one row of the site holds it")], loc="outside lower left")
    return figure
