"""``sso-bench data``: list, get and verify the public benchmark data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.data.manifest import DataFile

data = typer.Typer(help="The public benchmark data: list, get, verify.", no_args_is_help=True)

Folder = Annotated[
    Path | None, typer.Option("--to", help="Data folder (default: the cache that --data hub uses).")
]
Names = Annotated[
    list[str] | None, typer.Argument(help="Sets (gsm8k) or files (gsm8k/test.jsonl); default all.")
]


@data.command(name="list")
def list_(to: Folder = None) -> None:
    """The known files: rows, size, licence, how to get them, and whether the folder has them."""
    from harness.data.manifest import manifest, paper_models
    from harness.data.sources import DataSource

    folder = to or _default_folder()
    source = DataSource("dir", folder)
    rows = [("file", "rows", "MB", "access", "here", "licence", "source")]
    for file in manifest():
        rows.append(
            (
                file.path,
                str(file.rows or "-"),
                f"{file.megabytes:g}",
                file.access,
                "yes" if source.find(file.path) else "-",
                file.licence,
                f"{file.repo}@{file.revision[:12]}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)))
    print(f"\nfolder: {folder}")
    print("models of the paper's experiments (fetched by --model or their preset):")
    for model in paper_models():
        preset = f"  --preset {model['preset']}" if model["preset"] else ""
        print(f"  {model['id']:<44}{model['role']}{preset}")
    print(
        "encrypted: GPQA comes as its authors' password-protected archive and is read in memory "
        "only.\nIts copy on the hub (Idavidrein/gpqa) is gated and not needed. "
        "With your own copy: sso-bench data get gpqa --gpqa-zip FILE"
    )


@data.command()
def get(
    names: Names = None,
    to: Folder = None,
    gpqa_zip: Annotated[
        Path | None, typer.Option("--gpqa-zip", help="Your copy of GPQA's official dataset.zip.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are present and wrong.")
    ] = False,
) -> None:
    """Download, check and lay out data; after an interruption the same command resumes."""
    from harness.data.fetch import UnreachableError
    from harness.data.gpqa_archive import ARCHIVE
    from harness.data.install import Got, get, take_archive
    from harness.data.manifest import select
    from harness.errors import DataError

    folder, failed = to or _default_folder(), []
    asked = list(names or ([ARCHIVE] if gpqa_zip else []))
    for file in select(asked):
        try:
            if file.path == ARCHIVE and gpqa_zip:
                got: Got = take_archive(file, gpqa_zip, folder, force=force)
            else:
                got = get(file, folder, force=force, log=_log)
        except UnreachableError as error:
            failed.append(f"{error}; later files were not tried")
            break
        except DataError as error:
            failed.append(str(error))
            continue
        print(f"{got.status}: {folder / got.path}{_remark(file)}")
    if failed:
        raise DataError("\n".join(failed))


@data.command()
def verify(
    folder: Annotated[Path | None, typer.Argument(help="Data folder (default: the cache).")] = None,
) -> None:
    """Check every known file in a folder: checksum, rows, fields."""
    from harness.data.verify import verify
    from harness.errors import DataError

    folder = folder or _default_folder()
    checks = verify(folder)
    held = {"manifest": "checksum of the manifest", "lock": "checksum of its download"}
    for check in checks:
        if check.status == "ok":
            print(f"ok      {check.path} ({held.get(check.checksum, 'rows and fields only')})")
    count = {status: sum(c.status == status for c in checks) for status in ("ok", "absent", "bad")}
    print(f"{folder}: {count['ok']} right, {count['bad']} wrong, {count['absent']} absent")
    if count["bad"]:
        raise DataError("\n".join(c.problem for c in checks if c.status == "bad"))
    if not count["ok"]:
        raise DataError(f"{folder} has no file of the manifest (sso-bench data list)")


def _default_folder() -> Path:
    from harness.models import model_cache

    return model_cache() / "data"


def _remark(file: DataFile) -> str:
    return f" ({file.licence})" if "NC" in file.licence or file.access != "open" else ""


def _log(line: str) -> None:
    print(line, file=sys.stderr)
