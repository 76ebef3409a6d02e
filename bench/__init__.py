"""The budgets of the design, measured with real processes in throw-away folders."""
