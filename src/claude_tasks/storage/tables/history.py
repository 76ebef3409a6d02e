"""What grows with every run and must not slow down: totals for the monitor, search in texts.

Both are brought up to date where the ends of runs are announced, in that transaction, which takes
each out of the outbox once. So the end of a run itself costs nothing more, and nothing is counted
twice or missed. Who looks adds what still stands in the outbox, and what has not ended.

The index of texts knows three characters at a time (FTS5, tokenizer ``trigram``): it names the runs
that may say a text, and each is then held against the text itself. Texts of runs from before there
was an index are added to it bit by bit, the newest first, and looked at one by one until then.
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
"""A text of less than three characters is sought in so many of the newest runs."""

_INDEXED_LENGTH = 3
_MOST_ASKED = 40
"""So many of them tell enough of a long text; FTS5 takes no more than 256."""
_OLDER_AT_ONCE = 50
"""Runs whose texts are indexed in one step: 20 ms in which nobody else writes."""


class HistoryTable(Tables):
    """The room of the history."""

    def run_figures(self) -> RunFigures:
        """Figures about all runs there ever were, as they stand."""
        with self._connection.read():
            figures = RunFigures(self._connection.rows(load("history")["totals"]))
            rows = self._connection.rows(select("uncounted"))
        for facts in legible("run", rows, facts_from_row):
            figures.enter(facts)
        return figures

    def index_older_texts(self) -> bool:
        """Take some runs from before the index into it; whether there are more."""
        until = self._texts_from()
        if until <= 1:
            return False
        parameters = {"until": until, "from": max(1, until - _OLDER_AT_ONCE)}
        with self._connection.write():
            if self._connection.execute(select("set_texts_from"), parameters).rowcount:
                self._connection.execute(select("index_older"), parameters)
        return parameters["from"] > 1

    def _said(self, wanted: RunFilter, columns: str) -> list[Sequence[Any]]:
        """Rows of the runs that say a text, newest first; they begin with the id."""
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
        """Count runs that ended, index their texts; in the transaction that announces them."""
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
        # What is older comes with the rest of its time: never twice into the index.
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
    """Every three characters in a row, as a query of FTS5: all of them, wherever they stand."""
    places = range(min(len(text) - _INDEXED_LENGTH + 1, _MOST_ASKED))
    threes = {text[place : place + _INDEXED_LENGTH] for place in places}
    return " AND ".join('"' + three.replace('"', '""') + '"' for three in sorted(threes))


def _newest(found: Sequence[Sequence[Any]], limit: int) -> list[Sequence[Any]]:
    by_id = {row[0]: row for row in found}
    return [by_id[run_id] for run_id in sorted(by_id, reverse=True)[:limit]]
