"""Gathers what the pages say into `src/assay/ui/locale/*/LC_MESSAGES/assay.po` and compiles the catalogues.

python scripts/words.py           new sentences come in without a translation, those that nobody says any more go
python scripts/words.py --check   change nothing; fail when a catalogue is not what it would become, or lacks a sentence
"""

import io
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

WHENEVER = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "assay"
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "later": None}
METHODS = [("**/templates/**.html", "jinja2"), ("**.py", "python")]
OPTIONS = {"**/templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true"}}


def gathered() -> Catalog:
    """Every sentence with where it is said, in the order of the files."""
    found = Catalog(project="Assay", fuzzy=False)
    for path, line, message, comments, context in extract_from_dir(
        SOURCE, METHODS, OPTIONS, keywords=KEYWORDS, comment_tags=("translators:",)
    ):
        found.add(message, None, [(f"src/assay/{path}", line)], auto_comments=comments, context=context)
    return found


def renewed(path: Path, template: Catalog) -> Catalog:
    """A language's catalogue with the sentences there are now."""
    locale = path.parent.parent.name
    catalogue = (
        read_po(io.BytesIO(path.read_bytes()), locale=locale) if path.exists() else Catalog(locale=locale)
    )
    catalogue.update(template, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    catalogue.fuzzy = False
    catalogue.project, catalogue.version = "Assay", "0"
    catalogue.msgid_bugs_address, catalogue.last_translator = "", ""
    catalogue.language_team, catalogue.header_comment = (
        "",
        "# Renewed by scripts/words.py; only the msgstr lines are written by people.",
    )
    return catalogue


def as_po(catalogue: Catalog) -> bytes:
    """Without dates and line numbers, so that a change of a catalogue is a change of its words."""
    out = io.BytesIO()
    write_po(out, catalogue, width=110, include_lineno=False, sort_by_file=True)
    lines = out.getvalue().decode().splitlines()
    kept = [
        line
        for line in lines
        if not line.startswith(('"POT-Creation-Date', '"PO-Revision-Date', '"Generated-By'))
    ]
    return ("\n".join(kept).rstrip() + "\n").encode()


def as_mo(catalogue: Catalog) -> bytes:
    """What `gettext` reads, the same today and tomorrow: a catalogue that is read without dates takes the clock's."""
    catalogue.creation_date = catalogue.revision_date = WHENEVER
    out = io.BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


def main() -> int:
    """Write or check every catalogue."""
    is_check = "--check" in sys.argv[1:]
    template, problems = gathered(), []
    for folder in sorted((SOURCE / "ui" / "locale").glob("*/LC_MESSAGES")):
        po = folder / "assay.po"
        catalogue = renewed(po, template)
        wanted = {po: as_po(catalogue)}
        wanted[po.with_suffix(".mo")] = as_mo(read_po(io.BytesIO(wanted[po]), locale=folder.parent.name))
        missing = [message.id for message in catalogue if message.id and not all(_texts(message.string))]
        problems += [f"{po.relative_to(ROOT)} lacks {text!r}" for text in missing]
        for path, content in wanted.items():
            if not path.exists() or path.read_bytes() != content:
                if is_check:
                    problems.append(f"{path.relative_to(ROOT)} is stale: run make fmt")
                else:
                    path.write_bytes(content)
    for problem in problems:
        print(problem)
    return 1 if is_check and problems else 0


def _texts(string: object) -> tuple[str, ...]:
    return tuple(string) if isinstance(string, tuple | list) else (str(string or ""),)


if __name__ == "__main__":
    sys.exit(main())
