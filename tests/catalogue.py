"""What the package says to people, and the catalogues of its translations.

    python -m tests.catalogue

brings every catalogue in ``spane_django/locale`` up to date: sayings that are new come in without
a translation, those that nobody says any more go out, and the ``.mo`` beside it is written again.
Nothing but Python is needed; ``msgfmt`` and ``makemessages`` read and write the same files.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polib
from django.utils.translation.template import templatize

PACKAGE = Path(__file__).resolve().parent.parent / "spane_django"
CATALOGUES = PACKAGE / "locale"
# The arguments of each that are sayings, and whether the first is a context.
_FUNCTIONS = {
    "_": (1, False),
    "gettext": (1, False),
    "gettext_lazy": (1, False),
    "gettext_noop": (1, False),
    "ngettext": (2, False),
    "ngettext_lazy": (2, False),
    "pgettext": (1, True),
    "pgettext_lazy": (1, True),
}
_CALL = re.compile(r"\b(n?p?gettext)\((.*?)\) ", re.DOTALL)


@dataclass(frozen=True, order=True)
class Saying:
    """Something that is said, and where.

    Attributes:
        plural: How it is said of many; empty: there is no such thing.
    """

    text: str
    plural: str
    context: str
    path: str
    line: int

    @property
    def key(self) -> tuple[str, str, str]:
        return self.text, self.plural, self.context


def said() -> list[Saying]:
    """Return everything that the package says by way of gettext, by where it is said."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations" not in path.parts:
            found += _of_python(path)
    for path in sorted(PACKAGE.rglob("templates/**/*.html")):
        found += _of_template(path)
    return sorted(found, key=lambda saying: (saying.path, saying.line))


def catalogues() -> list[Path]:
    """Return the catalogues, one for each language."""
    return sorted(CATALOGUES.glob("*/LC_MESSAGES/django.po"))


def refreshed(path: Path) -> polib.POFile:
    """Return a catalogue as it has to be, with the translations that it has."""
    old = polib.pofile(str(path), wrapwidth=98)
    known = {(entry.msgid, entry.msgctxt or ""): entry for entry in old}
    new = polib.POFile(wrapwidth=98)
    new.metadata, new.header = old.metadata, old.header
    places: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for saying in said():
        places.setdefault(saying.key, []).append((saying.path, ""))
    for (text, plural, context), where in places.items():
        entry = polib.POEntry(msgid=text, occurrences=sorted(set(where)))
        entry.msgctxt = context or None
        translated = known.get((text, context))
        if plural:
            entry.msgid_plural = plural
            entry.msgstr_plural = (translated and translated.msgstr_plural) or {0: "", 1: ""}
        elif translated:
            entry.msgstr = translated.msgstr
        if re.search(r"%\(\w+\)|%[sd]", text):
            entry.flags = ["python-format"]
        new.append(entry)
    return new


def main() -> int:
    """Bring the catalogues up to date; say what is left to translate."""
    missing = 0
    for path in catalogues():
        catalogue = refreshed(path)
        catalogue.save(str(path))
        catalogue.save_as_mofile(str(path.with_suffix(".mo")))
        for entry in catalogue.untranslated_entries():
            missing += 1
            sys.stdout.write(f"{path.parts[-3]}: {entry.occurrences[0][0]}: {entry.msgid!r}\n")
    return 1 if missing else 0


def _of_python(path: Path) -> Iterator[Saying]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and (name := _name(node.func)) in _FUNCTIONS:
            count, has_context = _FUNCTIONS[name]
            texts = [_text(argument) for argument in node.args[: count + has_context]]
            if all(texts):
                yield _saying([str(text) for text in texts], has_context, path, node.lineno)


def _of_template(path: Path) -> Iterator[Saying]:
    source = templatize(path.read_text(), origin=str(path))
    for match in _CALL.finditer(source):
        name, line = match[1], source[: match.start()].count("\n") + 1
        literals = re.findall(r"u?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")", match[2])
        texts = [str(ast.literal_eval(literal)) for literal in literals]
        has_context = "p" in name
        yield _saying(texts[: 1 + has_context + name.startswith("n")], has_context, path, line)


def _saying(texts: list[str], has_context: bool, path: Path, line: int) -> Saying:
    context = texts.pop(0) if has_context else ""
    plural = texts[1] if len(texts) > 1 else ""
    where = str(path.relative_to(PACKAGE.parent))
    return Saying(texts[0], plural, context, where, line)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _text(argument: ast.expr) -> str | None:
    is_text = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    return str(argument.value) if isinstance(argument, ast.Constant) and is_text else None


if __name__ == "__main__":
    sys.exit(main())
