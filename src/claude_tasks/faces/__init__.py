"""What the faces are given, a module each: the one place besides the wiring that sees adapters."""
