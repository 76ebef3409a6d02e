"""The channels that messages can go through, a module each."""
