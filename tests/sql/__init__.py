"""The decisions, twice: given rows → expected rows, and against a second writing of the rules."""
