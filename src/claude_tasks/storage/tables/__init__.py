"""The store's table classes, over named SQL statements; a database passes them its connection."""
