"""The screens, a module each; `base` has what they share."""
