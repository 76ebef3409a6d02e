"""Totals for the monitor and search in texts, at a cost that does not grow with the number of runs.

The transaction that announces the end of a run updates both. It takes each run out of the outbox
once, so the end itself costs nothing more, and no run is counted twice or missed. A reader adds the
runs that are still in the outbox or have not ended.

The index of texts works by three characters at a time (FTS5, tokenizer ``trigram``): it names the
runs that may contain a text, and the reader then searches the text of each. Texts of runs older
than the index are added in steps, the newest first; until then the reader searches them one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.run_figures import RunFigures
from claude_tasks.storage.named_sql import fragment, load
from claude_tasks.storage.records import facts_from_row, legible
from claude_tasks.storage.tables.base import Tables
from claude_tasks.storage.tables.run_filter import conditions, placeholders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.store_records import RunFilter

SHORT_SEARCH = 20_000
"""A text of less than three characters is searched in this many of the newest runs."""

_INDEXED_LENGTH = 3
_MOST_ASKED = 40
"""This many trigrams of a long text are enough; FTS5 allows 256."""
_OLDER_AT_ONCE = 50
"""Runs whose texts are indexed in one step, which blocks other writers for 20 ms."""


class HistoryTable(Tables):
    """The store's part about the history."""

    def run_figures(self) -> RunFigures:
        """Figures about all runs ever, as of now."""
        with self._connection.read():
            figures = RunFigures(self._connection.rows(load("history")["totals"]))
            rows = self._connection.rows(select("uncounted"))
        for facts in legible("run", rows, facts_from_row):
            figures.enter(facts)
        return figures

    def index_older_texts(self) -> bool:
        """Index the texts of some older runs; whether there are more."""
        until = self._texts_from()
        if until <= 1:
            return False
        parameters = {"until": until, "from": max(1, until - _OLDER_AT_ONCE)}
        with self._connection.write():
            if self._connection.execute(select("set_texts_from"), parameters).rowcount:
                self._connection.execute(select("index_older"), parameters)
        return parameters["from"] > 1

    def _said(self, wanted: RunFilter, columns: str) -> list[Sequence[Any]]:
        """Rows of the runs that contain a text, newest first; they begin with the id."""
        text = wanted.text or ""
        filters, parameters = conditions(wanted)
        parameters |= {"text": text, "limit": wanted.limit}

        def search(statement: str, **more: Any) -> list[Sequence[Any]]:
            sql = select(statement, columns).replace("{conditions}", filters)
            return self._connection.rows(sql, parameters | more)

        with self._connection.read():
            found = search("search_by_name")
            if len(text) < _INDEXED_LENGTH:
                end = int(self._connection.value(load("history")["newest_run"])) + 1
                between = {"from": end - SHORT_SEARCH, "until": end}
                return _newest(found + search("search_range", **between), wanted.limit)
            found += search("search_unindexed")
            found += search("search_indexed", match=_match(text.lower()))
            found = _newest(found, wanted.limit)
            texts_from = self._texts_from()
            if len(found) < wanted.limit or found[-1][0] < texts_from:
                found += search("search_range", **{"from": 0, "until": texts_from})
            return _newest(found, wanted.limit)

    def _texts_from(self) -> int:
        return int(self._connection.value(load("history")["texts_from"]))

    def _enter_into_history(self, run_ids: Sequence[int]) -> None:
        """Count ended runs, index their texts. Call it in the transaction that announces them."""
        if not run_ids:
            return
        names, parameters = placeholders("id", run_ids)
        rows = self._connection.rows(select("facts_of").replace("{ids}", names), parameters)
        figures = RunFigures()
        for facts in legible("run", rows, facts_from_row):
            figures.enter(facts)
        for figure, label, amount in figures.cells():
            total = {"figure": figure, "label": label, "amount": amount}
            self._connection.execute(load("history")["add_total"], total)
        # Older runs are left to `index_older_texts`: a run must not be indexed twice.
        texts_from = self._texts_from()
        recent = [row[0] for row in rows if row[0] >= texts_from]
        if recent:
            names, parameters = placeholders("id", recent)
            self._connection.execute(select("index_texts").replace("{ids}", names), parameters)


def select(name: str, columns: str = "") -> str:
    """A statement with its columns and the condition of a search filled in."""
    text = load("history")[name].replace("{says}", fragment("run_filter", "says"))
    facts = fragment("runs", "fact_columns")
    return text.replace("{columns}", columns).replace("{fact_columns}", facts)


def _match(text: str) -> str:
    """The FTS5 query for all trigrams of a text, in any order."""
    places = range(min(len(text) - _INDEXED_LENGTH + 1, _MOST_ASKED))
    threes = {text[place : place + _INDEXED_LENGTH] for place in places}
    return " AND ".join('"' + three.replace('"', '""') + '"' for three in sorted(threes))


def _newest(found: Sequence[Sequence[Any]], limit: int) -> list[Sequence[Any]]:
    by_id = {row[0]: row for row in found}
    return [by_id[run_id] for run_id in sorted(by_id, reverse=True)[:limit]]
