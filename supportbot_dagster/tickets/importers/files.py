"""Reading of an export's file, whatever it holds.

What lives here: the text of a file, and its JSON as one document or line by line, with one clear
line for a file that cannot be read. What does not: what the JSON means.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.tickets.importers.export import Collected


def read_text(path: Path) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        UserError: if the file is missing, a folder, empty or not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist. Set tickets.source in the product file to the export."
        ) from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder. Name the export file itself.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error.reason}). Export it as UTF-8.") from None
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}). Mend its rights, or tickets.source."
        ) from None
    if not text.strip():
        raise UserError(f"{path} is empty. Export the tickets again.")
    return text


def json_document(path: Path, text: str) -> Any:
    """The whole text as one JSON value, or None if it is JSON Lines.

    Raises:
        UserError: if it is neither.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if not _is_object(text.lstrip().split("\n", 1)[0]):
            raise UserError(
                f"{path} line {error.lineno} is not JSON ({error.msg}); the file may be cut off. "
                "Export the tickets again."
            ) from None
        return None
    except ValueError:
        raise UserError(f"{path} holds a number that is too long. Mend it in the export.") from None
    except RecursionError:
        raise UserError(f"{path} is nested too deeply. Export the tickets again.") from None


def json_lines(text: str, collected: Collected) -> Iterator[tuple[str, Any]]:
    """Each line's place and value; a line that is not JSON is set aside."""
    # split on newlines alone: a JSON string may hold other line separators
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            yield place, json.loads(line)
        except json.JSONDecodeError as error:
            collected.set_aside(place, f"the line is not JSON ({error.msg})")
        except ValueError:
            collected.set_aside(place, "the line holds a number that is too long")
        except RecursionError:
            collected.set_aside(place, "the line is nested too deeply")


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
