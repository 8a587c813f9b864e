"""Removing images wherever the project keeps them, and keeping them from coming back."""
