"""What a run of a given size would take: from constants that were measured, by formulas that are shown."""
