"""The terminal UI. It draws what the operations compute, and owns no rule.

    cli/commands/tui.py   checks the terminal, prints the mode, a first frame, starts the node
      app.Interface       the Textual application: looks for changes, does what screens share
        backend           operations on threads of their own, the node, the zone
        dashboard         one look at all that the main screen shows, taken on the read thread
        actions           the one registry of actions: keys, footer, help, command-line twins
        row_table         a list that draws only the lines in view; its selection is an id
        screens/          tasks (the main one), runs, run, form, pages, dialogs

The event loop never touches the database. `Backend.read` and `Backend.write` bring work to threads
that do, one after the other in each: a slow or locked database shows a banner and freezes nothing.
Four times a second the loop asks on the read thread whether anything was written since. Only then
it takes a new dashboard.
"""
