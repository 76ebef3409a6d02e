"""Tasks, runs and instants as people read them: words, tables, records. No stream, no terminal.

The command line and the terminal UI show the same text. ``list`` loads part of it, so these modules
import as little as the command line's own.
"""
