"""Copies a run's folder to a URL (a path, s3://, gs://, …) through fsspec."""

from pathlib import Path

from forgeline.errors import BadInput


def copy(folder: Path, url: str) -> None:
    """Copy the files of a run that are not at `<url>/runs/<run>` yet; artefacts first, records last.

    What is half-done (folders in `checkpoints`) stays here.
    """
    import fsspec

    try:
        system, root = fsspec.core.url_to_fs(url)
        every = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        files = sorted(path for path in every if path.relative_to(folder).parts[0] != "checkpoints")
        for path in sorted(files, key=lambda path: path.parent == folder):
            there = f"{root.rstrip('/')}/runs/{folder.name}/{path.relative_to(folder).as_posix()}"
            fixed = path.parent.name == "artefacts"
            if not (fixed and system.exists(there)):
                system.makedirs(there.rsplit("/", 1)[0], exist_ok=True)
                system.put_file(str(path), there)
    except (OSError, ValueError, ImportError) as error:
        raise BadInput(f"cannot copy the run there ({error})", where=url, remedy="Check the store's URL.") from None
