"""``fedmce site``: site folders, the way to bring own data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedmce.cli.door import door

site_app = typer.Typer(help="Site folders: make, fill, check own data.", no_args_is_help=True, rich_markup_mode=None)

SITE = Annotated[str, typer.Option("--site", help="Name of the site: small letters, digits and -.")]
CLASSES = Annotated[
    str | None,
    typer.Option(help="Names of the classes, in order, joined by commas; the same at every site.", show_default=False),
]


@site_app.command("init")
def site_init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New or empty folder.", show_default=False)],
    site: SITE,
    modality: Annotated[
        list[str],
        typer.Option(help="NAME:KIND:SHAPE[:UNITS], such as image:image:1x28x28; repeat.", show_default=False),
    ],
    classes: CLASSES = None,
) -> None:
    """Make an empty site folder with comments that say what to fill in."""
    with door():
        from fedmce.cli.site import init

        init(folder, site, modality, classes)


@site_app.command("import")
def site_import(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New or empty folder.", show_default=False)],
    site: SITE,
    target: Annotated[str, typer.Option(help="Column of the class, in --samples or one of the tables.")],
    table: Annotated[
        list[str] | None,
        typer.Option(help="MODALITY=FILE: a CSV or Parquet table of numbers; repeat.", show_default=False),
    ] = None,
    array: Annotated[
        list[str] | None,
        typer.Option(
            help="MODALITY=ARRAY.npy or MODALITY=ARRAY.npy:IDS: an array, and the ids of its rows (.npy, or text with "
            "one per line; default the order of the samples); repeat.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(
            help="Table of ids, targets and splits, where no table of a modality has them.", show_default=False
        ),
    ] = None,
    id_column: Annotated[
        str, typer.Option("--id", help="Column of the sample ids, which join everything.")
    ] = "sample_id",
    split: Annotated[
        str | None,
        typer.Option(
            help="Column of train, val and test; without it they are drawn by the shares.", show_default=False
        ),
    ] = None,
    test_share: Annotated[float, typer.Option(min=0, max=0.9, help="Share of each class for test.")] = 0.2,
    validation_share: Annotated[float, typer.Option(min=0, max=0.9, help="Share of each class for validation.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw of the split.")] = 0,
    classes: CLASSES = None,
    metric: Annotated[str, typer.Option(help="accuracy, or auc_within_sites of two classes.")] = "accuracy",
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="MODALITY=KIND of an array: image, spectrogram, series or tabular; default by its axes.",
            show_default=False,
        ),
    ] = None,
    units: Annotated[
        list[str] | None, typer.Option(help="MODALITY=UNITS in words; repeat.", show_default=False)
    ] = None,
) -> None:
    """Make a site folder of CSV tables and arrays, joined by sample id; rows without a cell filled are absent."""
    with door():
        from fedmce.cli.site import Given, import_given

        given = Given(table or [], array or [], kind or [], units or [], classes)
        shares = (test_share, validation_share, seed)
        import_given(out, site, target, given, samples, (id_column, split), shares, metric)


@site_app.command("export")
def site_export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New or empty folder.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="dataset=NAME and any other override, as of `fedmce run`.", show_default=False),
    ] = None,
    masked: Annotated[
        bool, typer.Option("--masked", help="Leave out what the masks of the run hide; else only natural gaps.")
    ] = False,
) -> None:
    """Write every site of a data set as a site folder."""
    with door():
        from fedmce.cli.site import export

        export(out, overrides or [], is_masked=masked)


@site_app.command("check")
def site_check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Site folder.", show_default=False)],
    like: Annotated[
        Path | None,
        typer.Option("--like", help="Another site folder, whose task and modalities this one must have."),
    ] = None,
    kit: Annotated[
        Path | None, typer.Option("--kit", help="Kit of the site: name and plan that the folder must have.")
    ] = None,
    picture: Annotated[Path | None, typer.Option("--picture", help="PNG file to draw who has what.")] = None,
    values: Annotated[bool, typer.Option("--values/--no-values", help="Read all features, or headers only.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print findings and counts as one JSON object.")] = False,
) -> None:
    """Say all that is wrong with a site folder, and who has what in it; nothing is written. Exit code 3 with errors."""
    with door(as_json) as answer:
        from fedmce.cli.site_check import check

        check(folder, answer, like=like, kit=kit, picture=picture, values=values)


@site_app.command("seal")
def site_seal(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Site folder without errors.", show_default=False)],
) -> None:
    """Write SHA256SUMS of all files that a site folder uses, so that a later check sees any change."""
    with door() as answer:
        from fedmce.cli.site_check import seal

        seal(folder, answer)
