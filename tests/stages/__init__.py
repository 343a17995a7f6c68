"""The pure stages, by tables of examples and by properties."""
