"""Files that are looked for."""

from pathlib import Path

from jupyter_kernel_exporter.deaths.patience import look


def test_files_that_are_there_gone_or_closed(tmp_path: Path) -> None:
    """What may not be asked for is not gone; a link counts as itself, wherever it leads."""
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.write_text("{}")
    link = tmp_path / "link"
    link.symlink_to(gone)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    beyond = loop / "x"
    found = look(map(str, (there, gone, link, beyond)))
    assert found == {str(there): False, str(gone): True, str(link): False, str(beyond): None}
