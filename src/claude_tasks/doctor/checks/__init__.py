"""A module for each check: what it looks at, and what it says of that."""
