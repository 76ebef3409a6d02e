"""What is SQL: the store's rooms, over named statements; a database gives them its connection."""
